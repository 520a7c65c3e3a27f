"""The monitor: observes a model while Lightning trains it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
from torch import Tensor

from observatory.callbacks.pretrained import find_pretrained
from observatory.callbacks.stepping import SteppingCallback
from observatory.forecast import forecast
from observatory.measure.layout import Layout
from observatory.measure.twins import Fresh
from observatory.observation import Gap, Instrument, Recorder, Variable
from observatory.observe import Observatory
from observatory.record.console import ConsoleRecorder
from observatory.record.logbook import Logbook
from observatory.record.next_free import next_free
from observatory.schedules import Schedule
from observatory.stimuli.battery import Battery
from observatory.stimuli.tokenizer import load_tokenizer
from observatory.watch import Watch

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
        schedule: str | Schedule = "logarithmic",
        *,
        battery: Battery | Path | str | Sequence[Path | str] | None = None,
        instruments: Sequence[str | Instrument] | None = None,
        recorders: Sequence[Recorder] | None = None,
        layout: Layout | None = None,
        twins: int | None = None,
        fresh: Fresh | None = None,
        tokens_per_step: int | None = None,
    ) -> None:
        """The tokenizer is enough.

        Args:
            tokenizer: the model's, or where to load it from; left out, the data module's.
            out: the logbook. A run that starts at step 0 never writes into an older one: it takes the next free name.
            schedule: `logarithmic`, `logarithmic 20`, `pythia`, `every 500`, `at 0 10 100`, or a function of the step.
            battery: what is shown; a folder of data files, or the built-in one, or several together.
            instruments: what is measured, by name or made by you: `contrast` unless said otherwise; there are also
                `competence`, `circuits` and `lesions`, which cost more.
            recorders: where observations go beside the logbook; `[ConsoleRecorder()]` unless said otherwise. With
                `[ConsoleRecorder(), WandbRecorder()]` they are shown in Weights & Biases, too.
            layout: where the model keeps its blocks, for one whose modules do not tell.
            twins: how many re-initialised twins are measured at the start; 16, or fewer of a large model.
            fresh: makes the model anew with random weights, for one first seen trained that is not of transformers.
            tokens_per_step: for a loop whose batches do not show their tokens.
        """
        super().__init__(schedule, tokens_per_step)
        self._schedule_given = schedule
        self._tokenizer = tokenizer
        self._out = Path(out)
        self._logbook_path = Path(out)
        self._battery = battery
        self._instruments = instruments
        self._recorders = tuple(recorders) if recorders is not None else (ConsoleRecorder(),)
        self._layout = layout
        self._twins = twins
        self._fresh = fresh
        self._loss: Tensor | None = None
        self._resumed = False
        self._watch: Watch | None = None

    @property
    def logbook_path(self) -> Path:
        """Where this run's observations are: `out`, or the next free name after it."""
        return self._logbook_path

    @property
    def state_key(self) -> str:
        return f"{type(self).__qualname__}[{self._out}]"

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._open(trainer, pl_module)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._close()

    def act(self, trainer: L.Trainer, module: L.LightningModule, step: int, tokens: int, last: bool) -> None:
        assert self._watch is not None
        first = not self._watch.observed
        # Lightning has divided the loss by the number of batches that make a step.
        loss = np.nan if self._loss is None else float(self._loss) * trainer.accumulate_grad_batches
        extras = {"train_loss": Variable((), np.array(loss), {"long_name": "training loss", "units": "nats/token"})}
        try:
            observation = self._watch.observe(module, step, tokens=tokens, extras=extras, last=last)
        except Exception as error:
            if not self._watch.observed:
                raise
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(f"no observation at step {step}: {reason}", stacklevel=2)
            self._watch.gap(Gap(step=step, tokens=tokens, reason=reason))
            return
        if first:
            self._watch.note(forecast(observation, self._watch.instruments, self.steps(trainer.max_steps)))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "logbook": str(self._logbook_path)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._logbook_path = self._out.with_name(Path(state_dict["logbook"]).name)
        self._resumed = True

    def _open(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        observatory = Observatory(
            self._find_tokenizer(trainer),
            battery=self._battery,
            instruments=self._instruments,
            layout=self._layout,
            twins=self._twins,
            fresh=self._fresh,
        )
        if not trainer.is_global_zero:
            self._watch = Watch(observatory, ())
            return
        if trainer.global_step == 0 and not self._resumed:
            self._logbook_path = next_free(self._out)
            if self._logbook_path != self._out:
                print(f"{self._out} holds another run; this one goes to {self._logbook_path}")
        self._resumed = False
        logbook = Logbook(self._logbook_path, attributes={**self._plan(trainer), **_attributes(module)})
        try:
            known = logbook.last(before=trainer.global_step + 1)
            watch = Watch(observatory, (logbook, *self._recorders), known, trainer.loggers)
            watch.check(module)
            logbook.rewind(trainer.global_step)
        except BaseException:
            logbook.close()
            raise
        self._watch = watch

    def _close(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def _plan(self, trainer: L.Trainer) -> dict[str, str | int]:
        """By which whoever follows the run knows what is still to come; of a schedule that is a function, nothing."""
        text = {"schedule": self._schedule_given} if isinstance(self._schedule_given, str) else {}
        return {**text, **({"max_steps": trainer.max_steps} if trainer.max_steps > 0 else {})}

    def _find_tokenizer(self, trainer: L.Trainer) -> PreTrainedTokenizerBase:
        if isinstance(self._tokenizer, str):
            return load_tokenizer(self._tokenizer)
        found = self._tokenizer or getattr(getattr(trainer, "datamodule", None), "tokenizer", None)
        if found is None:
            raise ValueError(
                "the monitor needs the model's tokenizer: none was given and the trainer has no data module with one; "
                "pass SpecializationMonitor(tokenizer=...)"
            )
        return found


def _attributes(module: L.LightningModule) -> dict[str, str | int]:
    """The configuration, and how large the model is, where this process can tell: FSDP may show it its part alone."""
    model = find_pretrained(module)
    config = {} if model is None else {"model_config": model.config.to_json_string(use_diff=False)}
    sizes = [weight.numel() for weight in (model or module).parameters()]
    spread = any(type(part).__name__ == "FullyShardedDataParallel" for part in module.modules()) or 0 in sizes
    return config if spread else {**config, "model_parameters": sum(sizes)}
