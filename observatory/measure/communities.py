"""Communities of a graph: groups of nodes with more edges among themselves than their degrees account for.

A partition's quality is the sum of a symmetric matrix over all pairs of nodes in one community. Which matrix says what
is expected by chance: of a graph Newman's (2004), of two kinds of nodes with edges between them alone Barber's (2007).
"""

from __future__ import annotations

import numpy as np

from observatory.observation import Array

_NO_GAIN = 1e-12
_EXCHANGES = 5
"""Attempts for each edge; after as many a rewired graph has no more edges of the old one than by chance."""
_ORDERS = 4
"""In which nodes are looked at; of the partitions found the best is kept, since a single one is off by .005 or so."""


def modularity_matrix(adjacency: Array) -> Array:
    """(A_ij - k_i k_j / 2m) / 2m of every two nodes: summed over those in one community it is Newman's Q."""
    degrees = adjacency.sum(0)
    ends = degrees.sum()
    if not ends:
        raise ValueError("a graph without edges has no modularity; give one in which some nodes are connected")
    found: Array = (adjacency - np.outer(degrees, degrees) / ends) / ends
    return found


def bipartite_matrix(weights: Array) -> Array:
    """The same of rows and columns, rows first, where edges go from rows to columns alone and are expected there alone.

    With m the sum of all weights, 2 (w_ij - k_i d_j / m) / 2m of a row and a column.
    """
    total = weights.sum()
    if not total:
        raise ValueError("weights that are all 0 have no modularity; give some that are above 0")
    rows, columns = weights.shape
    found = np.zeros((rows + columns, rows + columns))
    found[:rows, rows:] = (weights - np.outer(weights.sum(1), weights.sum(0)) / total) / total / 2
    return found + found.T


def quality(matrix: Array, labels: Array) -> float:
    """Summed over all pairs of nodes in one community."""
    return float(matrix[labels[:, None] == labels].sum())


def louvain(matrix: Array, draw: np.random.Generator) -> Array:
    """The community of each node, numbered by size: the best of a few searches. Blondel et al. 2008."""
    return max((_searched(matrix, draw) for _ in range(_ORDERS)), key=lambda labels: quality(matrix, labels))


def by_size(labels: Array) -> Array:
    """The same partition, its largest community called 0; of equally large ones, that of an earlier node first."""
    _, first, codes, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    place = np.empty(sizes.size, int)
    place[np.lexsort((first, -sizes))] = np.arange(sizes.size)
    return place[codes]


def strongest(similarity: Array, edges: int) -> Array:
    """The graph of so many pairs with the largest values above 0, of equal ones the first; NaN is no edge."""
    rows, columns = np.triu_indices(len(similarity), 1)
    values = np.nan_to_num(similarity[rows, columns], nan=0.0)
    kept = np.argsort(-values, kind="stable")[:edges]
    kept = kept[values[kept] > 0]
    adjacency = np.zeros(similarity.shape)
    adjacency[rows[kept], columns[kept]] = 1.0
    return adjacency + adjacency.T


def rewired(adjacency: Array, draw: np.random.Generator) -> Array:
    """A random graph of the same degrees: two edges, drawn at random, exchange their ends again and again.

    An exchange that would connect a node with itself, or two nodes twice, is not made.
    """
    nodes, edges = len(adjacency), np.argwhere(np.triu(adjacency, 1) > 0).tolist()
    taken = {one * nodes + other for pair in edges for one, other in (pair, pair[::-1])}
    chosen = draw.integers(max(len(edges), 1), size=(_EXCHANGES * len(edges), 2)).tolist()
    turned = (draw.random(len(chosen)) < 0.5).tolist()
    for (first, second), turn in zip(chosen, turned, strict=True):
        (a, b), (c, d) = edges[first], edges[second]
        if turn:
            c, d = d, c
        if len({a, b, c, d}) < 4 or a * nodes + d in taken or b * nodes + c in taken:
            continue
        taken -= {a * nodes + b, b * nodes + a, c * nodes + d, d * nodes + c}
        taken |= {a * nodes + d, d * nodes + a, b * nodes + c, c * nodes + b}
        edges[first], edges[second] = (a, d), (b, c)
    found = np.zeros_like(adjacency)
    rows, columns = np.array(edges, int).reshape(-1, 2).T
    found[rows, columns] = found[columns, rows] = 1.0
    return found


def _searched(matrix: Array, draw: np.random.Generator) -> Array:
    labels = np.arange(len(matrix))
    merged = matrix
    while True:
        found = _moved(merged, draw)
        labels = found[labels]
        count = int(found.max()) + 1
        if count == len(merged):
            return by_size(labels)
        member = np.eye(count)[found]
        merged = member.T @ merged @ member


def _moved(matrix: Array, draw: np.random.Generator) -> Array:
    """Each node, in a random order, goes where it gains most, until none does; communities from 0 on without gaps."""
    labels = np.arange(len(matrix))
    others = matrix - np.diag(np.diag(matrix))
    gains = others.copy()  # (community, node)
    order = draw.permutation(len(matrix)).tolist()
    moving = True
    while moving:
        moving = False
        for node in order:
            best, own = int(gains[:, node].argmax()), labels[node]
            if gains[best, node] > gains[own, node] + _NO_GAIN:
                gains[own] -= others[node]
                gains[best] += others[node]
                labels[node] = best
                moving = True
    return np.unique(labels, return_inverse=True)[1]
