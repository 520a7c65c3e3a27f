"""Saves Hugging Face folders named as Pythia names them, on a schedule."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch

from observatory import schedules
from observatory.callbacks.pretrained import find_pretrained
from observatory.callbacks.stepping import SteppingCallback
from observatory.record.next_free import next_free
from observatory.replay.checkpoints import PROGRESS_FILE, step_folders
from observatory.schedules import Schedule, crossed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class PythiaCheckpoints(SteppingCallback):
    """Writes `step{N}` folders that from_pretrained opens and that replay measures.

    A run that starts at step 0 never writes among an older one's: it takes the next free name. A run that is resumed
    at an earlier step sets aside what came after it, as `step{N}-abandoned`.
    """

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
        super().__init__(tokens_per_step)
        self._schedule = schedules.parse(schedule) if isinstance(schedule, str) else schedule
        self._saved: int | None = None
        self._wanted = Path(folder)
        self._folder = Path(folder)
        self._tokenizer = tokenizer
        self._resumed = False

    @property
    def folder(self) -> Path:
        """Where this run's checkpoints are."""
        return self._folder

    @property
    def state_key(self) -> str:
        return f"{type(self).__qualname__}[{self._wanted}]"

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            if trainer.global_step == 0 and not self._resumed:
                self._folder = next_free(self._wanted) if step_folders(self._wanted) else self._wanted
                if self._folder != self._wanted:
                    print(f"{self._wanted} holds another run; this one's checkpoints go to {self._folder}")
            else:
                for step, path in step_folders(self._folder).items():
                    if step > trainer.global_step:
                        path.rename(next_free(path.with_name(f"{path.name}-abandoned")))
        self._resumed = False
        super().on_train_start(trainer, pl_module)
        if trainer.global_step == 0:
            self._save(trainer, pl_module, 0)

    def stepped(self, trainer: L.Trainer, module: L.LightningModule, before: int, step: int) -> None:
        if crossed(self._schedule, before, step):
            self._save(trainer, module, step)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._saved != trainer.global_step:
            self._save(trainer, pl_module, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "folder": self._folder.name, "saved": self._saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._folder = self._wanted.with_name(state_dict["folder"])
        self._saved = state_dict["saved"]
        self._resumed = True

    def _save(self, trainer: L.Trainer, module: L.LightningModule, step: int) -> None:
        self._saved = step
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
        progress = {
            "step": step,
            "tokens": self.tokens,
            "attention": model.config._attn_implementation,
            "threads": torch.get_num_threads(),
        }
        (partial / PROGRESS_FILE).write_text(json.dumps(progress))
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
