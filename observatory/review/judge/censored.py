"""The median of times that were not all lived to see: some runs end before what is waited for."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from observatory.observation import Array


def survival(times: ArrayLike, seen: ArrayLike) -> tuple[Array, Array]:
    """The times at which something happened, and the share to which it has not happened after each (Kaplan and Meier).

    `times` of those to which it has not happened, which are not `seen`, are when watching them ended.
    """
    at, happened = _checked(times, seen)
    events = np.unique(at[happened])
    waiting = (at[:, None] >= events).sum(0)
    dying = (at[happened][:, None] == events).sum(0)
    return events, np.cumprod(1 - dying / waiting)


def median(times: ArrayLike, seen: ArrayLike) -> float:
    """When it has happened to half; between two times where that is no one time, on a log axis; else inf."""
    events, left = survival(times, seen)
    half = np.flatnonzero(left <= 0.5 + 1e-12)
    if not half.size:
        return math.inf
    first = int(half[0])
    if left[first] < 0.5 - 1e-12:
        return float(events[first])
    after = events[first + 1] if first + 1 < len(events) else math.inf
    return float(np.expm1((np.log1p(events[first]) + np.log1p(after)) / 2))


def median_interval(times: ArrayLike, seen: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Two order statistics that hold the median in that share of samples at least, whatever the distribution.

    It may have happened just after watching ended, or never: the lower end takes the one, the upper the other. Fewer
    than six give no interval of 95%: all of five lie on one side of the median once in sixteen times.
    """
    at, happened = _checked(times, seen)
    outside = int(stats.binom.ppf((1 - level) / 2, len(at), 0.5))
    outside -= stats.binom.cdf(outside, len(at), 0.5) > (1 - level) / 2  # so many may lie below the lower end
    if outside < 0:
        return math.nan, math.nan
    latest = np.where(happened, at, np.inf)
    return float(np.sort(at)[outside]), float(np.sort(latest)[-1 - outside])


def _checked(times: ArrayLike, seen: ArrayLike) -> tuple[Array, Array]:
    at, happened = np.asarray(times, dtype=float), np.asarray(seen, dtype=bool)
    if at.ndim != 1 or at.shape != happened.shape or not at.size or not np.isfinite(at).all():
        raise ValueError(f"each time needs to be finite and to be seen or not, one or more; got {at} and {happened}")
    return at, happened
