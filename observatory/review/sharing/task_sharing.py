"""Do tasks share units by domain or by format? At one step, beside relabellings and untrained twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy import stats

from observatory.observation import Array
from observatory.review.sharing.clustering import adjusted_rand, clusters
from observatory.review.sharing.overlap import CONTRASTS, Coefficients, Tasks, alike, contrast, means
from observatory.review.sharing.overlap_report import Agreement, Average, overlap_report
from observatory.review.sharing.relabelling import Chance, contrast_tests, relabellings

DRAWS = 2999
"""All relabellings of eight kinds in four domains, and enough for an alpha of .05 elsewhere."""
_SAME = 1e-9
"""Twins that differ by less are one twin several times, up to rounding: they have no spread."""


@dataclass(frozen=True)
class Effect:
    """A number beside what it would be by chance and without training."""

    value: float
    chance: Chance | None
    """Domains, or for the format effect formats, dealt anew; none where nothing was dealt."""
    twins: tuple[float, ...]
    """The same number on each untrained twin, of the same tasks."""

    @property
    def middle(self) -> float:
        """The twins' mean."""
        return float(np.mean(self.twins)) if self.twins else nan

    @property
    def spread(self) -> float:
        """The twins' standard deviation."""
        return float(np.std(self.twins, ddof=1)) if len(self.twins) > 1 else nan

    @property
    def excess(self) -> float:
        """Above the twins' mean."""
        return self.value - self.middle

    @property
    def p_of_twins(self) -> float:
        """Of one more twin as high: Student's t for a new observation beside them; NaN where they have no spread."""
        if not self.spread > _SAME:
            return nan
        count = len(self.twins)
        return float(stats.t.sf(self.excess / (self.spread * sqrt(1 + 1 / count)), count - 1))

    def band(self, share: float = 0.95) -> tuple[float, float]:
        """Where so many of further twins would lie."""
        count = len(self.twins)
        half = float(stats.t.ppf((1 + share) / 2, count - 1)) * self.spread * sqrt(1 + 1 / count) if count > 1 else nan
        return self.middle - half, self.middle + half


@dataclass(frozen=True)
class Clustering:
    """How well clusters of tasks agree with labels, as published, and what other settings would say."""

    agreement: Effect
    """The adjusted Rand index."""
    clusters: int
    """How many were asked for."""
    found: int
    swept: tuple[float, ...]
    """The indices of those settings that gave as many clusters as asked for, ascending."""
    settings: int


@dataclass(frozen=True)
class Sharing:
    """Of the tasks done at one step."""

    relations: Mapping[str, Average]
    """Of the overlap above chance."""
    effects: Mapping[str, Effect]
    """By the names of CONTRASTS, likewise."""
    ratio: Effect
    """Within domains over across, of overlap coefficients: as published."""
    domains: Clustering | None
    """Of overlap coefficients, as published; None where each task done has a domain of its own."""
    formats: Clustering | None
    """None where the tasks done have one format, or each its own."""


def sharing(own: Coefficients, twins: Coefficients, tasks: Tasks, done: Array, draws: int = DRAWS) -> Sharing:
    """Of three tasks done, in two domains, or more; `tasks` are all, as are those of the matrices."""
    kept, chosen = tasks.only(done), np.ix_(done, done)
    corrected, untrained = own.corrected[chosen], twins.corrected[:, done][..., done]
    found, bare = means(corrected, kept), means(untrained, kept)
    chance = effect_tests(corrected, kept, tasks, draws)
    overlap, without = own.overlap[chosen], twins.overlap[:, done][..., done]
    published = overlap_report(overlap, kept, draws=draws).with_region
    ratios = means(without, kept)
    return Sharing(
        relations={name: Average(float(one.value), int(one.pairs)) for name, one in found.items()},
        effects={
            name: Effect(float(contrast(name, found)), chance.get(name), _each(contrast(name, bare)))
            for name in CONTRASTS
        },
        ratio=Effect(published.ratio, None, _each(_over(ratios["within"].value, ratios["across"].value))),
        domains=_clustering(published.domains, without, kept.domains),
        formats=_clustering(published.formats, without, kept.formats),
    )


def effect_tests(matrix: Array, kept: Tasks, asked: Tasks, draws: int = DRAWS) -> dict[str, Chance]:
    """Of each contrast: domains dealt over kinds asked in the same formats, or formats over the tasks of a kind."""
    draw = np.random.default_rng(0)
    tested = contrast_tests(matrix, kept, relabellings(kept, draw, draws, asked if asked.formats else None))
    by_format = format_test(matrix, kept, draw, draws)
    return tested if by_format is None else {**tested, "format_effect": by_format}


def format_test(matrix: Array, tasks: Tasks, draw: np.random.Generator, draws: int = DRAWS) -> Chance | None:
    """Of the format effect, its formats dealt anew within each kind; None where there is no such effect.

    Formats stand for domains here, and each task for a kind that may only be exchanged with those of its own kind.
    """
    if not tasks.formats:
        return None
    turned = Tasks(tasks.names, tasks.formats, tasks.own_kinds())
    across_domains = np.where(alike(tasks.domains), np.nan, matrix)
    return contrast_tests(across_domains, turned, relabellings(turned, draw, draws, turned)).get("difference")


def _clustering(agreement: Agreement | None, twins: Array, labels: Sequence[str]) -> Clustering | None:
    if agreement is None or agreement.published.clusters == len(labels):
        return None
    one = agreement.published
    cuts = [clusters(twin, one.clusters, one.neighbours, one.linkage) for twin in twins if np.isfinite(twin).all()]
    return Clustering(
        agreement=Effect(one.agreement, agreement.chance, tuple(float(adjusted_rand(cut, labels)) for cut in cuts)),
        clusters=one.clusters,
        found=one.found,
        swept=tuple(agreement.valid),
        settings=len(agreement.sweep),
    )


def _over(within: Array, across: Array) -> Array:
    return np.divide(within, across, out=np.full_like(within, np.nan), where=across > 0)


def _each(values: Array) -> tuple[float, ...]:
    return tuple(map(float, values))
