"""Alignment with outside representations over training, and what other stimuli would have given."""

from __future__ import annotations

import numpy as np
import xarray as xr

from observatory.observation import Array

_MEAN = "alignment_mean"
_DRAWS = 500
OF_ALIGNMENT = "alignment/"


def no_alignment(logbook: xr.Dataset) -> str | None:
    """Why there is nothing to draw, if so."""
    if _MEAN not in logbook:
        return f"{_MEAN} was not recorded; observe with the instrument alignment"
    return None if np.isfinite(logbook[_MEAN].values).any() else f"{_MEAN} is missing at every step"


def alignments(logbook: xr.Dataset) -> list[str]:
    """The curves there are, as alignment/norms/predictivity."""
    return [] if no_alignment(logbook) else [f"{OF_ALIGNMENT}{name}" for name in logbook["outside"].values]


def alignment_at(logbook: xr.Dataset) -> xr.Dataset:
    """The steps at which it was measured."""
    told = np.isfinite(logbook[_MEAN].transpose("step", "outside").values).any(1)
    return logbook.isel(step=told)


def alignment_curve(logbook: xr.Dataset, name: str) -> tuple[Array, Array]:
    """The mean over layers at each step, and replicates (draw, step) from other stimuli, the same ones at every step.

    A replicate counts each part of the stimuli 0, 1, 2 or more times: the value plus, for each time more or less, what
    the part adds to it, which is known from the value without the part.
    """
    here = logbook.sel(outside=name.removeprefix(OF_ALIGNMENT))
    values = here[_MEAN].values.astype(float)
    left_out = here["alignment_left_out"].transpose("step", "part").values.astype(float)
    parts = np.isfinite(left_out).any(0)
    left_out = left_out[:, parts]
    count = left_out.shape[1]
    added = np.sqrt((count - 1) / count) * (left_out.mean(1, keepdims=True) - left_out)
    draw = np.random.default_rng(list(b"alignment"))
    times = draw.multinomial(count, np.full(count, 1 / count), size=_DRAWS)
    replicates: Array = values + (times - 1) @ added.T
    return values, replicates
