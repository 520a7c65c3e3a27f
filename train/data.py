"""What all data modules share: a tokenizer or a vocabulary size, sequences, and batches that resume exactly."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import lightning as L
from transformers import PreTrainedTokenizerBase

from observatory.train.feed import Feed, Position
from observatory.train.sequences import Sequences


def padded(vocab_size: int, multiple: int = 128) -> int:
    """The vocabulary size of the model, rounded up as GPT-NeoX does."""
    return -(-vocab_size // multiple) * multiple


class SequenceData(L.LightningDataModule):
    """A data module over numbered sequences; a source of its own needs only `sequences`."""

    tokenizer: PreTrainedTokenizerBase | None = None
    """What the data was, or is, tokenized with; saved with the run where there is one."""
    vocab_size: int
    """The number of token ids that the model must have."""

    def __init__(self, sequence_length: int, batch_size: int, workers: int = 0) -> None:
        super().__init__()
        if sequence_length < 2:
            raise ValueError(f"a sequence has at least 2 tokens, got sequence_length={sequence_length}")
        if batch_size < 1:
            raise ValueError(f"a batch has at least one sequence, got batch_size={batch_size}")
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self.workers = workers

    @property
    @abstractmethod
    def sequences(self) -> Sequences:
        """The training sequences."""

    def prepare_data(self) -> None:
        if self.tokenizer is not None and self.trainer is not None:
            self.tokenizer.save_pretrained(str(Path(self.trainer.default_root_dir) / "tokenizer"))

    def train_dataloader(self) -> Feed:
        return Feed(self.sequences, self.batch_size, self._position, self.workers)

    def _position(self) -> Position:
        trainer = self.trainer
        if trainer is None:
            return Position()
        return Position(
            step=trainer.global_step,
            rank=trainer.global_rank,
            world=trainer.world_size,
            accumulate=trainer.accumulate_grad_batches,
        )
