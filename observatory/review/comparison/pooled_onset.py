"""When a region emerges in several runs of one size: in how many, half of them by when, and how far they lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from observatory.observation import Array
from observatory.review.judge.censored import median, median_interval
from observatory.review.judge.emergence import Emergence
from observatory.review.judge.evidence import LEVELS
from observatory.review.judge.verdict import UNKNOWN, Verdict


@dataclass(frozen=True)
class Arrival:
    """When a region emerged in one run, or until when it had not."""

    at: float
    emerged: bool


@dataclass(frozen=True)
class PooledOnset:
    """When a region emerges in runs of one size; time is a logarithm, so spreads are factors."""

    parameters: int | None
    """Of the models, where it was recorded."""
    domain: str
    judged: int
    """Runs about which something can be said."""
    emerged: int
    """Runs in which it emerged at some time, lost again or not."""
    share_interval: tuple[float, float]
    """Of the share of runs in which it emerges, 95%, exact (Clopper and Pearson 1934)."""
    median: float
    """By when it has emerged in half of the runs judged, those among them in which it has not yet (Kaplan and Meier).

    Infinite where it is not known to emerge in half of them.
    """
    median_interval: tuple[float, float]
    """95% or more, from order statistics; missing for fewer than six runs, infinite where no end is known."""
    onset: float
    """Geometric mean of 1 + onset, less 1, over the runs in which it emerged: steps, or tokens where all know them.

    Too early an estimate where it has not emerged in others, which the median allows for.
    """
    interval: tuple[float, float]
    """95%, Student's t between runs; missing for fewer than two in which it emerged."""
    between: float
    """The factor of one standard deviation between runs, what resampling the stimuli gives taken out."""
    within: float
    """The factor of one standard deviation from the stimuli, within a run."""


def pool(domain: str, runs: Sequence[Emergence], unit: str, parameters: int | None = None) -> PooledOnset:
    """Of runs that count in `tokens` or in `steps`."""
    found = [one for run in runs if (one := arrival(run, domain, unit)) is not None]
    times, seen = np.array([one.at for one in found]), np.array([one.emerged for one in found], dtype=bool)
    told = [run for run in runs if domain in run.onsets]
    spreads = np.array([_spread(run, run.onsets[domain].draws, unit) for run in told])
    spreads = spreads[np.isfinite(spreads)]
    within = float(np.sqrt(np.mean(np.square(spreads)))) if spreads.size else math.nan
    onset, interval = mean_time(times[seen]) if found else (math.nan, (math.nan, math.nan))
    between = math.nan
    if seen.sum() > 1:
        variance = float(np.var(np.log1p(times[seen]), ddof=1))
        between = math.exp(math.sqrt(max(0.0, variance - (0.0 if math.isnan(within) else within**2))))
    return PooledOnset(
        parameters=parameters,
        domain=domain,
        judged=len(found),
        emerged=int(seen.sum()),
        share_interval=share_interval(int(seen.sum()), len(found)),
        median=median(times, seen) if found else math.nan,
        median_interval=median_interval(times, seen) if found else (math.nan, math.nan),
        onset=onset,
        interval=interval,
        between=between,
        within=math.exp(within),
    )


def arrival(run: Emergence, domain: str, unit: str) -> Arrival | None:
    """Where E passed its floor; else the first observation at which it had emerged, or the last at which it had not.

    Nothing where nothing can be said. What is there at the first observation emerged at it or before.
    """
    judged = next((one for one in run.verdicts if one.domain == domain), None)
    if judged is None or judged.level == UNKNOWN:
        return None
    if domain not in run.onsets:
        return Arrival(time_of(run, run.steps[-1], unit), emerged=False)
    crossing = run.onsets[domain].crossing
    return Arrival(time_of(run, crossing if math.isfinite(crossing) else _by(judged), unit), emerged=True)


def time_of(run: Emergence, step: float, unit: str) -> float:
    """A step in the unit of the comparison."""
    return run.tokens_at(step) if unit == "tokens" else float(step)


def mean_time(times: Array) -> tuple[float, tuple[float, float]]:
    """Geometric mean of 1 + time, less 1, and its 95% t interval, which takes two; of none nothing."""
    at = np.log1p(times)
    middle = float(np.mean(at)) if at.size else math.nan
    if at.size < 2:
        return math.expm1(middle), (math.nan, math.nan)
    half = float(stats.t.ppf(0.975, at.size - 1) * stats.sem(at))
    return math.expm1(middle), (math.expm1(middle - half), math.expm1(middle + half))


def share_interval(count: int, of: int) -> tuple[float, float]:
    """95%, exact; missing of none."""
    if not of:
        return math.nan, math.nan
    exact = stats.binomtest(count, of).proportion_ci()
    return float(exact.low), float(exact.high)


def _by(judged: Verdict) -> int:
    """Of the lowest level, which every other has, too."""
    return judged.episodes[LEVELS[0]][0].by


def _spread(run: Emergence, draws: Array, unit: str) -> float:
    """Of the logarithm of the onset over resamples, those left out in which it never emerges."""
    times = np.log1p([time_of(run, step, unit) for step in draws[np.isfinite(draws)]])
    return float(np.std(times, ddof=1)) if len(times) > 1 else math.nan
