"""A Lightning callback that is called after every optimizer step, with the tokens seen so far."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import lightning as L
from torch import Tensor


class SteppingCallback(L.Callback):
    """Counts optimizer steps and tokens.

    Lightning repeats a global step under gradient accumulation and skips some with several optimizers, so a step counts
    when the global step has changed, and whoever is told hears of every step in between.
    """

    def __init__(self, tokens_per_step: int | None) -> None:
        if tokens_per_step is not None and tokens_per_step < 1:
            raise ValueError(f"tokens_per_step must be positive, or None to count; got {tokens_per_step}")
        self._tokens_per_step = tokens_per_step
        self._tokens = 0
        self._step = 0

    @property
    @abstractmethod
    def state_key(self) -> str:
        """Two of a kind would share their state in a checkpoint."""

    @abstractmethod
    def stepped(self, trainer: L.Trainer, module: L.LightningModule, before: int, step: int) -> None:
        """The steps after `before` up to `step` have been taken."""

    @property
    def tokens(self) -> int:
        """Seen up to the last step."""
        return self._tokens if self._tokens_per_step is None else self._tokens_per_step * self._step

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._step = trainer.global_step
        if self._step == 0:
            self._tokens = 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._tokens += count_tokens(batch) * trainer.world_size
        if trainer.global_step != self._step:
            before, self._step = self._step, trainer.global_step
            self.stepped(trainer, pl_module, before, self._step)

    def state_dict(self) -> dict[str, Any]:
        return {"tokens": self._tokens}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._tokens = state_dict["tokens"]


def count_tokens(batch: Any) -> int:
    """The token ids in a batch: its `input_ids`, or the first integer matrix anywhere in it; 0 if there is none."""
    if isinstance(batch, Tensor):
        whole = batch.ndim == 2 and not batch.is_floating_point() and not batch.is_complex()
        return batch.numel() if whole else 0
    if isinstance(batch, Mapping):
        return count_tokens(batch["input_ids"]) if "input_ids" in batch else count_tokens(batch.values())
    if isinstance(batch, Iterable) and not isinstance(batch, str | bytes):
        return next((count for part in batch if (count := count_tokens(part))), 0)
    return 0
