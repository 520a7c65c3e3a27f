"""Training sequences by number: whatever was drawn before, number n is the same, so a run resumes exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np

Ids = np.ndarray[Any, np.dtype[np.int64]]


class Sequences(ABC):
    """An endless list of token sequences of one length."""

    length: int
    """Tokens in a sequence."""

    @abstractmethod
    def __call__(self, number: int, step: int) -> Ids:
        """Sequence `number`, counted over all ranks from the start of training, for an optimizer step."""


class PackedSequences(Sequences):
    """Cuts one long row of tokens into sequences, dealt in order or in a new random order every epoch.

    The step makes no difference: what is in a file is there from the start.
    """

    def __init__(self, tokens: np.ndarray[Any, Any], length: int, seed: int | None = 0) -> None:
        if len(tokens) < length:
            raise ValueError(
                f"the data has {len(tokens)} tokens, fewer than one sequence of {length}; give more text or a "
                f"smaller sequence_length"
            )
        self.length = length
        self._tokens = tokens
        self._seed = seed
        self._count = len(tokens) // length
        self._order = lru_cache(maxsize=2)(self._shuffle)

    def __call__(self, number: int, step: int) -> Ids:
        epoch, place = divmod(number, self._count)
        start = int(self._order(epoch)[place]) * self.length
        return np.asarray(self._tokens[start : start + self.length], dtype=np.int64)

    def __len__(self) -> int:
        """Sequences in an epoch."""
        return self._count

    def _shuffle(self, epoch: int) -> np.ndarray[Any, Any]:
        if self._seed is None:
            return np.arange(self._count)
        return np.random.default_rng([self._seed, epoch]).permutation(self._count)
