"""Datasets as a logbook would give them, put into a real one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from observatory import Logbook
from observatory.observation import Gap, Observation, Variable

BATTERY = {"battery": "b" * 12, "model": "m" * 12, "settings": "s" * 12}


def recorded(path: Path, logbook: xr.Dataset, provenance: Mapping[str, str] = BATTERY) -> Path:
    """Every step as an observation of its own; gaps as gaps."""
    with Logbook(path) as book:
        for place, step in enumerate(logbook["step"].values):
            here = {name: v.isel(step=place) for name, v in logbook.data_vars.items() if "step" in v.dims}
            used = {dim for variable in here.values() for dim in variable.dims}
            book.record(
                Observation(
                    step=int(step),
                    tokens=int(logbook["tokens"].values[place]) if "tokens" in logbook else 0,
                    time=1.7e9,
                    variables={
                        str(name): Variable(tuple(map(str, v.dims)), v.values, v.attrs) for name, v in here.items()
                    },
                    coordinates={str(name): v.values for name, v in logbook.coords.items() if name in used},
                    provenance=provenance,
                )
            )
        for step in logbook["gap_step"].values if "gap_step" in logbook else ():
            book.gap(Gap(int(step), "out of luck"))
    return path
