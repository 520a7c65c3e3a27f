"""The monitor: observes a model while Lightning trains it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from torch import Tensor

from observatory.callbacks.stepping import SteppingCallback
from observatory.measure.layout import Layout
from observatory.measure.twins import Fresh
from observatory.monitor import Monitor
from observatory.observation import Instrument, Recorder
from observatory.schedules import Schedule
from observatory.stimuli.battery import Battery

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class SpecializationMonitor(SteppingCallback):
    """Measures after the optimizer step of scheduled global steps, at step 0 and at the last one; writes a logbook.

    Training itself is not touched: the weights after any number of steps are the same with and without it. If
    the first observation fails, the run stops with the reason; a later failure is recorded as a gap and training goes
    on.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | str | None = None,
        out: str | Path = "observations.h5",
        schedule: str | Schedule | None = None,
        *,
        max_overhead: float | None = None,
        battery: Battery | Path | str | Sequence[Path | str] | None = None,
        instruments: Sequence[str | Instrument] | None = None,
        recorders: Sequence[Recorder] | None = None,
        layout: Layout | None = None,
        twins: int | None = None,
        fresh: Fresh | None = None,
        tokens_per_step: int | None = None,
        time_limit: float | None = None,
    ) -> None:
        """The tokenizer is enough.

        Args:
            tokenizer: the model's, or where to load it from; left out, the data module's.
            out: the logbook. A run that starts at step 0 never writes into an older one: it takes the next free name.
            schedule: `logarithmic` unless said otherwise, `logarithmic 20`, `pythia`, `every 500`, `at 0 10 100`, or a
                function of the step.
            max_overhead: instead of a schedule, the share of training's time that observing may take, such as 0.01.
            battery: what is shown; a folder of data files, or the built-in one, or several together.
            instruments: what is measured, by name or made by you: `contrast` unless said otherwise. Others, such as
                `competence`, `circuits` and `lesions`, cost more; what they cost is told at the start.
            recorders: where observations go beside the logbook; `[ConsoleRecorder()]` unless said otherwise. With
                `[ConsoleRecorder(), WandbRecorder()]` they are shown in Weights & Biases, too.
            layout: where the model keeps its blocks, for one whose modules do not tell.
            twins: how many re-initialised twins are measured at the start; 16, or fewer of a large model.
            fresh: makes the model anew with random weights, for one first seen trained that is not of transformers.
            tokens_per_step: for a loop whose batches do not show their tokens.
            time_limit: seconds that an observation may take; one that takes longer is given up and is a gap.
        """
        super().__init__(tokens_per_step)
        self._tokenizer = tokenizer
        self._out = Path(out)
        self._monitor = Monitor(
            tokenizer,
            out,
            schedule,
            max_overhead=max_overhead,
            battery=battery,
            instruments=instruments,
            recorders=recorders,
            layout=layout,
            twins=twins,
            fresh=fresh,
            time_limit=time_limit,
        )
        self._loss: Any = None

    @property
    def logbook_path(self) -> Path:
        """Where this run's observations are: `out`, or the next free name after it."""
        return self._monitor.logbook_path

    @property
    def state_key(self) -> str:
        return f"{type(self).__qualname__}[{self._out}]"

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._monitor.tokenizer = self._tokenizer or getattr(getattr(trainer, "datamodule", None), "tokenizer", None)
        if self._monitor.tokenizer is None:
            raise ValueError(
                "the monitor needs the model's tokenizer: none was given and the trainer has no data module with one; "
                "pass SpecializationMonitor(tokenizer=...)"
            )
        super().on_train_start(trainer, pl_module)
        self._monitor.begin(
            pl_module,
            trainer.global_step,
            max_steps=trainer.max_steps if trainer.max_steps >= 0 else None,
            tokens=self.tokens,
            loggers=trainer.loggers,
            attributes=_seed(),
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def stepped(self, trainer: L.Trainer, module: L.LightningModule, before: int, step: int) -> None:
        # Lightning has divided the loss by the number of batches that make a step.
        loss = self._loss.detach() * trainer.accumulate_grad_batches if isinstance(self._loss, Tensor) else self._loss
        self._monitor.step(step, tokens=self.tokens, loss=loss)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._monitor.end()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._monitor.close()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), **self._monitor.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._monitor.load_state_dict(state_dict)


def _seed() -> dict[str, str | int | float]:
    """Which Lightning's seed_everything leaves behind."""
    seed = os.environ.get("PL_GLOBAL_SEED", "")
    return {"seed": int(seed)} if seed.isdecimal() else {}
