"""From numbered sequences to the batches of one rank, beginning wherever training stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from observatory.train.sequences import Sequences

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Position:
    """Where training stands when batches are asked for."""

    step: int = 0
    """Optimizer steps done."""
    rank: int = 0
    world: int = 1
    """Ranks, all of which take the same number of sequences."""
    accumulate: int = 1
    """Batches that make up an optimizer step."""


class _Stream(IterableDataset[Batch]):
    """Batches from a position on, dealt in turn to the worker processes, which keeps their order."""

    def __init__(self, sequences: Sequences, batch_size: int, position: Position) -> None:
        self._sequences = sequences
        self._batch_size = batch_size
        self._position = position

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        turn, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        index = self._position.step * self._position.accumulate + turn
        while True:
            yield self.batch(index)
            index += workers

    def batch(self, index: int) -> Batch:
        at = self._position
        first = (index * at.world + at.rank) * self._batch_size
        step = index // at.accumulate
        rows = [self._sequences(number, step) for number in range(first, first + self._batch_size)]
        return {"input_ids": torch.from_numpy(np.stack(rows))}


class Feed:
    """The loader given to the Trainer: each pass over it starts at the batch that is due.

    It asks for the position anew each time, so a run resumed at step N goes on with the batch that the
    uninterrupted run would have seen, with any number of workers.
    """

    def __init__(
        self, sequences: Sequences, batch_size: int, position: Callable[[], Position], workers: int = 0
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"a batch has at least one sequence, got batch_size={batch_size}")
        self._sequences = sequences
        self._batch_size = batch_size
        self._position = position
        self._workers = workers

    def __iter__(self) -> Iterator[Batch]:
        stream = _Stream(self._sequences, self._batch_size, self._position())
        if self._workers == 0:
            return iter(stream)
        return iter(DataLoader(stream, batch_size=None, num_workers=self._workers))
