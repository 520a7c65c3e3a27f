"""Observes a model while it is trained, in whatever loop: all that the callbacks for one or another have in common."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn

from observatory.clock import Clock
from observatory.forecast import forecast, share_of_run
from observatory.measure.layout import Layout
from observatory.measure.needs import free_memory
from observatory.measure.ranks import Ranks, all_ranks
from observatory.measure.twins import Fresh
from observatory.model_facts import facts
from observatory.observation import Gap, Instrument, Observation, Recorder, Variable
from observatory.observe import Observatory
from observatory.plan import Plan
from observatory.record.console import ConsoleRecorder
from observatory.record.logbook import Logbook
from observatory.record.next_free import next_free
from observatory.schedules import Schedule
from observatory.stimuli.battery import Battery
from observatory.stimuli.tokenizer import load_tokenizer
from observatory.watch import Watch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_WARM = 16
"""After so many steps it is known how long one takes."""


class Monitor:
    """Observes step 0, the steps that are due and the last one, and writes a logbook.

    Every process of a run calls it at the same steps; the first of them writes. Training itself is not touched. If the
    first observation fails, the run stops with the reason; a later failure is recorded as a gap and training goes on.

        with Monitor(tokenizer, "observations.h5").begin(model, max_steps=1000) as monitor:
            for step, batch in enumerate(batches, 1):
                ...
                monitor.step(step, tokens=step * batch.numel(), loss=loss)
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | str | None,
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
        time_limit: float | None = None,
    ) -> None:
        """The tokenizer is enough.

        Args:
            tokenizer: the model's, or where to load it from.
            out: the logbook. A run that starts at step 0 never writes into an older one: it takes the next free name.
            schedule: `logarithmic`, `logarithmic 20`, `pythia`, `every 500`, `at 0 10 100`, or a function of the step.
            max_overhead: instead of a schedule, the share of training's time that observing may take, such as 0.01.
            battery: what is shown; a folder of data files, or the built-in one, or several together.
            instruments: what is measured, by name or made by you: `contrast` unless said otherwise. Others, such as
                `competence`, `circuits` and `lesions`, cost more; what they cost is told at the start.
            recorders: where observations go beside the logbook; `[ConsoleRecorder()]` unless said otherwise.
            layout: where the model keeps its blocks, for one whose modules do not tell.
            twins: how many re-initialised twins are measured at the start; 16, or fewer of a large model.
            fresh: makes the model anew with random weights, for one first seen trained that is not of transformers.
            time_limit: seconds that an observation may take; one that takes longer is given up and is a gap.
        """
        self._plan = Plan(schedule, max_overhead)
        self._limit = time_limit
        self.tokenizer = tokenizer
        self._measuring: dict[str, Any] = {
            "battery": battery,
            "instruments": instruments,
            "layout": layout,
            "twins": twins,
            "fresh": fresh,
        }
        self._recorders = tuple(recorders) if recorders is not None else (ConsoleRecorder(),)
        self._out = self._logbook_path = Path(out)
        self._ranks = Ranks()
        self._watch: Watch | None = None
        self._logbook: Logbook | None = None
        self._model: nn.Module | None = None
        self._end: int | None = None
        self._step = 0
        self._tokens = 0
        self._loss: object = None
        self._acted: int | None = None
        self._loaded = False
        self._first: Observation | None = None
        self._told = False
        self._attributes: dict[str, str | int | float] = {}
        self._clock = Clock()

    @property
    def logbook_path(self) -> Path:
        """Where this run's observations are: `out`, or the next free name after it."""
        return self._logbook_path

    def begin(
        self,
        model: nn.Module,
        step: int = 0,
        *,
        max_steps: int | None = None,
        tokens: int = 0,
        resumed: bool | None = None,
        loggers: Sequence[object] = (),
        attributes: Mapping[str, str | int | float] | None = None,
    ) -> Self:
        """Opens the logbook, and observes the model if it is not trained yet.

        Args:
            model: as it is trained; wrapped, compiled or spread over processes, as the loop has it.
            step: optimizer steps it has been trained for. What the logbook has of later ones is dropped.
            max_steps: at which the run will end, if that is known.
            tokens: it has been trained on.
            resumed: whether the logbook is of this very run; it is from step 1 on, or after `load_state_dict`, unless
                said otherwise.
            loggers: the loop's own, for recorders that write where these do.
            attributes: what else the logbook should say of the run, such as its seed.
        """
        self.close()  # what a run that ended in an error has left open
        if resumed is None:
            resumed = step > 0 or self._loaded
        if not resumed:
            self._forget()
        self._loaded = self._told = False
        self._plan.begin()
        self._ranks = all_ranks(self._limit)
        self._model, self._end, self._step, self._tokens = model, max_steps, step, tokens
        self._attributes = dict(attributes or {})
        self._clock.begin(step)
        try:
            before = self._clock.seconds()["observing"]
            with self._clock.observing(), self._ranks.together():
                self._open(step, resumed, loggers)
            opening = self._clock.seconds()["observing"] - before
            self._plan.spend(opening, once=opening)
            if step == 0 and self._acted != 0:
                self._observe(last=max_steps == 0)
        except BaseException:
            self.close()
            raise
        return self

    def step(self, step: int, *, tokens: int = 0, loss: object = None) -> None:
        """After an optimizer step, on every process: observes if one is due since the step before.

        Args:
            step: how many optimizer steps have been taken.
            tokens: how many tokens the model has been trained on, on all processes together.
            loss: of this step and process, in nats per token; a number or a tensor, which is read only when needed.
        """
        before, self._step, self._tokens = self._step, step, tokens
        self._loss = loss.detach() if isinstance(loss, torch.Tensor) else loss  # or it would keep the step's graph
        if self._clock.taken(step) >= _WARM and not self._told:
            self._tell_share(step)
        if (step == self._end and self._acted != step) or self.due(before, step):
            self._observe(last=step == self._end)
            if self._told:
                self._decide()

    def due(self, before: int, now: int) -> bool:
        """Whether to observe, of the steps since the one before."""
        return self._plan.due(before, now)

    def end(self) -> None:
        """The run is over: observes what it has become, and closes the logbook."""
        if self._watch is not None and self._acted != self._step:
            self._observe(last=True)
        self.close()

    def close(self) -> None:
        """Closes the logbook, as after an error."""
        if self._watch is None:
            return
        self._clock.end()
        if self._logbook is not None:
            try:
                self._logbook.describe({f"seconds_{what}": taken for what, taken in self._clock.seconds().items()})
            except OSError as error:  # a full disk, say, on which the observations may still find room
                warnings.warn(f"the logbook does not say how long observing took: {error}", stacklevel=2)
        self._let_go()

    def _let_go(self) -> None:
        watch, logbook = self._watch, self._logbook
        self._watch = self._logbook = None
        if watch is not None:
            watch.close()  # and the logbook, which is the first of its recorders
        elif logbook is not None:
            logbook.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end() if error is None else self.close()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint of the trainer should carry, so that a run that resumes goes on in its logbook."""
        return {
            "acted": self._acted,
            "logbook": str(self._logbook_path),
            "seconds": self._clock.seconds(),
            "budget": self._plan.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Before `begin`."""
        self._loaded, self._acted = True, state["acted"]
        self._clock.go_on(state["seconds"])
        self._logbook_path = self._out.with_name(Path(state["logbook"]).name)
        self._plan.load_state_dict(state["budget"])

    def _forget(self) -> None:
        """What was before belongs to another run."""
        self._acted, self._first, self._clock = None, None, Clock()
        self._plan.forget()

    def _open(self, step: int, resumed: bool, loggers: Sequence[object]) -> None:
        assert self._model is not None
        if self.tokenizer is None:
            raise ValueError("the monitor needs the model's tokenizer; pass tokenizer=")
        tokenizer = load_tokenizer(self.tokenizer) if isinstance(self.tokenizer, str) else self.tokenizer
        observatory = Observatory(tokenizer, **self._measuring, ranks=self._ranks)
        provenance = observatory.provenance(self._model)
        known: Observation | None = None
        recorders: tuple[Recorder, ...] = ()
        if self._ranks.rank == 0:
            if not resumed:
                self._logbook_path = next_free(self._out)
                if self._logbook_path != self._out:
                    print(f"{self._out} holds another run; this one goes to {self._logbook_path}")
            self._logbook = Logbook(self._logbook_path)
            recorders = (self._logbook, *self._recorders)
        try:
            if self._logbook is not None:
                known = self._logbook.last(before=step + 1)
            self._watch = Watch(observatory, recorders, self._ranks.from_first(known), loggers)
            self._watch.check(provenance)
            if self._logbook is not None:
                self._logbook.rewind(step)
                ends = {"max_steps": self._end} if self._end else {}
                self._logbook.describe({**self._plan.told(), **ends, **self._attributes, **facts(self._model)})
            if known is not None:
                self._plan.learn(known.seconds)
        except BaseException:
            self._let_go()
            raise
        self._logbook_path = self._ranks.from_first(self._logbook_path)
        needed = observatory.needs(self._model)
        self._watch.note(needed.told())
        if lacking := needed.lacking(free_memory(next(self._model.parameters()).device)):
            warnings.warn(lacking, stacklevel=4)

    def _observe(self, last: bool) -> None:
        if self._watch is None or self._model is None:
            raise RuntimeError("begin() comes before step() and end(), and after close() nothing")
        first, self._acted = not self._watch.observed, self._step
        before, once = self._clock.seconds()["observing"], 0.0
        try:
            with self._clock.observing(), self._ranks.together():
                observation = self._watch.observe(
                    self._model, self._step, tokens=self._tokens, extras=self._extras(), last=last
                )
        except Exception as error:
            if first:
                raise
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(f"no observation at step {self._step}: {reason}", stacklevel=3)
            self._watch.gap(Gap(step=self._step, tokens=self._tokens, reason=reason))
        else:
            once = observation.costs.get("twins", 0.0)
            if first:
                self._first = observation
                self._watch.note(forecast(observation, self._watch.instruments, self._plan.steps(self._end)))
        self._plan.spend(self._clock.seconds()["observing"] - before, once)

    def _extras(self) -> Mapping[str, Variable]:
        """The loss, averaged over processes."""
        loss = self._loss
        own = torch.tensor(np.nan if loss is None else float(loss), dtype=torch.float64)  # type: ignore[arg-type]
        mean = self._ranks.total(own) / self._ranks.size
        return {
            "train_loss": Variable((), mean.numpy(), {"long_name": "training loss", "units": "nats/token"}),
        }

    def _tell_share(self, step: int) -> None:
        """Once it is known how long a step takes."""
        self._told = True
        self._decide()
        if self._watch is not None and self._end:
            self._watch.note(self._share(self._watch, self._clock.pace(step), self._end))

    def _share(self, watch: Watch, pace: float, end: int) -> str:
        if self._plan.by_cost:
            return self._plan.room(pace, end)
        if self._first is None:
            return f"A step takes {pace:.2g} s."
        return share_of_run(self._first, watch.instruments, self._plan.steps(end), pace, end)

    def _decide(self) -> None:
        self._plan.decide(self._step, self._clock.pace(self._step), self._end, self._ranks)
