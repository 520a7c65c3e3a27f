"""What a look at the logbook of a running run takes from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.following.pace import Next, next_observation
from observatory.review.judge.emergence import Emergence, emergence
from observatory.review.judge.evidence import observations
from observatory.review.judge.verdict import Verdict


@dataclass(frozen=True)
class Followed:
    """All that is shown of it; it is read once for every change of the file."""

    name: str
    steps: Array
    tokens: int
    """At the last observation."""
    gaps: Array
    """Steps."""
    last_time: float
    """Of the last observation, in seconds since 1970."""
    end: int | None
    coming: Next
    judged: Emergence | None
    """Nothing where no regions were looked for."""
    reason: str
    curves: Mapping[str, Array]
    """E of each domain, where its verdict was read."""


def followed(logbook: xr.Dataset, name: str) -> Followed:
    """Judges what there is."""
    steps = logbook["step"].values
    times = logbook["time"].values.astype("datetime64[ns]").astype(np.int64) / 1e9
    gaps = logbook["gap_step"].values if "gap_step" in logbook else np.array([], dtype=np.int64)
    last = int(max([*steps.tolist(), *gaps.tolist()], default=-1))
    judged, reason, curves = None, "there is no observation yet", {}
    if len(steps):
        try:
            looked, _ = observations(logbook)
            judged = emergence(logbook)
            curves = {one.domain: _curve(looked, one) for one in judged.verdicts}
        except ValueError as error:  # a logbook of other instruments
            reason = str(error)
    return Followed(
        name=name,
        steps=steps,
        tokens=int(logbook["tokens"].values[-1]) if len(steps) else 0,
        gaps=gaps,
        last_time=float(times[-1]) if len(times) else float("nan"),
        end=int(logbook.attrs["max_steps"]) if "max_steps" in logbook.attrs else None,
        coming=next_observation(logbook.attrs, steps, times, logbook["seconds"].values, last),
        judged=judged,
        reason=reason,
        curves=curves,
    )


def _curve(looked: xr.Dataset, one: Verdict) -> Array:
    here = looked["contrast_index"].sel(domain=one.domain)
    here = (
        here.isel(space=0, pooling=0)
        if one.readout is None
        else here.sel(space=one.readout.space, pooling=one.readout.pooling)
    )
    values: Array = here.values
    return values
