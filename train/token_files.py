"""Memory-mapped token files (Pythia's and nanoGPT's .bin) as a data module."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from observatory.train.data import SequenceData
from observatory.train.sequences import Ids, PackedSequences, Sequences
from observatory.train.text_files import load_tokenizer


class TokenFileData(SequenceData):
    """Trains on a file of token ids without header, read through a memory map and never as a whole."""

    def __init__(
        self,
        file: str,
        vocab_size: int,
        dtype: Literal["uint16", "uint32"] = "uint16",
        tokenizer: str | None = None,
        sequence_length: int = 2048,
        batch_size: int = 32,
        seed: int | None = 0,
        workers: int = 0,
    ) -> None:
        """
        Args:
            file: The .bin file.
            vocab_size: Token ids that the model has; every id in the file is below it.
            dtype: The type of the ids in the file. Pythia's and nanoGPT's files have uint16.
            tokenizer: Folder or hub name of the tokenizer that made the file, to be kept with the run.
            sequence_length: Tokens in a sequence.
            batch_size: Sequences in a batch of one rank.
            seed: Seed of the order in which sequences come; none keeps the order of the file.
            workers: Processes that make batches ahead; 0 makes them in the training process.
        """
        super().__init__(sequence_length, batch_size, workers)
        self.vocab_size = vocab_size
        packed = PackedSequences(map_tokens(Path(file), np.dtype(dtype)), sequence_length, seed)
        self._sequences = _Checked(packed, vocab_size, file)
        self.tokenizer = load_tokenizer(tokenizer) if tokenizer else None

    @property
    def sequences(self) -> Sequences:
        return self._sequences


class _Checked(Sequences):
    """Refuses ids that the model doesn't have; checked as they are read, since a scan of the Pile takes hours."""

    def __init__(self, inner: Sequences, vocab_size: int, file: str) -> None:
        self.length = inner.length
        self._inner = inner
        self._vocab_size = vocab_size
        self._file = file

    def __call__(self, number: int, step: int) -> Ids:
        ids = self._inner(number, step)
        if (largest := int(ids.max())) >= self._vocab_size:
            raise ValueError(
                f"{self._file} contains the token id {largest} but vocab_size is {self._vocab_size}; raise "
                f"vocab_size, or check that the file's dtype is the one given"
            )
        return ids


def map_tokens(file: Path, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The ids in a file."""
    if not file.is_file():
        raise FileNotFoundError(f"no token file at {str(file)!r}; give the path of a .bin file of {dtype} token ids")
    size = file.stat().st_size
    if size == 0 or size % dtype.itemsize:
        raise ValueError(f"{file} has {size} bytes, which is no whole number of {dtype} token ids above zero")
    return np.memmap(file, dtype=dtype, mode="r")
