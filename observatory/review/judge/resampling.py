"""Means over the templates of tasks, or the texts of families, and what other templates would have given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from observatory.observation import Array


@dataclass(frozen=True, eq=False)
class Clusters:
    """Items in groups, and in each group by cluster: pairs of tasks by template, texts of families one by one."""

    member: Array
    """group, item, cluster: 1 or 0; an item that is missing is in no cluster."""

    @classmethod
    def of(cls, cluster: Array) -> Clusters:
        """From the number of each item's cluster (group, item), which is negative or missing where there is no item."""
        number = np.nan_to_num(cluster, nan=-1.0).astype(int)
        return cls((number[..., None] == np.arange(number.max(initial=0) + 1)).astype(float))

    @property
    def sizes(self) -> Array:
        """(group, cluster): how many items."""
        sizes: Array = self.member.sum(1)
        return sizes

    @property
    def counts(self) -> Array:
        """(group): how many clusters."""
        counts: Array = (self.sizes > 0).sum(-1)
        return counts

    def means(self, values: Array) -> Array:
        """(..., group) of values (..., group, item); NaN without items, and where one of them is."""
        return _share(self._sums(values).sum(-1), self.sizes.sum(-1))

    def variances(self, values: Array) -> Array:
        """(..., group): of the means, from how far clusters lie off them; NaN with fewer than two."""
        sums, sizes, counts = self._sums(values), self.sizes, self.counts
        off = sums - self.means(values)[..., None] * sizes
        spread: Array = np.square(np.where(sizes > 0, off, 0.0)).sum(-1)
        return spread * _share(counts.astype(float), np.where(counts > 1, counts - 1, 0) * sizes.sum(-1) ** 2)

    def resampled(self, values: Array, draws: int) -> Array:
        """(draw, ..., group): means over clusters drawn anew within each group, the same for all leading axes."""
        weights = self._weights(draws)
        sums = (self._sums(values)[..., None, :] @ weights)[..., 0, :]
        found: Array = np.moveaxis(_share(sums, (self.sizes[:, None, :] @ weights)[:, 0, :]), -1, 0)
        return found

    def _sums(self, values: Array) -> Array:
        """(..., group, cluster)"""
        there = self.member.any(-1)
        sums: Array = (np.where(there, values, 0.0)[..., None, :] @ self.member)[..., 0, :]
        return sums

    def _weights(self, draws: int) -> Array:
        """(group, cluster, draw): how often each is drawn, the same for the same groups."""
        random = np.random.default_rng(0)
        weights = np.zeros((*self.sizes.shape, draws))
        for row, own in zip(weights, self.sizes > 0, strict=True):
            if count := int(own.sum()):
                row[own] = drawn_with_replacement(random, count, (draws,)).T
        return weights


def drawn_with_replacement(random: np.random.Generator, count: int, size: tuple[int, ...]) -> Array:
    """(*size, count): how often each of `count` is drawn, one draw fewer than there are.

    Means of as many draws as there are would spread by (count - 1) / count too little (Rao and Wu 1988).
    """
    drawn: Array = random.multinomial(max(count - 1, 1), np.full(count, 1 / count), size)
    return drawn


def shares(owners: Sequence[str], names: Sequence[str], weight: Array) -> Array:
    """(group, name): what each group has of its owner's mean; of an owner without groups, nothing."""
    own = np.array([[owner == name for name in names] for owner in owners]).reshape(-1, len(names)) * weight[:, None]
    return np.nan_to_num(_share(own, np.broadcast_to(own.sum(0), own.shape)))


def pooled(values: Array, share: Array) -> Array:
    """(..., name) of values (..., group): a missing value is missed by its owner alone."""
    columns = [values[..., own > 0] @ own[own > 0] for own in share.T]
    found: Array = np.where(share.any(0), np.stack(columns, -1), np.nan)
    return found


def owner(label: str) -> str:
    """The domain in the label of a task or of a family."""
    return label.split("/", 1)[0]


def _share(part: Array, whole: Array) -> Array:
    nothing = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    share: Array = np.divide(part, whole, out=nothing, where=whole != 0)
    return share
