"""E of each domain in several runs of one size, on common steps, and the mean of the runs with its interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.comparison.common_steps import mean_interval, on_grid
from observatory.review.comparison.compare import Comparison
from observatory.review.figures.strength import twins_between
from observatory.review.judge.evidence import evidence, lacking, observations
from observatory.review.judge.verdict import Readout


@dataclass(frozen=True)
class PooledCurve:
    """One domain in the runs of one size, in one readout of them all."""

    domain: str
    parameters: int | None
    readout: Readout
    counts: Array
    """Tokens or steps at which any of the runs was observed."""
    runs: Array
    """E as `run count`, interpolated in log(1 + count) between the observations of a run, and nan outside them."""
    mean: Array
    low: Array
    high: Array
    """95%, Student's t between runs: nan where fewer than two are known."""
    floor: float
    """The middle one of the runs'."""
    twins: tuple[float, float]
    """Where 95% of one run's untrained twins lie at the lowest and at the highest; nan where none were measured."""

    @property
    def seen(self) -> Array:
        """How many of the runs are known at each count."""
        seen: Array = np.isfinite(self.runs).sum(0)
        return seen


def pooled_curves(logbooks: Mapping[str, xr.Dataset], found: Comparison) -> list[PooledCurve]:
    """Of every size and domain; a domain is read in all runs where most verdicts on it were told of."""
    readouts = {domain: _readout(found, domain) for domain in found.domains}
    curves = []
    for size, names in found.sizes.grouped().items():
        seen = {name: _Seen.of(logbooks[name], found, name) for name in names}
        counts = np.unique(np.concatenate([one.counts for one in seen.values()]))
        for domain, readout in readouts.items():
            here = [one.at(domain, readout) for one in seen.values()]
            runs = np.stack(
                [on_grid(counts, one.counts, e) for one, (e, _, _) in zip(seen.values(), here, strict=True)]
            )
            floors, twins = np.array([floor for _, floor, _ in here]), np.array([between for _, _, between in here])
            mean, low, high = mean_interval(runs)
            known = np.isfinite(floors)
            curves.append(
                PooledCurve(
                    domain=domain,
                    parameters=size,
                    readout=readout,
                    counts=counts,
                    runs=runs,
                    mean=mean,
                    low=low,
                    high=high,
                    floor=float(np.median(floors[known])) if known.any() else np.nan,
                    twins=(float(twins[known, 0].min()), float(twins[known, 1].max()))
                    if known.any()
                    else (np.nan, np.nan),
                )
            )
    return curves


@dataclass(frozen=True)
class _Seen:
    """What of one logbook is drawn."""

    counts: Array
    index: xr.DataArray
    found: xr.Dataset | None
    """Its evidence, where verdicts can be given."""
    twins: int

    @classmethod
    def of(cls, logbook: xr.Dataset, found: Comparison, name: str) -> _Seen:
        looked, _ = observations(logbook)
        judged = found.runs[name]
        counts = np.array(judged.tokens if found.unit == "tokens" else judged.steps)
        if lacking(looked):
            return cls(counts, looked["contrast_index"], None, 0)
        return cls(counts, looked["contrast_index"], evidence(looked, judged.criteria), looked.sizes["twin"])

    def at(self, domain: str, readout: Readout) -> tuple[Array, float, tuple[float, float]]:
        """E, its floor and the twins; nan of a domain or a readout that this logbook has not."""
        place = {"domain": domain, "space": readout.space, "pooling": readout.pooling}
        if any(label not in self.index[dim].values for dim, label in place.items()):
            return np.full(len(self.counts), np.nan), np.nan, (np.nan, np.nan)
        values = self.index.sel(place).values
        if self.found is None:
            return values, np.nan, (np.nan, np.nan)
        here = self.found.sel(place)
        return values, float(here["floor"]), twins_between(here, self.twins)


def _readout(found: Comparison, domain: str) -> Readout:
    """Of the runs in which it emerged if there are any: of the others, verdicts are told of what came nearest."""
    told: Counter[Readout] = Counter()
    emerged: Counter[Readout] = Counter()
    for run in found.runs.values():
        for verdict in run.verdicts:
            if verdict.domain == domain and verdict.readout is not None:
                (emerged if domain in run.onsets else told)[verdict.readout] += 1
    return next((one for one, _ in (emerged or told).most_common(1)), Readout("mlp", "mean"))
