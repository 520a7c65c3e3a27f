"""Do tasks cluster by a label? Over every setting of the clustering, since one setting can say anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from observatory.observation import Array

Linkage = Literal["average", "complete", "single", "ward"]
LINKAGES: tuple[Linkage, ...] = get_args(Linkage)
NEIGHBOURS = (2, 3, 4, 5, 6, 7, 8, 10, 15)
PUBLISHED_NEIGHBOURS = 5
PUBLISHED_LINKAGE: Linkage = "average"
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Setting:
    """One way to cluster, and how well the clusters agree with the labels."""

    neighbours: int
    linkage: Linkage
    clusters: int
    """How many were asked for."""
    found: int
    """How many came out: fewer where tied heights cannot be cut between, 0 where the linkage does not apply."""
    agreement: float
    """The adjusted Rand index, also of too few clusters: with a single one it is 0 whatever the labels are."""

    @property
    def valid(self) -> bool:
        """Whether there are as many clusters as asked for."""
        return self.found == self.clusters


def adjusted_rand(one: ArrayLike, other: ArrayLike) -> Array:
    """Agreement of labellings (..., task) with another (task), 0 by chance and 1 if they are the same partition.

    Hubert and Arabie 1985.
    """
    first, second = _indicators(one), _indicators(other)
    table = np.swapaxes(first, -1, -2) @ second  # (..., label, label)
    count = second.shape[-2]
    together = _pairs(table).sum((-2, -1))
    rows, columns = _pairs(table.sum(-1)).sum(-1), _pairs(table.sum(-2)).sum(-1)
    expected = rows * columns / max(count * (count - 1) / 2, 1)
    room = (rows + columns) / 2 - expected
    return np.where(room == 0, 1.0, (together - expected) / np.where(room == 0, 1.0, room))


def nearest(matrix: ArrayLike, neighbours: int) -> Array:
    """Each task's largest overlaps with others, of equal ones the first; 0 where neither task is near the other.

    A pair stays if it is near in either direction: of the ways to make it symmetric again, the larger of the two
    values, their mean, the smaller, and one triangle, only the first gives the published figures at every setting.
    """
    values = np.array(matrix, dtype=float)
    values = (values + values.T) / 2
    np.fill_diagonal(values, 0.0)
    if not np.isfinite(values).all():
        raise ValueError("only known overlaps can be clustered; leave out the tasks without a region")
    if neighbours < 1:
        raise ValueError(f"each task needs at least one neighbour; got {neighbours}")
    near = np.argsort(-values, axis=1, kind="stable")[:, :neighbours]
    kept = np.zeros_like(values)
    np.put_along_axis(kept, near, np.take_along_axis(values, near, 1), 1)
    return np.asarray(np.maximum(kept, kept.T))


def tree(near: Array, linked: Linkage) -> Array | None:
    """The merges, from the smallest distance 1 - overlap to the largest.

    Ward's linkage needs Euclidean distances. sqrt(1 - overlap) is Euclidean where the overlaps, with 1 on the diagonal
    and centred, have no negative eigenvalue (Gower and Legendre 1986); elsewhere there is no tree.
    """
    distance = 1 - near
    if linked == "ward":
        centring = np.eye(len(near)) - 1 / len(near)
        if np.linalg.eigvalsh(centring @ (near + np.eye(len(near))) @ centring)[0] < -_ROUNDING:
            return None
        distance = np.sqrt(distance)
    np.fill_diagonal(distance, 0.0)
    return np.asarray(linkage(squareform(distance, checks=False), linked))


def clusters(
    matrix: ArrayLike, count: int, neighbours: int = PUBLISHED_NEIGHBOURS, linked: Linkage = PUBLISHED_LINKAGE
) -> Array:
    """The cluster of each task at one setting; fewer clusters than asked for where heights are tied."""
    merges = tree(nearest(matrix, neighbours), linked)
    if merges is None:
        raise ValueError("Ward's linkage does not apply: these overlaps are no Euclidean distances; choose another")
    return np.asarray(fcluster(merges, count, "maxclust"))


def sweep(matrix: ArrayLike, labels: Sequence[str], counts: Iterable[int]) -> tuple[Setting, ...]:
    """Every number of neighbours up to all, every linkage, and these numbers of clusters."""
    everyone = len(labels) - 1
    counts = tuple(counts)
    settings = []
    for neighbours in (*(count for count in NEIGHBOURS if count < everyone), everyone):
        near = nearest(matrix, neighbours)
        for linked in LINKAGES:
            merges = tree(near, linked)
            for count in counts:
                if merges is None:
                    settings.append(Setting(neighbours, linked, count, 0, float("nan")))
                    continue
                cut = fcluster(merges, count, "maxclust")
                agreement = float(adjusted_rand(cut, labels))
                settings.append(Setting(neighbours, linked, count, len(np.unique(cut)), agreement))
    return tuple(settings)


def _indicators(labels: ArrayLike) -> Array:
    """As (..., task, label), a one for the label of each."""
    given = np.asarray(labels)
    known, codes = np.unique(given, return_inverse=True)
    return np.eye(len(known))[codes.reshape(given.shape)]


def _pairs(count: Array) -> Array:
    return np.asarray(count * (count - 1) / 2)
