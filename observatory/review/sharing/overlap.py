"""How much the regions of tasks overlap, and whether domains or prompt formats decide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from observatory.observation import Array


@dataclass(frozen=True)
class Coefficients:
    """Of every pair of tasks, as (..., task, task); missing (NaN) where one of the two has no region."""

    overlap: Array
    """|A and B| / min(|A|, |B|): the overlap coefficient, which the published tables use."""
    jaccard: Array
    """|A and B| / |A or B|."""
    corrected: Array
    """The Jaccard coefficient above what random regions of these sizes share: 1 when equal, about 0 by chance."""


def coefficients(shared: ArrayLike, sizes: ArrayLike, units: ArrayLike) -> Coefficients:
    """From the units shared (..., task, task), the sizes (..., task) and the number of units (...)."""
    both, size = np.asarray(shared, dtype=float), np.asarray(sizes, dtype=float)
    if both.ndim < 2 or both.shape[-2:] != 2 * size.shape[-1:]:
        raise ValueError(f"counts of shape {both.shape} do not fit sizes of shape {size.shape}; give task x task, task")
    one, other = size[..., :, None], size[..., None, :]
    if (both > np.minimum(one, other)).any():
        raise ValueError("two regions share more units than the smaller one has; give counts, and sizes of the same")
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = one * other / np.asarray(units, dtype=float)[..., None, None]
        expected = chance / (one + other - chance)
        jaccard = both / (one + other - both)
        found = (both / np.minimum(one, other), jaccard, (jaccard - expected) / (1 - expected))
    return Coefficients(*(np.where(one * other > 0, value, np.nan) for value in found))


@dataclass(frozen=True)
class Tasks:
    """What the rows and columns of a matrix are."""

    names: Sequence[str]
    domains: Sequence[str]
    formats: Sequence[str] = ()
    """The form in which each is asked; empty if nobody says."""
    kinds: Sequence[str] = ()
    """Each task with its format taken away; if empty, each is a kind of its own. A kind lies within one domain."""

    def __post_init__(self) -> None:
        for field in ("names", "domains", "formats", "kinds"):
            object.__setattr__(self, field, tuple(map(str, getattr(self, field))))
        object.__setattr__(self, "kinds", self.kinds or tuple(map(str, range(len(self.names)))))
        counts = {len(labels) for labels in (self.names, self.domains, self.formats or self.names, self.kinds)}
        if len(counts) > 1:
            raise ValueError(
                f"every task needs one of each label; got {len(self.names)} names, {len(self.domains)} domains, "
                f"{len(self.formats)} formats and {len(self.kinds)} kinds"
            )

    def only(self, chosen: Array) -> Tasks:
        """Those that the mask chooses."""
        return Tasks(*(_chosen(labels, chosen) for labels in (self.names, self.domains, self.formats, self.kinds)))

    def own_kinds(self) -> list[str]:
        """Names of kinds that tell those of different domains apart."""
        return [f"{domain}/{kind}" for domain, kind in zip(self.domains, self.kinds, strict=True)]


@dataclass(frozen=True)
class Relation:
    """Which pairs of tasks are meant: those that share a domain or do not, likewise format and kind; None is either."""

    domain: bool
    format: bool | None = None
    kind: bool | None = None

    def __str__(self) -> str:
        """In words."""
        said = {
            "domain": self.domain,
            "format": self.format,
            "kind": self.kind if self.domain else None,
        }
        return ", ".join(f"{'same' if same else 'other'} {what}" for what, same in said.items() if same is not None)

    def apart_from_domain(self, tasks: Tasks) -> Array:
        """Pairs, each once, whose format and kind are as wanted; none if a format is wanted and formats are unknown."""
        count = len(tasks.names)
        pairs = np.triu(np.ones((count, count), dtype=bool), 1)
        if self.format is not None:
            pairs &= (alike(tasks.formats) == self.format) if tasks.formats else False
        if self.kind is not None:
            pairs &= alike(tasks.own_kinds()) == self.kind
        return pairs

    def pairs(self, tasks: Tasks) -> Array:
        """As (task, task), above the diagonal."""
        return np.asarray(self.apart_from_domain(tasks) & (alike(tasks.domains) == self.domain))


RELATIONS: Mapping[str, Relation] = {
    "within": Relation(domain=True),
    "across": Relation(domain=False),
    "domain_only": Relation(domain=True, format=False, kind=False),
    "kind": Relation(domain=True, format=False, kind=True),
    "domain_or_kind": Relation(domain=True, format=False),
    "domain_and_format": Relation(domain=True, format=True),
    "format_only": Relation(domain=False, format=True),
    "neither": Relation(domain=False, format=False),
}


@dataclass(frozen=True)
class Contrast:
    """One relation's mean overlap minus another's."""

    of: str
    minus: str
    about: str


CONTRASTS: Mapping[str, Contrast] = {
    "difference": Contrast("within", "across", "as published; a structure by format raises it too"),
    "index": Contrast("domain_only", "format_only", "domains bind more than formats do"),
    "loose_index": Contrast("domain_or_kind", "format_only", "the same, with pairs that share their answer words"),
    "domain_effect": Contrast("domain_only", "neither", "domain, formats differing"),
    "format_effect": Contrast("format_only", "neither", "format, domains differing"),
}
"""The index is the domain effect minus the format effect: above 0 only where the first is the larger."""


@dataclass(frozen=True)
class Mean:
    """The mean overlap of some pairs, for each matrix of a stack; missing (NaN) where no pair has one."""

    value: Array
    pairs: Array
    """How many pairs it is of: those with a missing task are not among them."""


def means(matrix: ArrayLike, tasks: Tasks, domain: str | None = None) -> dict[str, Mean]:
    """By the name of the relation, of symmetric matrices (..., task, task); of a domain, its own pairs alone."""
    values = np.asarray(matrix, dtype=float)
    refuse_misfit(values, tasks)
    own = np.array([domain in (None, name) for name in tasks.domains], dtype=bool)
    concerned = own[:, None] | own
    return {name: _mean(values, relation.pairs(tasks) & concerned) for name, relation in RELATIONS.items()}


def contrast(name: str, found: Mapping[str, Mean]) -> Array:
    """The value of one of CONTRASTS, for each matrix of the stack that the means are of."""
    of, minus = found[CONTRASTS[name].of], found[CONTRASTS[name].minus]
    return np.asarray(of.value - minus.value)


def present(matrix: ArrayLike) -> Array:
    """Which tasks have a region: those whose overlap with some other task is known."""
    values = np.asarray(matrix, dtype=float)
    others = ~np.eye(values.shape[-1], dtype=bool)
    return np.asarray((np.isfinite(values) & others).any(-1))


def alike(labels: Sequence[str]) -> Array:
    """Which pairs have the same label."""
    column = np.array(labels)
    return np.asarray(column[:, None] == column)


def refuse_misfit(values: Array, tasks: Tasks) -> None:
    count = len(tasks.names)
    if values.ndim < 2 or values.shape[-2:] != (count, count):
        raise ValueError(f"a matrix of shape {values.shape} is not one of {count} x {count} tasks")


def _chosen(labels: Sequence[str], mask: Array) -> tuple[str, ...]:
    return tuple(label for label, wanted in zip(labels, mask, strict=True) if wanted) if labels else ()


def _mean(values: Array, pairs: Array) -> Mean:
    known = np.isfinite(values) & pairs
    count = known.sum((-2, -1))
    total = np.where(known, values, 0.0).sum((-2, -1))
    return Mean(np.where(count > 0, total / np.maximum(count, 1), np.nan), count)
