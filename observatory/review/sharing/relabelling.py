"""Is it more than chance? Domain labels are dealt anew over kinds of tasks, the formats of one kind moving together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import factorial, prod

import numpy as np
from numpy.typing import ArrayLike

from observatory.observation import Array
from observatory.review.sharing.clustering import adjusted_rand
from observatory.review.sharing.overlap import CONTRASTS, RELATIONS, Relation, Tasks

DRAWS = 9999
_TIE = 1e-12
"""Relabellings that differ from the labels by less are equal to them, up to rounding."""


@dataclass(frozen=True)
class Chance:
    """How many relabellings do at least as well as the labels themselves."""

    p: float
    """One-sided; missing (NaN) where the labels themselves give no value."""
    least: float
    """The smallest that p can be: with few kinds even the clearest structure cannot fall below it."""
    relabellings: int
    """How many there are, the labels themselves among them."""
    exact: bool
    """Whether these are all that exist, rather than drawn."""


@dataclass(frozen=True)
class Relabellings:
    """The labels themselves and others, as the domain of each kind."""

    kinds: Sequence[str]
    domains: Array
    """(relabelling, kind), the first being the labels themselves."""
    distinct: int
    """How many partitions of the kinds are possible: exchanging the names of two domains changes nothing."""
    exact: bool

    def test(self, values: Array) -> Chance:
        """Of a statistic for each relabelling; one without a value (NaN) counts as smaller than all others."""
        least = 1 / self.distinct if self.exact else max(1 / len(values), 1 / self.distinct)
        p = float((values >= values[0] - _TIE).mean()) if np.isfinite(values[0]) else float("nan")
        return Chance(p, least, len(values), self.exact)


def relabellings(
    tasks: Tasks, draw: np.random.Generator, draws: int = DRAWS, asked: Tasks | None = None
) -> Relabellings:
    """All of them where they are no more than the draws, or else so many at random.

    With the tasks as they were `asked`, those without a region among them, a label goes only from one kind to another
    that was asked in the same formats. That is the test of domains where formats are unevenly spread over them; where
    every kind is asked in every format it is the same as without.
    """
    kinds = list(dict.fromkeys(tasks.own_kinds()))
    domain_of = dict(zip(tasks.own_kinds(), tasks.domains, strict=True))
    _, own = np.unique([domain_of[kind] for kind in kinds], return_inverse=True)
    formats = _formats_of_kinds(asked) if asked else {}
    groups: dict[frozenset[str], list[int]] = {}
    for place, kind in enumerate(kinds):
        groups.setdefault(formats.get(kind, frozenset()), []).append(place)
    counts = np.array([np.bincount(own[places], minlength=own.max() + 1) for places in groups.values()])
    total = prod(factorial(sum(row)) // prod(map(factorial, row)) for row in counts.tolist())
    alike = Counter(tuple(column) for column in counts.T.tolist())
    distinct = total // prod(map(factorial, alike.values()))
    if total <= draws + 1:
        return Relabellings(kinds, _all(own, list(groups.values()), counts), distinct, True)
    drawn = np.tile(own, (draws + 1, 1))
    for places in groups.values():
        drawn[1:, places] = draw.permuted(drawn[1:, places], axis=1)
    return Relabellings(kinds, drawn, distinct, False)


def contrast_tests(matrix: ArrayLike, tasks: Tasks, dealt: Relabellings) -> dict[str, Chance]:
    """Of each contrast that has a value; not of the format effect, which relabelling domains does not test.

    Kinds of which no task has a region are to be left out beforehand: they would only be dealt labels in vain.
    """
    values = np.asarray(matrix, dtype=float)
    labels = np.eye(dealt.domains.max() + 1)[dealt.domains]  # (relabelling, kind, domain)
    place = {kind: at for at, kind in enumerate(dealt.kinds)}
    member = np.eye(len(place))[[place[kind] for kind in tasks.own_kinds()]]  # (task, kind)
    known = {name: _by_kind(values, relation, tasks, member) for name, relation in RELATIONS.items()}
    averaged = {name: _relabelled(*known[name], labels, relation.domain) for name, relation in RELATIONS.items()}
    tested = {
        name: averaged[one.of] - averaged[one.minus] for name, one in CONTRASTS.items() if RELATIONS[one.of].domain
    }
    return {name: dealt.test(value) for name, value in tested.items() if np.isfinite(value[0])}


def agreement_test(clusters: ArrayLike, tasks: Tasks, dealt: Relabellings) -> Chance:
    """Of the adjusted Rand index between clusters of the tasks and their domains."""
    place = {kind: at for at, kind in enumerate(dealt.kinds)}
    of_tasks = dealt.domains[:, [place[kind] for kind in tasks.own_kinds()]]
    return dealt.test(adjusted_rand(of_tasks, clusters))


def _by_kind(values: Array, relation: Relation, tasks: Tasks, member: Array) -> tuple[Array, Array]:
    """Sums of overlap and numbers of pairs, as (kind, kind), whatever the domains."""
    pairs = relation.apart_from_domain(tasks) & np.isfinite(values)
    return member.T @ np.where(pairs, values, 0.0) @ member, member.T @ pairs @ member


def _relabelled(total: Array, count: Array, labels: Array, same: bool) -> Array:
    """The mean over pairs in the same domain or not, for each relabelling."""
    found = []
    for amounts in (total, count):
        inside = np.einsum("rkd,rkd->r", amounts @ labels, labels)
        found.append(inside if same else amounts.sum() - inside)
    return np.where(found[1] > 0.5, found[0] / np.maximum(found[1], 1), np.nan)


def _formats_of_kinds(tasks: Tasks) -> Mapping[str, frozenset[str]]:
    formats: dict[str, frozenset[str]] = {}
    for kind, form in zip(tasks.own_kinds(), tasks.formats, strict=True):
        formats[kind] = formats.get(kind, frozenset()) | {form}
    return formats


def _all(own: Array, groups: list[list[int]], counts: Array) -> Array:
    """Every relabelling, the labels themselves first."""
    rows = []
    for dealt in product(*(list(_arrangements(tuple(row))) for row in counts.tolist())):
        row = np.empty_like(own)
        for places, labels in zip(groups, dealt, strict=True):
            row[places] = labels
        rows.append(row)
    table = np.stack(rows)
    others = table[(table != own).any(1)]
    return np.concatenate((own[None], others))


def _arrangements(counts: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every order of labels that occur so often."""
    if not any(counts):
        yield ()
    for label, count in enumerate(counts):
        if count:
            rest = (*counts[:label], count - 1, *counts[label + 1 :])
            yield from ((label, *others) for others in _arrangements(rest))
