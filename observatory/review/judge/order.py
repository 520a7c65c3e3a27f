"""In which order domains emerge, with what probability, from onsets that are paired across domains by replicate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from observatory.observation import Array


@dataclass(frozen=True)
class Order:
    """One complete order and the share of the replicates that have it."""

    groups: tuple[tuple[str, ...], ...]
    """The domains that emerge, earliest first; those of one group emerge at exactly the same step."""
    never: tuple[str, ...]
    """The domains that do not emerge at all, between which there is no order."""
    probability: float


@dataclass(frozen=True)
class Precedence:
    """How often one domain emerges before another; `before`, `after` and `tie` add up to 1."""

    before: float
    """The other may emerge later or never."""
    after: float
    tie: float
    """Both at exactly the same step, or neither at all."""
    neither: float
    """The part of `tie` in which neither emerges."""


def order_probabilities(onsets: Mapping[str, Array]) -> list[Order]:
    """Every order that some replicate has, the most probable first."""
    names, table = _table(onsets)
    earlier = (table[:, None] < table).sum(0)  # domains before this one, by which an order is fully known
    ranks, counts = np.unique(np.where(np.isinf(table), -1, earlier), axis=1, return_counts=True)
    orders = []
    for place in np.argsort(-counts, kind="stable"):
        rank = ranks[:, place].tolist()
        groups = tuple(_at(names, rank, level) for level in sorted(set(rank) - {-1}))
        orders.append(Order(groups, _at(names, rank, -1), float(counts[place] / table.shape[1])))
    return orders


def precedence(onsets: Mapping[str, Array]) -> dict[tuple[str, str], Precedence]:
    """For each ordered pair of domains."""
    names, table = _table(onsets)
    found = {}
    for first, second in permutations(range(len(names)), 2):
        a, b = table[first], table[second]
        shares = (a < b, a > b, a == b, np.isinf(a) & np.isinf(b))
        found[names[first], names[second]] = Precedence(*(float(share.mean()) for share in shares))
    return found


def _at(names: list[str], rank: list[int], level: int) -> tuple[str, ...]:
    return tuple(name for name, own in zip(names, rank, strict=True) if own == level)


def _table(onsets: Mapping[str, Array]) -> tuple[list[str], Array]:
    """Names, and their onsets as domain, replicate."""
    rows = {name: np.asarray(row, dtype=float) for name, row in onsets.items()}
    shapes = {row.shape for row in rows.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 1 or not shape[0]:
        found = ", ".join(f"{name}: {row.shape}" for name, row in rows.items()) or "no domain"
        raise ValueError(f"every domain needs one row of onsets, equally many and at least one each; got {found}")
    if wrong := [name for name, row in rows.items() if not (row > -np.inf).all()]:
        raise ValueError(f"the onsets of {', '.join(wrong)} contain nan or -inf; give inf where a domain never emerges")
    return list(rows), np.stack(list(rows.values()))
