"""What a series over training says of itself: its change beyond its noise, and when it has gone half of its way.

Time is x = log(1 + s).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from observatory.observation import Array
from observatory.review.judge.onset import interval, log_time

_FEWEST = 6
"""Finite observations that a series needs: three for its level at the start, three for that at the end."""
REPLICATES = 40
"""Fewer do not reach to the 2.5% at either end."""
DRAWS = 500
NO_CHANGE = "has no net change"
NO_ONE_WAY = "goes up and down"
_SURE = 2.576
"""A net change counts from so many standard errors on: 99%, two-sided."""
_NEAR = 7
"""Observations by which the noise of one is judged."""
_OF_NORMAL = 1.4826
"""The standard deviation of a normal distribution, in medians of its magnitudes."""


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
            if len(shape) != 2 or shape[0] < REPLICATES or shape[1] != x.size:
                raise ValueError(
                    f"replicates of {self.name} are {REPLICATES} or more rows of {x.size} values; got shape {shape}"
                )
        if self.errors is not None:
            errors = np.asarray(self.errors)
            if errors.shape != x.shape or not ((errors >= 0) & (errors < np.inf))[np.isfinite(values)].all():
                raise ValueError(f"{self.name} needs a finite error of 0 or more for each of its {x.size} steps")


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
class Told:
    """What a series says: its finite observations, turned so that it rises."""

    falls: bool
    """Before it was turned."""

    x: Array
    rows: Array
    """The series itself, and below it the replicates, if there are any."""


def halfway(series: Series, draws: int = DRAWS, seed: int = 0) -> Halfway | str:
    """Or the sentence that says why there is no such time.

    Of series with equally many replicates those of the same number are drawn together, if the seed is the same.
    """
    found = told(series, draws, False, np.random.default_rng(seed))
    if isinstance(found, str):
        return found
    sign = -1 if found.falls else 1
    start, end = (sign * float(level) for level in _levels(found.x, found.rows[0]))
    steps = np.expm1(half_points(found))
    return Halfway(start, end, float(steps[0]), steps[1:])


def levels(series: Series) -> tuple[float, float] | None:
    """Where a series starts and ends; None where it has no net change, or too few observations."""
    found = told(series, DRAWS, True, np.random.default_rng(0))
    if isinstance(found, str):
        return None
    start, end = (float(level) for level in _levels(found.x, found.rows[0]))
    return (-start, -end) if found.falls else (start, end)


def told(series: Series, draws: int, paired: bool, generator: np.random.Generator) -> Told | str:
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
    beyond = _beyond(values, float(start), float(end))
    if beyond > abs(change):
        return f"{series.name} {NO_ONE_WAY}: from {start:.3g} to {end:.3g}, and in between {beyond:.2g} beyond these"
    return Told(change < 0, x, np.sign(change) * (values[None] if table is None else np.vstack([values, table])))


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


def _beyond(values: Array, start: float, end: float) -> float:
    """How far a series goes beyond both of its levels, for longer than one observation."""
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(values, 3), axis=1)
    return float(max(smooth.max() - max(start, end), min(start, end) - smooth.min(), 0.0))


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


def half_points(one: Told) -> Array:
    """For each row, the first x at which its monotone regression has gone half of the way between its levels.

    Values beyond a level count as the level, so that neither an outlier nor an overshoot moves the half-way mark; the
    regression then always begins at or below it and ends at or above it.
    """
    x = one.x
    start, end = _levels(x, one.rows)
    direction = np.where(end < start, -1.0, 1.0)  # a replicate may fall where the series rises
    low, high = direction * start, direction * end
    inside = np.clip(direction[:, None] * one.rows, low[:, None], high[:, None])
    found = np.empty(len(inside))
    for row, half in enumerate((low + high) / 2):
        fit = optimize.isotonic_regression(inside[row]).x
        place = min(int(np.searchsorted(fit, half)), x.size - 1)
        found[row] = x[place]
        if place > 0 and fit[place] > fit[place - 1]:  # not where rounding leaves the regression below half at its end
            share = (half - fit[place - 1]) / (fit[place] - fit[place - 1])
            found[row] -= (1 - min(share, 1.0)) * (x[place] - x[place - 1])
    return found
