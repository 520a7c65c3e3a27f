"""Which neurons are active on the same stimuli, and what correlations of neurons without modules would look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from observatory.measure.communities import louvain, modularity_matrix, quality, rewired, strongest
from observatory.measure.drawn import generator
from observatory.observation import Array

NONE = -1
"""The community of a neuron that is in none."""
_FEWEST = 8
"""Neurons that vary, below which nothing is said."""
_DIGITS = 6
"""Of a correlation: how many are the same whatever the number of threads they were computed with."""
_CONSTANT = 2.0**-20
"""A neuron whose spread is below this share of its size is constant: what is left is float32 rounding."""


def sampled(widths: Sequence[int], count: int, name: str) -> list[Array]:
    """Units of each layer, in order: as many in one as in another, where it has them; the same for the same name."""
    return [
        np.sort(generator(name, str(layer)).permutation(width)[: count // len(widths) + (layer < count % len(widths))])
        for layer, width in enumerate(widths)
    ]


def varying(values: Float[Array, "stimulus neuron"]) -> Array:
    """(neuron): whether it differs between stimuli."""
    spread, size = values.std(0), np.abs(values).mean(0)
    found: Array = spread > _CONSTANT * size
    return found


def correlations(values: Float[Array, "stimulus neuron"]) -> Float[Array, "neuron other"]:
    """Pearson's, of neurons that all vary."""
    centred = values - values.mean(0)
    standard = centred / np.linalg.norm(centred, axis=0)
    found: Array = np.round(standard.T @ standard, _DIGITS)
    return found


def rotated(matrix: Float[Array, "neuron other"], draw: np.random.Generator) -> Float[Array, "neuron other"]:
    """Correlations of neurons that mix the same principal components at random: about the same spectrum, no modules.

    Few dimensions alone make neurons cluster, so that any network's correlations beat a rewired graph.
    """
    spectrum = np.linalg.eigvalsh(matrix).clip(min=0)
    directions, _ = np.linalg.qr(draw.standard_normal(matrix.shape))  # even over all directions but for signs
    mixed = (directions * spectrum) @ directions.T
    size = np.sqrt(np.diag(mixed))
    found: Array = np.round(mixed / np.outer(size, size), _DIGITS)
    return found


def halves(groups: Sequence[tuple[slice, slice]], splits: int, name: str) -> list[Array]:
    """(half, stimulus) of each split: half of every group's pairs, a target with its control; the same for a name."""
    draw = generator(name)
    count = max(controls.stop for _, controls in groups)
    found = []
    for _ in range(splits):
        first = np.zeros(count, bool)
        for targets, controls in groups:
            pairs = targets.stop - targets.start
            chosen = draw.permutation(pairs)[: pairs // 2]
            first[targets.start + chosen] = first[controls.start + chosen] = True
        found.append(np.stack([first, ~first]))
    return found


@dataclass(frozen=True)
class Modularity:
    """Of the graph of the strongest correlations between neurons; NaN where there is none."""

    q: float
    labels: Int[Array, " neuron"]
    """The community of each, numbered by size; NONE for one that is constant or has no fellow."""
    rewired: Float[Array, " draw"]
    """Q of random graphs with the same degrees."""
    rotated: Float[Array, " draw"]
    """Q of graphs of neurons that mix the same principal components at random."""

    @property
    def communities(self) -> float:
        """How many there are, of two neurons or more."""
        return float(self.labels.max() + 1) if np.isfinite(self.q) else float("nan")

    @property
    def excess(self) -> float:
        """Q above the mean of rewired graphs."""
        return self.q - float(self.rewired.mean())

    @property
    def beyond(self) -> float:
        """Q above the mean of rotated ones."""
        return self.q - float(self.rotated.mean())


def modularity(values: Float[Array, "stimulus neuron"], share: float, draws: int, name: str) -> Modularity:
    """Of the graph in which so large a share of all pairs are edges, those with the largest correlations above 0."""
    labels, unknown = np.full(values.shape[1], NONE), np.full(draws, np.nan)
    if not np.isfinite(values).all():
        return Modularity(np.nan, labels, unknown, unknown)
    alive = varying(values)
    edges = max(1, round(share * alive.sum() * (alive.sum() - 1) / 2))
    if alive.sum() < _FEWEST:
        return Modularity(np.nan, labels, unknown, unknown)
    own = correlations(values[:, alive])
    graph = strongest(own, edges)
    if not graph.any():
        return Modularity(np.nan, labels, unknown, unknown)
    q, found = _partitioned(graph, generator(name))
    labels[alive] = np.where(np.bincount(found)[found] > 1, found, NONE)
    seeds = [generator(name, str(number)) for number in range(draws)]
    return Modularity(
        q,
        labels,
        np.array([_partitioned(rewired(graph, seed), seed)[0] for seed in seeds]),
        np.array([_partitioned(strongest(rotated(own, seed), edges), seed)[0] for seed in seeds]),
    )


def standard_errors(found: Modularity, of_halves: Float[Array, "split half"]) -> dict[str, float]:
    """Of `excess` and `beyond`: half of what Q differs by between two halves of the stimuli has the spread of Q itself.

    Of simulated neurons it is between half and twice the spread over stimuli drawn anew.
    """
    stimuli = float(np.square(np.diff(of_halves) / 2).mean())
    drawn = {"excess": found.rewired, "beyond": found.rotated}
    return {name: float(np.sqrt(stimuli + one.var(ddof=1) / one.size)) for name, one in drawn.items()}


def _partitioned(graph: Array, draw: np.random.Generator) -> tuple[float, Array]:
    matrix = modularity_matrix(graph)
    labels = louvain(matrix, draw)
    return quality(matrix, labels), labels
