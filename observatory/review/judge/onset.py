"""When a curve passes a threshold for two observations running, and the interval of that.

Time is x = log(1 + s), because training is observed at steps that are about evenly spaced in their logarithm. A value
that is not finite is an observation that says nothing.
"""

from __future__ import annotations

from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from observatory.observation import Array


class OnsetInterval(NamedTuple):
    """Two replicates that enclose the stated share of them, and how many never emerged."""

    low: float
    high: float
    share_never: float


def log_time(steps: ArrayLike) -> Array:
    """log(1 + s) of steps that ascend without repeats; refuses others."""
    at = np.asarray(steps, dtype=float)
    if at.ndim != 1 or not at.size or not np.isfinite(at).all() or at.min() < 0:
        raise ValueError(f"steps are one row of numbers from 0 up; got {np.array2string(at, threshold=6)}")
    if wrong := np.flatnonzero(np.diff(at) <= 0).tolist():
        first, second = at[wrong[0]], at[wrong[0] + 1]
        raise ValueError(
            f"steps must ascend without repeats, and {first:g} is followed by {second:g}; sort the observations by "
            "step and keep one of each"
        )
    x: Array = np.log1p(at)
    return x


def crossings(steps: ArrayLike, curves: ArrayLike, threshold: ArrayLike) -> Array:
    """The step at which each curve first passes the threshold and is still above it at the next observation, or inf.

    A threshold with as many axes as the curves is compared as it stands; one with fewer has no axis of steps.
    """
    x, y, level = log_time(steps), np.asarray(curves, dtype=float), np.asarray(threshold, dtype=float)
    same_steps(x, y)
    y = np.where(np.isfinite(y), y, nan)
    if level.ndim < y.ndim:
        level = level[..., None]
    try:
        excess = y - np.broadcast_to(level, y.shape)
    except ValueError as error:
        raise ValueError(
            f"a threshold of shape {np.shape(threshold)} fits neither the curves, of shape {y.shape}, nor their "
            f"leading axes {y.shape[:-1]}; give one number or one of these shapes"
        ) from error
    above = np.isfinite(excess) & (excess > 0)
    sustained = above[..., :-1] & above[..., 1:]
    if not sustained.shape[-1]:
        return np.full(y.shape[:-1], np.inf)
    found = sustained.argmax(-1)
    before = np.maximum(found - 1, 0)
    now, then = (np.take_along_axis(excess, place[..., None], -1)[..., 0] for place in (found, before))
    between = (found > 0) & np.isfinite(then)  # then the observation before was at the threshold or below it
    share = np.divide(-then, now - then, out=np.ones_like(now), where=between & sustained.any(-1))
    step = np.where(between, np.expm1(x[before] + share * (x[found] - x[before])), np.asarray(steps, float)[found])
    return np.where(sustained.any(-1), step, np.inf)


def interval(replicates: ArrayLike, level: float = 0.95) -> OnsetInterval:
    """Two order statistics with the same number of replicates outside each; a replicate that never emerges is inf.

    So `high` is inf as soon as more of them than the upper tail holds never emerge.
    """
    onsets = np.sort(np.asarray(replicates, dtype=float).ravel())
    if not onsets.size or np.isnan(onsets).any():
        raise ValueError(
            f"an interval is taken of one replicate or more, none of them nan; got {onsets.size}, of which "
            f"{np.isnan(onsets).sum()} nan; give inf for one that never emerges"
        )
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, as 0.95 does; got {level}")
    tail = int(onsets.size * (1 - level) / 2 + 1e-9)  # 200 * (1 - 0.9) / 2 is a hair less than 10
    return OnsetInterval(float(onsets[tail]), float(onsets[-1 - tail]), float(np.isinf(onsets).mean()))


def same_steps(x: Array, curves: Array) -> None:
    if not curves.ndim or curves.shape[-1] != x.size:
        raise ValueError(f"{x.size} steps need curves whose last axis is as long; got curves of shape {curves.shape}")
