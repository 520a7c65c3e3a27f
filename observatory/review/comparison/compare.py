"""Several runs together, seeds of models of one size or of several: what emerged in each, when, and in which order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

from observatory.review.comparison.model_size import Sizes, model_sizes
from observatory.review.comparison.pooled_onset import PooledOnset, arrival, pool, share_interval
from observatory.review.judge.emergence import Emergence, emergence, plain
from observatory.review.judge.evidence import Criteria
from observatory.review.judge.order import Order, order_probabilities
from observatory.review.judge.verdict import UNKNOWN


@dataclass(frozen=True)
class Before:
    """In how many runs one domain emerged before another."""

    first: str
    second: str
    runs: int
    """Those in which something can be said of both, and in which one of the two emerged at least."""
    before: int
    """Those in which the second came later, or not at all."""
    after: int
    share_interval: tuple[float, float]
    """Of the share in which the first came before, 95%, exact."""


@dataclass(frozen=True)
class Comparison:
    """Runs of one battery, side by side."""

    unit: str
    """What onsets are counted in: `tokens` or `steps`."""
    sizes: Sizes
    runs: Mapping[str, Emergence]
    pooled: tuple[PooledOnset, ...]
    """Of each domain, in the runs of each size."""
    orders: tuple[Order, ...]
    """Orders of onsets, and the share that have each among the runs in which something can be said of every domain."""
    before: tuple[Before, ...]
    """Of every pair of domains, once."""

    @property
    def domains(self) -> tuple[str, ...]:
        """In the order of the first logbook."""
        return tuple(dict.fromkeys(verdict.domain for run in self.runs.values() for verdict in run.verdicts))

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the verdicts of every run."""
        told = {name: list(map(asdict, getattr(self, name))) for name in ("pooled", "orders", "before")}
        content: dict[str, Any] = plain({"unit": self.unit, "size": self.sizes.measure, **told})
        runs = {name: {"parameters": self.sizes.of[name], **run.to_json()} for name, run in self.runs.items()}
        return {"format": "observatory-comparison", "format_version": "1.1", **content, "runs": runs}


def compare(logbooks: Mapping[str, xr.Dataset], criteria: Criteria | None = None) -> Comparison:
    """Judges each logbook by itself, then pools the onsets of those of one size."""
    if len(logbooks) < 2:
        raise ValueError(f"a comparison needs two logbooks or more; got {len(logbooks)}")
    refuse_other_batteries(logbooks)
    runs = {name: emergence(logbook, criteria) for name, logbook in logbooks.items()}
    unit = "tokens" if all(run.tokens and max(run.tokens) > 0 for run in runs.values()) else "steps"
    domains = list(dict.fromkeys(verdict.domain for run in runs.values() for verdict in run.verdicts))
    sizes = model_sizes(logbooks)
    pooled = [
        pool(domain, [runs[name] for name in names], unit, size)
        for size, names in sizes.grouped().items()
        for domain in domains
    ]
    every = list(runs.values())
    return Comparison(unit, sizes, runs, tuple(pooled), orders(domains, every, unit), befores(domains, every, unit))


def orders(domains: Sequence[str], runs: Sequence[Emergence], unit: str) -> tuple[Order, ...]:
    """The share of each, of the runs in which something can be said of every domain."""
    judged = [run for run in runs if run.verdicts and all(verdict.level != UNKNOWN for verdict in run.verdicts)]
    if len(domains) < 2 or not judged:
        return ()
    return tuple(
        order_probabilities({domain: np.array([_onset(run, domain, unit) for run in judged]) for domain in domains})
    )


def befores(domains: Sequence[str], runs: Sequence[Emergence], unit: str) -> tuple[Before, ...]:
    """Runs that end before either of two has emerged say nothing of their order, and are left out."""
    found = []
    for place, first in enumerate(domains):
        for second in domains[place + 1 :]:
            pairs = [(_onset(run, first, unit), _onset(run, second, unit)) for run in runs]
            told = [(a, b) for a, b in pairs if not math.isnan(a + b) and min(a, b) < math.inf]
            before, after = sum(a < b for a, b in told), sum(a > b for a, b in told)
            found.append(Before(first, second, len(told), before, after, share_interval(before, len(told))))
    return tuple(found)


def refuse_other_batteries(logbooks: Mapping[str, xr.Dataset]) -> None:
    """Numbers of other stimuli cannot stand side by side."""
    hashes = {name: logbook.attrs.get("provenance_battery", "unknown") for name, logbook in logbooks.items()}
    first = next(iter(hashes))
    for name, found in hashes.items():
        if found != hashes[first]:
            raise ValueError(
                f"indices are comparable only on one battery: {first} has {hashes[first]}, and {name} has {found}; "
                f"replay one of them with the other's battery"
            )


def _onset(run: Emergence, domain: str, unit: str) -> float:
    """Infinite where it has not emerged, nan where nothing can be said."""
    found = arrival(run, domain, unit)
    return math.nan if found is None else found.at if found.emerged else math.inf
