"""Which of two series moves first, and by how much: whether a loss falls before a region appears, say.

Time is x = log(1 + s). A lag is the x of the second series less that of the first, so it is positive where the first
leads; its exponential is how many times as far training is, in 1 + s, when the second has caught up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp

import numpy as np

from observatory.observation import Array
from observatory.review.effects.change import DRAWS, REPLICATES, Series, Told, half_points, told
from observatory.review.judge.onset import interval

_CELLS = 100
"""Steps of the common grid in the shorter of the two series."""


@dataclass(frozen=True)
class Estimate:
    """A lag, with what the replicates say of it."""

    lag: float
    interval: tuple[float, float] | None
    """95%, or none where the noise of a series is not known."""
    before: float | None
    """The probability that the first series comes first, a tie counting half."""
    bound: tuple[float, float] = (-np.inf, np.inf)
    """The smallest and the largest lag that was tried."""

    @property
    def ratio(self) -> float:
        """(1 + step of the second series) / (1 + step of the first)."""
        return exp(self.lag)

    @property
    def ratio_interval(self) -> tuple[float, float] | None:
        return None if self.interval is None else (exp(self.interval[0]), exp(self.interval[1]))

    @property
    def at_bound(self) -> bool:
        """Whether the lag or an end of its interval is only the last one tried, so that the truth may lie beyond."""
        return any(value in self.bound for value in (self.lag, *(self.interval or ())))


@dataclass(frozen=True)
class Lead:
    """How far the first series is ahead of the second, by two estimates that should agree."""

    first: str
    second: str
    halfway: Estimate | None
    """From where each has gone half of its way."""
    shift: Estimate | None
    """From the shift that makes the two curves most alike; it uses their whole shape."""
    reason: str
    """Why an estimate or its interval is missing; empty where nothing is."""
    falling: tuple[bool, bool] = (False, False)
    """Whether the first series and the second fall, as a loss should; such a one is turned so that it rises."""


def lead(a: Series, b: Series, draws: int = DRAWS, seed: int = 0) -> Lead:
    """Replicates are paired where both series have equally many; otherwise, and from errors, `draws` are drawn."""
    if draws < REPLICATES:
        raise ValueError(f"a 95% interval needs {REPLICATES} draws or more; got {draws}")
    generator = np.random.default_rng(seed)
    paired = a.replicates is not None and b.replicates is not None and len(a.replicates) == len(b.replicates)
    both = []
    for series in (a, b):
        one = told(series, draws, paired, generator)
        if isinstance(one, str):
            return Lead(a.name, b.name, None, None, one)
        both.append(one)
    unknown = [series.name for series in (a, b) if series.replicates is None and series.errors is None]
    reasons = [f"there is no interval, because {unknown[0]} has neither replicates nor errors"] if unknown else []
    first, second = (replace(one, rows=one.rows[:1]) if unknown else one for one in both)
    halfway = _estimate(half_points(second) - half_points(first))
    falling = (first.falls, second.falls)
    shorter, longer = sorted(np.ptp(one.x) for one in both)
    if shorter < longer / 10:
        reasons.append("there is no shift, because one series covers less than a tenth of the other's log(1 + step)")
        return Lead(a.name, b.name, halfway, None, "; ".join(reasons), falling)
    shift = _estimate(*_shifts(first, second, shorter / _CELLS))
    return Lead(a.name, b.name, halfway, shift, "; ".join(reasons), falling)


def _shifts(a: Told, b: Told, cell: float) -> tuple[Array, tuple[float, float]]:
    """For each row the lag with the largest correlation over the overlap, and the bounds of the search.

    The overlap is at least half of the shorter series. Of equally good lags the smallest is taken.
    """
    left, right = _on_grid(a, cell), _on_grid(b, cell)
    wide, other = left.shape[1], right.shape[1]
    fewest = -(-min(wide, other) // 2)
    moves = range(fewest - wide, other - fewest + 1)
    lags = b.x[0] - a.x[0] + cell * np.array(moves)
    alike = np.empty((len(left), len(moves)))
    for place, move in enumerate(moves):
        first, last = max(0, -move), min(wide, other - move)
        alike[:, place] = _correlation(left[:, first:last], right[:, first + move : last + move])
    good = alike >= alike.max(1, keepdims=True) - 1e-9
    best = np.where(good, np.abs(lags), np.inf).argmin(1)
    row, inner = np.arange(len(left)), np.clip(best, 1, len(moves) - 2)
    before, top, after = (alike[row, inner + side] for side in (-1, 0, 1))
    bend = np.minimum(before - 2 * top + after, -1e-12)
    offset = np.where(best == inner, np.clip((before - after) / (2 * bend), -0.5, 0.5), 0.0)
    return lags[best] + cell * offset, (float(lags[0]), float(lags[-1]))


def _correlation(a: Array, b: Array) -> Array:
    """Of each row of one with that of the other; 0 where one is constant."""
    a, b = (values - values.mean(1, keepdims=True) for values in (a, b))
    lengths = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    alike: Array = np.divide((a * b).sum(1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return alike


def _on_grid(told: Told, cell: float) -> Array:
    """The rows interpolated at evenly spaced x from the first on."""
    places = told.x[0] + cell * np.arange(int(np.ptp(told.x) / cell + 1e-9) + 1)
    return np.stack([np.interp(places, told.x, row) for row in told.rows])


def _estimate(lags: Array, bound: tuple[float, float] = (-np.inf, np.inf)) -> Estimate:
    """The first lag is that of the series themselves, the others those of replicates, if there are any."""
    if lags.size == 1:
        return Estimate(float(lags[0]), None, None, bound)
    low, high, _ = interval(lags[1:])
    before = float((lags[1:] > 0).mean() + (lags[1:] == 0).mean() / 2)
    return Estimate(float(lags[0]), (low, high), before, bound)
