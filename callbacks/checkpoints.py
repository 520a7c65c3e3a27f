"""Saves Hugging Face folders named as Pythia names them, on a schedule."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import lightning as L

from observatory.callbacks.pretrained import find_pretrained
from observatory.callbacks.stepping import SteppingCallback
from observatory.replay.checkpoints import PROGRESS_FILE
from observatory.schedules import Schedule

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class PythiaCheckpoints(SteppingCallback):
    """Writes `step{N}` folders that from_pretrained opens and that replay measures."""

    def __init__(
        self,
        folder: str | Path = "checkpoints",
        schedule: str | Schedule = "pythia",
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        tokens_per_step: int | None = None,
    ) -> None:
        """Args:
        folder: where the checkpoints go.
        schedule: as for the monitor.
        tokenizer: saved beside the weights; left out, the data module's, if it has one.
        tokens_per_step: for a loop whose batches do not show their tokens.
        """
        super().__init__(schedule, tokens_per_step)
        self._folder = Path(folder)
        self._tokenizer = tokenizer

    @property
    def state_key(self) -> str:
        return f"{type(self).__qualname__}[{self._folder}]"

    def act(self, trainer: L.Trainer, module: L.LightningModule, step: int, tokens: int) -> None:
        if not trainer.is_global_zero:
            return
        model = find_pretrained(module)
        if model is None:
            raise ValueError(
                f"PythiaCheckpoints saves transformers models; {type(module).__name__} holds none: its children are "
                f"{', '.join(name for name, _ in module.named_children()) or 'none'}"
            )
        tokenizer = self._tokenizer or getattr(getattr(trainer, "datamodule", None), "tokenizer", None)
        final = self._folder / f"step{step}"
        partial = self._folder / f".step{step}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        model.save_pretrained(partial)
        if tokenizer is not None:
            tokenizer.save_pretrained(partial)
        progress = {"step": step, "tokens": tokens, "attention": model.config._attn_implementation}
        (partial / PROGRESS_FILE).write_text(json.dumps(progress))
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
