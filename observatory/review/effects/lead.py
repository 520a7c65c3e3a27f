"""Which of two series moves first, and by how much: whether a loss falls before a region appears, say.

Time is x = log(1 + s). A lag is the x of the second series less that of the first, so it is positive where the first
leads; its exponential is how many times as far training is, in 1 + s, when the second has caught up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp

import numpy as np
from scipy import optimize

from observatory.observation import Array
from observatory.review.judge.onset import interval, log_time

_FEWEST = 6
"""Finite observations that a series needs: three for its level at the start, three for that at the end."""
_REPLICATES = 40
"""Fewer do not reach to the 2.5% at either end."""
_DRAWS = 500
NO_CHANGE = "has no net change"
_SURE = 2.576
"""A net change counts from so many standard errors on: 99%, two-sided."""
_NEAR = 7
"""Observations by which the noise of one is judged."""
_OF_NORMAL = 1.4826
"""The standard deviation of a normal distribution, in medians of its magnitudes."""
_CELLS = 100
"""Steps of the common grid in the shorter of the two series."""


@dataclass(frozen=True)
class Series:
    """A quantity over training, and what is known of its noise."""

    name: str
    steps: Array
    values: Array
    """One a step; what is not finite says nothing."""
    replicates: Array | None = None
    """replicate, step: the same series from resampled data."""
    errors: Array | None = None
    """Standard errors, one a step, where there are no replicates: the noise is then drawn as normal and independent."""

    def __post_init__(self) -> None:
        x, values = log_time(self.steps), np.asarray(self.values)
        if values.shape != x.shape:
            raise ValueError(f"{self.name} has {x.size} steps and needs as many values; got shape {values.shape}")
        if self.replicates is not None and self.errors is not None:
            raise ValueError(f"{self.name} has replicates and errors; give the one that you trust more")
        if self.replicates is not None:
            shape = np.shape(self.replicates)
            if len(shape) != 2 or shape[0] < _REPLICATES or shape[1] != x.size:
                raise ValueError(
                    f"replicates of {self.name} are {_REPLICATES} or more rows of {x.size} values; got shape {shape}"
                )
        if self.errors is not None:
            errors = np.asarray(self.errors)
            if errors.shape != x.shape or not ((errors >= 0) & (errors < np.inf))[np.isfinite(values)].all():
                raise ValueError(f"{self.name} needs a finite error of 0 or more for each of its {x.size} steps")


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


@dataclass(frozen=True)
class Halfway:
    """When a series has gone half of its way from its level at the start to that at the end."""

    start: float
    end: float
    step: float
    draws: Array
    """The same in replicates; none where the noise of the series is not known."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """95%."""
        return interval(self.draws)[:2] if self.draws.size else None


@dataclass(frozen=True)
class _Told:
    """What a series says: its finite observations, turned so that it rises."""

    falls: bool
    """Before it was turned."""

    x: Array
    rows: Array
    """The series itself, and below it the replicates, if there are any."""


def lead(a: Series, b: Series, draws: int = _DRAWS, seed: int = 0) -> Lead:
    """Replicates are paired where both series have equally many; otherwise, and from errors, `draws` are drawn."""
    if draws < _REPLICATES:
        raise ValueError(f"a 95% interval needs {_REPLICATES} draws or more; got {draws}")
    generator = np.random.default_rng(seed)
    paired = a.replicates is not None and b.replicates is not None and len(a.replicates) == len(b.replicates)
    told = []
    for series in (a, b):
        one = _told(series, draws, paired, generator)
        if isinstance(one, str):
            return Lead(a.name, b.name, None, None, one)
        told.append(one)
    unknown = [series.name for series in (a, b) if series.replicates is None and series.errors is None]
    reasons = [f"there is no interval, because {unknown[0]} has neither replicates nor errors"] if unknown else []
    first, second = (replace(one, rows=one.rows[:1]) if unknown else one for one in told)
    halfway = _estimate(_halfway(second) - _halfway(first))
    falling = (first.falls, second.falls)
    shorter, longer = sorted(np.ptp(one.x) for one in told)
    if shorter < longer / 10:
        reasons.append("there is no shift, because one series covers less than a tenth of the other's log(1 + step)")
        return Lead(a.name, b.name, halfway, None, "; ".join(reasons), falling)
    shift = _estimate(*_shifts(first, second, shorter / _CELLS))
    return Lead(a.name, b.name, halfway, shift, "; ".join(reasons), falling)


def halfway(series: Series, draws: int = _DRAWS, seed: int = 0) -> Halfway | str:
    """Or the sentence that says why there is no such time.

    Of series with equally many replicates those of the same number are drawn together, if the seed is the same.
    """
    told = _told(series, draws, False, np.random.default_rng(seed))
    if isinstance(told, str):
        return told
    sign = -1 if told.falls else 1
    start, end = (sign * float(level) for level in _levels(told.x, told.rows[0]))
    steps = np.expm1(_halfway(told))
    return Halfway(start, end, float(steps[0]), steps[1:])


def levels(series: Series) -> tuple[float, float] | None:
    """Where a series starts and ends; None where it has no net change, or too few observations."""
    told = _told(series, _DRAWS, True, np.random.default_rng(0))
    if isinstance(told, str):
        return None
    start, end = (float(level) for level in _levels(told.x, told.rows[0]))
    return (-start, -end) if told.falls else (start, end)


def _told(series: Series, draws: int, paired: bool, generator: np.random.Generator) -> _Told | str:
    """Or the sentence that says why it tells nothing. Replicates that are paired are taken as they stand."""
    values = np.asarray(series.values, dtype=float)
    table = None if series.replicates is None else np.asarray(series.replicates, dtype=float)
    finite = np.isfinite(values) if table is None else np.isfinite(values) & np.isfinite(table).all(0)
    x, values = log_time(series.steps)[finite], values[finite]
    if values.size < _FEWEST:
        return f"{series.name} has {values.size} finite observations, and a lead needs {_FEWEST}"
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return f"{series.name} is constant"
    if table is not None:
        table = (table if paired else table[generator.integers(len(table), size=draws)])[:, finite]
    elif series.errors is not None:
        noise = generator.standard_normal((draws, values.size))
        table = values + noise * np.asarray(series.errors, dtype=float)[finite]
    start, end = _levels(x, values)
    change = float(end - start)
    error = _error_of_change(x, values) if table is None else float(np.subtract(*_levels(x, table)).std())
    if abs(change) <= _SURE * error:
        return (
            f"{series.name} {NO_CHANGE}: from {start:.3g} to {end:.3g}, with a standard error of {error:.2g}, "
            "may be noise"
        )
    return _Told(change < 0, x, np.sign(change) * (values[None] if table is None else np.vstack([values, table])))


def _ends(x: Array) -> tuple[int, int]:
    """How many observations make the first and the last level: those in a tenth of x, but three at least.

    A tenth of x and not of the observations, because these may be evenly spaced in steps, so that a tenth of them at
    the start would reach far into the rise.
    """
    tenth = np.ptp(x) / 10
    first, last = (x <= x[0] + tenth).sum(), (x >= x[-1] - tenth).sum()
    return min(max(3, int(first)), x.size // 2), min(max(3, int(last)), x.size // 2)


def _levels(x: Array, values: Array) -> tuple[Array, Array]:
    """Where a series starts and ends, as medians, which one wild observation does not move; along the last axis."""
    first, last = _ends(x)
    return np.median(values[..., :first], axis=-1), np.median(values[..., -last:], axis=-1)


def noise_beside_neighbours(x: Array, values: Array) -> float:
    """Standard error of one observation, from how far each lies off the line between its two neighbours."""
    return float(_OF_NORMAL * np.median(_off_neighbours(x, values)))


def noise_at_each(x: Array, values: Array) -> Array:
    """The same of each observation from those about it, and no less than that of all.

    What is near zero for long and moves later has its noise later too; one number for all would take it for certain.
    """
    off = _off_neighbours(x, values)
    near = min(_NEAR, off.size)
    first = np.clip(np.arange(values.size) - 1 - near // 2, 0, off.size - near)
    windows = np.lib.stride_tricks.sliding_window_view(off, near)[first]
    found: Array = _OF_NORMAL * np.maximum(np.median(windows, axis=1), np.median(off))
    return found


def _off_neighbours(x: Array, values: Array) -> Array:
    """In standard errors of one observation, for all that have two neighbours."""
    share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    off = values[1:-1] - (1 - share) * values[:-2] - share * values[2:]
    scaled: Array = np.abs(off) / np.sqrt(1 + share**2 + (1 - share) ** 2)
    return scaled


def _error_of_change(x: Array, values: Array) -> float:
    """Standard error of end less start."""
    noise = noise_beside_neighbours(x, values)
    first, last = _ends(x)
    return float(noise * np.sqrt(np.pi / 2 * (1 / first + 1 / last)))  # pi / 2: a median is that much less exact


def _halfway(told: _Told) -> Array:
    """For each row, the first x at which its monotone regression has gone half of the way between its levels.

    Values beyond a level count as the level, so that neither an outlier nor an overshoot moves the half-way mark; the
    regression then always begins at or below it and ends at or above it.
    """
    x = told.x
    start, end = _levels(x, told.rows)
    direction = np.where(end < start, -1.0, 1.0)  # a replicate may fall where the series rises
    low, high = direction * start, direction * end
    inside = np.clip(direction[:, None] * told.rows, low[:, None], high[:, None])
    found = np.empty(len(inside))
    for row, half in enumerate((low + high) / 2):
        fit = optimize.isotonic_regression(inside[row]).x
        place = min(int(np.searchsorted(fit, half)), x.size - 1)
        found[row] = x[place]
        if place > 0 and fit[place] > fit[place - 1]:  # not where rounding leaves the regression below half at its end
            share = (half - fit[place - 1]) / (fit[place] - fit[place - 1])
            found[row] -= (1 - min(share, 1.0)) * (x[place] - x[place - 1])
    return found


def _shifts(a: _Told, b: _Told, cell: float) -> tuple[Array, tuple[float, float]]:
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


def _on_grid(told: _Told, cell: float) -> Array:
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
