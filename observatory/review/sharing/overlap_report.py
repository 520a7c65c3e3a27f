"""All that is said of one overlap matrix: with its missing tasks left out, and with them counted as zeros beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from observatory.observation import Array
from observatory.review.judge.emergence import plain
from observatory.review.sharing.clustering import (
    PUBLISHED_LINKAGE,
    PUBLISHED_NEIGHBOURS,
    Setting,
    adjusted_rand,
    clusters,
)
from observatory.review.sharing.clustering import sweep as all_settings
from observatory.review.sharing.overlap import (
    CONTRASTS,
    RELATIONS,
    Mean,
    Tasks,
    contrast,
    means,
    present,
    refuse_misfit,
)
from observatory.review.sharing.relabelling import DRAWS, Chance, agreement_test, contrast_tests, relabellings


@dataclass(frozen=True)
class Average:
    """The mean overlap of pairs in one relation."""

    value: float
    pairs: int


@dataclass(frozen=True)
class Found:
    """The value of a contrast, and how likely so large a one is by chance."""

    value: float
    chance: Chance | None
    """Domains dealt anew over all kinds of tasks."""
    chance_given_format: Chance | None
    """Domains dealt anew over kinds asked in the same formats; none where formats are unknown."""


@dataclass(frozen=True)
class Own:
    """A contrast over the pairs of one domain, which may be few."""

    value: float
    pairs: int
    pairs_minus: int
    """Of the relation that is taken away."""


@dataclass(frozen=True)
class Agreement:
    """How well clusters agree with labels: at the published setting, and at all."""

    published: Setting
    chance: Chance | None
    """Of domains dealt anew; none for formats."""
    sweep: tuple[Setting, ...]

    @property
    def valid(self) -> list[float]:
        """The indices of those settings that gave as many clusters as asked for, in ascending order."""
        return sorted(setting.agreement for setting in self.sweep if setting.valid)


@dataclass(frozen=True)
class Reading:
    """One way to count the tasks without a region."""

    tasks: int
    relations: Mapping[str, Average]
    contrasts: Mapping[str, Found]
    by_domain: Mapping[str, Mapping[str, Own]]
    """The contrasts, of the pairs with a task of the domain."""
    domains: Agreement
    formats: Agreement | None

    @property
    def ratio(self) -> float:
        """Within over across, which alone says little: it can be large where hardly anything overlaps."""
        across = self.relations["across"].value
        return self.relations["within"].value / across if across > 0 else float("nan")


@dataclass(frozen=True)
class OverlapReport:
    """Of a symmetric matrix of overlaps."""

    tasks: Tasks
    missing: tuple[str, ...]
    """Tasks without a region."""
    alone: tuple[str, ...]
    """Tasks whose region overlaps no other."""
    with_region: Reading
    missing_as_zero: Reading | None
    """As the published numbers count them; none where no task is missing."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not a number is null."""
        content: dict[str, Any] = plain(asdict(self))
        for name in ("with_region", "missing_as_zero"):
            if (reading := getattr(self, name)) is not None:
                content[name]["ratio"] = plain(reading.ratio)
        meant = {name: str(relation) for name, relation in RELATIONS.items()}
        minus = {name: f"{one.of} - {one.minus}" for name, one in CONTRASTS.items()}
        return {
            "format": "observatory-overlap",
            "format_version": "1.0",
            "relations": meant,
            "contrasts": minus,
            **content,
        }


def overlap_report(
    matrix: ArrayLike, tasks: Tasks, clusters: int | None = None, seed: int = 0, draws: int = DRAWS
) -> OverlapReport:
    """Judges a matrix whose missing tasks are NaN; unless told, it is cut into as many clusters as there are labels."""
    values = np.asarray(matrix, dtype=float)
    refuse_misfit(values, tasks)
    there = present(values)
    chosen = tasks.only(there)
    if len(chosen.names) < 3 or len(set(chosen.domains)) < 2:
        raise ValueError(
            f"{len(chosen.names)} of {len(tasks.names)} tasks have a region, in {len(set(chosen.domains))} domains; "
            "an overlap of domains needs three tasks in two domains, or more"
        )
    if clusters is not None and not 2 <= clusters < len(chosen.names):
        raise ValueError(
            f"{len(chosen.names)} tasks can be cut into 2 to {len(chosen.names) - 1} clusters, not {clusters}"
        )
    others = np.where(np.eye(len(tasks.names), dtype=bool), 0.0, values)
    own = others[np.ix_(there, there)]
    return OverlapReport(
        tasks=tasks,
        missing=_labels(tasks.only(~there)),
        alone=_labels(chosen.only((own == 0).all(1))),
        with_region=_read(own, chosen, tasks, clusters, seed, draws),
        missing_as_zero=None if there.all() else _read(np.nan_to_num(others), tasks, tasks, clusters, seed, draws),
    )


def _read(values: Array, tasks: Tasks, asked: Tasks, clusters: int | None, seed: int, draws: int) -> Reading:
    draw = np.random.default_rng(seed)
    dealt = relabellings(tasks, draw, draws)
    found = means(values, tasks)
    chance = contrast_tests(values, tasks, dealt)
    given = contrast_tests(values, tasks, relabellings(tasks, draw, draws, asked)) if tasks.formats else {}
    cut, domains = _agreement(values, tasks.domains, clusters)
    return Reading(
        tasks=len(tasks.names),
        relations={name: Average(float(mean.value), int(mean.pairs)) for name, mean in found.items()},
        contrasts={name: Found(float(contrast(name, found)), chance.get(name), given.get(name)) for name in CONTRASTS},
        by_domain={domain: _own(means(values, tasks, domain)) for domain in dict.fromkeys(tasks.domains)},
        domains=Agreement(domains.published, agreement_test(cut, tasks, dealt), domains.sweep),
        formats=_agreement(values, tasks.formats, clusters)[1] if len(set(tasks.formats)) > 1 else None,
    )


def _own(found: Mapping[str, Mean]) -> dict[str, Own]:
    return {
        name: Own(float(contrast(name, found)), int(found[one.of].pairs), int(found[one.minus].pairs))
        for name, one in CONTRASTS.items()
    }


def _agreement(values: Array, labels: Sequence[str], count: int | None) -> tuple[Array, Agreement]:
    """The clusters at the published setting, and how they and all others agree with the labels."""
    wanted = count or len(set(labels))
    near, linked = min(PUBLISHED_NEIGHBOURS, len(labels) - 1), PUBLISHED_LINKAGE
    cut = clusters(values, wanted, near, linked)
    published = Setting(near, linked, wanted, len(np.unique(cut)), float(adjusted_rand(cut, labels)))
    counts = [around for around in range(wanted - 1, wanted + 3) if 2 <= around < len(labels)]
    return cut, Agreement(published, None, all_settings(values, labels, counts))


def _labels(tasks: Tasks) -> tuple[str, ...]:
    return tuple(f"{domain}/{name}" for domain, name in zip(tasks.domains, tasks.names, strict=True))
