"""Hugging Face datasets as a data module."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from observatory.train.data import SequenceData, padded
from observatory.train.sequences import PackedSequences, Sequences
from observatory.train.text_files import load_tokenizer, pack
from observatory.train.tokenizer import train_tokenizer


class HuggingFaceData(SequenceData):
    """Trains on a text column of a dataset that fits in memory once tokenized."""

    tokenizer: PreTrainedTokenizerBase

    def __init__(
        self,
        dataset: str,
        split: str = "train",
        column: str = "text",
        tokenizer: str | None = None,
        sequence_length: int = 128,
        batch_size: int = 32,
        seed: int = 0,
        vocab_size: int = 4096,
        workers: int = 0,
    ) -> None:
        """
        Args:
            dataset: A folder written by `save_to_disk`, or a name on the hub.
            split: The split to train on.
            column: The column with the text.
            tokenizer: A folder or hub name of a tokenizer. If not given, one is trained on this text.
            sequence_length: Tokens in a sequence.
            batch_size: Sequences in a batch of one rank.
            seed: Seed of the order in which sequences come.
            vocab_size: Size of the tokenizer that is trained; without effect if one is given.
            workers: Processes that make batches ahead; 0 makes them in the training process.
        """
        super().__init__(sequence_length, batch_size, workers)
        self.seed = seed
        self._rows = _open(dataset, split)
        self._column = column
        if column not in self._rows.column_names:
            raise ValueError(
                f"the dataset {dataset!r} has no column {column!r}; it has {', '.join(self._rows.column_names)}"
            )
        self.tokenizer = load_tokenizer(tokenizer) if tokenizer else train_tokenizer(self._documents(), vocab_size)
        self.vocab_size = padded(len(self.tokenizer))

    @cached_property
    def sequences(self) -> Sequences:
        return PackedSequences(pack(self._documents(), self.tokenizer), self.sequence_length, self.seed)

    def _documents(self) -> Iterator[str]:
        found = False
        for row in self._rows:
            if text := row[self._column].strip():
                found = True
                yield text
        if not found:
            raise ValueError(f"the column {self._column!r} holds no text in any of {len(self._rows)} rows")


def _open(dataset: str, split: str) -> Any:
    try:
        datasets = import_module("datasets")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Hugging Face datasets are read by `pip install datasets`") from error
    found = datasets.load_from_disk(dataset) if Path(dataset).is_dir() else datasets.load_dataset(dataset)
    if not isinstance(found, datasets.DatasetDict):
        return found
    if split not in found:
        raise ValueError(f"the dataset {dataset!r} has no split {split!r}; it has {', '.join(found)}")
    return found[split]
