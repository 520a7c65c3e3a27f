"""Which comes first in each domain, its region or what the model can do: all curves that a logbook has for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.effects.alignment import OF_ALIGNMENT, alignments
from observatory.review.effects.change import Series, levels
from observatory.review.effects.competence import curves
from observatory.review.effects.lead import Lead, lead
from observatory.review.effects.series import region_series, series
from observatory.review.judge.evidence import Criteria, evidence, lacking, observations
from observatory.review.judge.verdict import Verdict, verdict

_MEASURES = {"margin": "margin of tasks", "loss": "held-out loss"}
_LOSS = "train_loss"


@dataclass(frozen=True)
class Progress:
    """How much of its way from start to end a series has gone, with 95% of what its noise makes of that."""

    steps: Array
    values: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class DomainLeads:
    """A domain's region set beside all else that is known of the domain."""

    verdict: Verdict
    found: Mapping[str, Lead]
    """By what the region is set beside; a positive lag is that of a region that comes first."""
    progress: Mapping[str, Progress]
    """Of the region, named "region", and of what has a net change."""


def leads(logbook: xr.Dataset) -> list[DomainLeads]:
    """Of every domain; what cannot be said has its reason in the lead."""
    if reason := no_leads(logbook):
        raise ValueError(f"regions can be set beside nothing: {reason}")
    found = evidence(observations(logbook)[0], Criteria())
    return [_of_domain(logbook, found, verdict(found, str(domain))) for domain in found["domain"].values]


def no_leads(logbook: xr.Dataset) -> str | None:
    """Why there is nothing to set beside regions, if so."""
    if "contrast_index" not in logbook:
        return "contrast_index was not recorded"
    if reason := lacking(observations(logbook)[0]):
        return reason
    if curves(logbook) or _has_loss(logbook) or alignments(logbook) or logbook.sizes.get("benchmark", 0):
        return None
    return "neither competence nor a training loss was recorded, nor alignment, and no benchmark was imported"


def _of_domain(logbook: xr.Dataset, found: xr.Dataset, judged: Verdict) -> DomainLeads:
    beside = {name: series(logbook, key) for key, name in _beside(logbook, judged.domain).items()}
    if judged.readout is None:
        unsaid = {name: Lead(judged.domain, one.name, None, None, judged.reason) for name, one in beside.items()}
        return DomainLeads(judged, unsaid, {})
    region = region_series(found, judged.domain, judged.readout)
    drawn = {name: _progress(one) for name, one in {"region": region, **beside}.items()}
    return DomainLeads(
        judged,
        {name: lead(region, one) for name, one in beside.items()},
        {name: one for name, one in drawn.items() if one is not None},
    )


def _beside(logbook: xr.Dataset, domain: str) -> dict[str, str]:
    """Names of `series`, and what they are called beside the region."""
    known = set(curves(logbook))
    measured = {f"{key}/{domain}": name for key, name in _MEASURES.items() if f"{key}/{domain}" in known}
    loss = {_LOSS: "training loss"} if _has_loss(logbook) else {}
    benchmarks = logbook["benchmark"].values if "benchmark" in logbook.coords else ()
    aligned = {name: name.removeprefix(OF_ALIGNMENT) for name in alignments(logbook)}
    return {**measured, **loss, **aligned, **{str(name): str(name) for name in benchmarks}}


def _has_loss(logbook: xr.Dataset) -> bool:
    return _LOSS in logbook and bool(np.isfinite(logbook[_LOSS]).any())


def _progress(one: Series) -> Progress | None:
    ends = levels(one)
    if ends is None:
        return None
    start, end = ends
    values = np.asarray(one.values, dtype=float)
    if one.replicates is not None:
        low, high = _quantiles(np.asarray(one.replicates, dtype=float))
    else:
        half = 1.96 * (np.full(values.shape, np.nan) if one.errors is None else np.asarray(one.errors, dtype=float))
        low, high = values - half, values + half
    scaled = [(each - start) / (end - start) for each in (values, low, high)]
    return Progress(np.asarray(one.steps), scaled[0], np.minimum(*scaled[1:]), np.maximum(*scaled[1:]))


def _quantiles(replicates: Array) -> tuple[Array, Array]:
    """Of each step; missing (NaN) where one replicate is."""
    low, high = np.quantile(replicates, [0.025, 0.975], axis=0)
    return low, high
