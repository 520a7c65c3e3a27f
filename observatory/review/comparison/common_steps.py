"""Curves of runs that were observed at different steps, on the steps of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy import stats

from observatory.observation import Array
from observatory.review.figures.token_axis import TokenAxis


def on_grid(grid: Array, counts: Array, values: Array) -> Array:
    """A curve between its observations, straight in log(1 + count); nan outside them and beside one that is missing."""
    at = np.log1p(counts.astype(float))
    found: Array = np.interp(np.log1p(grid.astype(float)), at, values, left=np.nan, right=np.nan)
    return found


def mean_interval(runs: Array, one_more: bool = False) -> tuple[Array, Array, Array]:
    """Mean over runs, and 95% by Student's t: of the mean, or of one more run."""
    known = np.isfinite(runs)
    count = known.sum(0)
    several = count > 1
    mean = np.where(known, runs, 0).sum(0) / np.where(count, count, np.nan)
    squares = np.where(known, (runs - mean) ** 2, 0).sum(0)
    spread = np.sqrt(squares / np.where(several, count - 1, np.nan))
    t = stats.t.ppf(0.975, np.where(several, count - 1, 1))
    half = t * spread * np.sqrt(1 / np.where(several, count, np.nan) + one_more)
    return mean, mean - half, mean + half


def shared_axis(counts: Sequence[Array], unit: str) -> TokenAxis:
    """One axis for runs that were observed at different steps."""
    every = np.unique(np.concatenate(list(counts)))
    tokens = every if unit == "tokens" else np.zeros_like(every)
    return TokenAxis.of(xr.Dataset(coords={"step": every, "tokens": ("step", tokens)}))
