"""Several runs together: in how many each region emerged, when on average, and how far the runs lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr
from rich.table import Table
from scipy import stats

from observatory.observation import Array
from observatory.review.emergence import Emergence, emergence, plain
from observatory.review.evidence import Criteria
from observatory.review.order import Order, order_probabilities
from observatory.review.verdict import UNKNOWN
from observatory.review.wording import sequence


@dataclass(frozen=True)
class PooledOnset:
    """When a region emerges in the runs in which it does; time is a logarithm, so spreads are factors."""

    domain: str
    judged: int
    """Runs about which something can be said."""
    emerged: int
    """Runs in which it emerged at some time, lost again or not."""
    share_interval: tuple[float, float]
    """Of the share of runs in which it emerges, 95%, exact (Clopper and Pearson 1934)."""
    onset: float
    """Geometric mean of 1 + onset, less 1, over the runs in which it emerged: steps, or tokens where all know them.

    A run in which it emerged, but not with an E above its floor at two observations running in one readout, has none.
    """
    interval: tuple[float, float]
    """95%, Student's t between runs; missing for fewer than two with an onset."""
    between: float
    """The factor of one standard deviation between runs, what resampling the stimuli gives taken out."""
    within: float
    """The factor of one standard deviation from the stimuli, within a run."""


@dataclass(frozen=True)
class Comparison:
    """Runs of one battery, side by side."""

    unit: str
    """What onsets are counted in: `tokens` or `steps`."""
    runs: Mapping[str, Emergence]
    pooled: tuple[PooledOnset, ...]
    orders: tuple[Order, ...]
    """Orders of onsets, and the share that have each among the runs in which something can be said of every domain."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the verdicts of every run."""
        content: dict[str, Any] = plain(
            {"unit": self.unit, "pooled": list(map(asdict, self.pooled)), "orders": list(map(asdict, self.orders))}
        )
        runs = {name: judged.to_json() for name, judged in self.runs.items()}
        return {"format": "observatory-comparison", "format_version": "1.0", **content, "runs": runs}


def compare(logbooks: Mapping[str, xr.Dataset], criteria: Criteria | None = None) -> Comparison:
    """Judges each logbook by itself, then pools the onsets."""
    if len(logbooks) < 2:
        raise ValueError(f"a comparison needs two logbooks or more; got {len(logbooks)}")
    _refuse_other_batteries(logbooks)
    runs = {name: emergence(logbook, criteria) for name, logbook in logbooks.items()}
    unit = "tokens" if all(run.tokens and max(run.tokens) > 0 for run in runs.values()) else "steps"
    domains = dict.fromkeys(verdict.domain for run in runs.values() for verdict in run.verdicts)
    pooled = tuple(_pool(domain, list(runs.values()), unit) for domain in domains)
    return Comparison(unit, runs, pooled, _orders(list(domains), list(runs.values())))


def _pool(domain: str, runs: list[Emergence], unit: str) -> PooledOnset:
    verdicts = [verdict for run in runs for verdict in run.verdicts if verdict.domain == domain]
    judged = sum(verdict.level != UNKNOWN for verdict in verdicts)
    told = [run for run in runs if domain in run.onsets]
    at = np.log1p([_time(run, run.onsets[domain].crossing, unit) for run in told])
    at = at[np.isfinite(at)]
    spreads = np.array([_spread(run, run.onsets[domain].draws, unit) for run in told])
    spreads = spreads[np.isfinite(spreads)]
    within = float(np.sqrt(np.mean(np.square(spreads)))) if spreads.size else math.nan
    middle = float(np.mean(at)) if at.size else math.nan
    interval, between, share = (math.nan, math.nan), math.nan, (math.nan, math.nan)
    if judged:
        exact = stats.binomtest(len(told), judged).proportion_ci()
        share = (float(exact.low), float(exact.high))
    if len(at) > 1:
        deviation = float(np.std(at, ddof=1))
        half = float(stats.t.ppf(0.975, len(at) - 1)) * deviation / math.sqrt(len(at))
        interval = (math.expm1(middle - half), math.expm1(middle + half))
        between = math.exp(math.sqrt(max(0.0, deviation**2 - (0.0 if math.isnan(within) else within**2))))
    return PooledOnset(
        domain=domain,
        judged=judged,
        emerged=len(told),
        share_interval=share,
        onset=math.expm1(middle),
        interval=interval,
        between=between,
        within=math.exp(within),
    )


def _time(run: Emergence, step: float, unit: str) -> float:
    return run.tokens_at(step) if unit == "tokens" else step


def _spread(run: Emergence, draws: Array, unit: str) -> float:
    """Of the logarithm of the onset over resamples, those left out in which it never emerges."""
    times = np.log1p([_time(run, step, unit) for step in draws[np.isfinite(draws)]])
    return float(np.std(times, ddof=1)) if len(times) > 1 else math.nan


def _orders(domains: list[str], runs: list[Emergence]) -> tuple[Order, ...]:
    judged = [run for run in runs if all(verdict.level != UNKNOWN for verdict in run.verdicts)]
    if len(domains) < 2 or not judged:
        return ()
    return tuple(
        order_probabilities({domain: np.array([_crossing(run, domain) for run in judged]) for domain in domains})
    )


def _crossing(run: Emergence, domain: str) -> float:
    return run.onsets[domain].crossing if domain in run.onsets else math.inf


def _refuse_other_batteries(logbooks: Mapping[str, xr.Dataset]) -> None:
    hashes = {name: logbook.attrs.get("provenance_battery", "unknown") for name, logbook in logbooks.items()}
    first = next(iter(hashes))
    for name, found in hashes.items():
        if found != hashes[first]:
            raise ValueError(
                f"indices are comparable only on one battery: {first} has {hashes[first]}, and {name} has {found}; "
                f"replay one of them with the other's battery"
            )


def comparison_table(found: Comparison) -> Table:
    """One row a domain."""
    table = Table(
        title=f"{len(found.runs)} runs",
        caption="Onset: where E passes its floor, as the geometric mean over the runs in which the region emerged, "
        "with a 95% t interval between runs. Spread: factor of one standard deviation. "
        + "; ".join(f"{sequence(order)}: {order.probability:.0%} of runs" for order in found.orders[:3]),
    )
    for heading in ("domain", "emerged", "share of runs, 95%", f"onset ({found.unit})", "between runs", "by stimuli"):
        table.add_column(heading)
    for one in found.pooled:
        low, high = one.share_interval
        table.add_row(
            one.domain,
            f"{one.emerged} of {one.judged}",
            f"{low:.2f}-{high:.2f}" if one.judged else "-",
            f"{_number(one.onset)} [{_number(one.interval[0])}, {_number(one.interval[1])}]" if one.emerged else "-",
            f"x {one.between:.2f}" if math.isfinite(one.between) else "-",
            f"x {one.within:.2f}" if math.isfinite(one.within) else "-",
        )
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "-"
