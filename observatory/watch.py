"""Observing over time: one observation after another, each handed to every recorder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from observatory.observation import Gap, Observation, Recorder, Variable
from observatory.observe import Observatory


class Watch:
    """Remembers the observation before, and what a recorder could not take yet."""

    def __init__(
        self, observatory: Observatory, recorders: Sequence[Recorder], previous: Observation | None = None
    ) -> None:
        self._observatory = observatory
        self._outboxes = tuple(_Outbox(recorder) for recorder in recorders)
        self._previous = previous
        if previous is not None:
            _refuse_another(previous.provenance, {"battery": observatory.battery.hash})

    @property
    def observed(self) -> bool:
        """Whether any observation has been made so far, in this process or before."""
        return self._previous is not None

    def check(self, model: nn.Module) -> None:
        """Refuses to go on with what was measured on another model, with another battery or in another way."""
        if self._previous is not None:
            _refuse_another(self._previous.provenance, self._observatory.provenance(model))

    def observe(
        self, model: nn.Module, step: int, *, tokens: int = 0, extras: Mapping[str, Variable] | None = None
    ) -> Observation:
        """Observes and records; `extras` are variables known to the caller alone, such as the training loss."""
        measured = self._observatory.observe(model, step, tokens=tokens, previous=self._previous)
        self._previous = replace(measured, variables={**measured.variables, **(extras or {})})
        for outbox in self._outboxes:
            outbox.send(self._previous)
        return self._previous

    def gap(self, gap: Gap) -> None:
        """Records that an observation is missing."""
        for outbox in self._outboxes:
            outbox.send(gap)

    def close(self) -> None:
        """Delivers what is still waiting and closes every recorder; then raises the first failure."""
        failures = [failure for outbox in self._outboxes if (failure := outbox.close()) is not None]
        if failures:
            raise failures[0]


class _Outbox:
    """Keeps what a recorder could not write, a full disk say, and offers it again the next time."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._waiting: list[Observation | Gap] = []

    def send(self, entry: Observation | Gap) -> None:
        self._waiting.append(entry)
        try:
            self._deliver()
        except OSError as error:
            warnings.warn(
                f"{type(self._recorder).__name__} could not write step {entry.step} ({error}); "
                f"{len(self._waiting)} waiting, tried again at the next observation",
                stacklevel=3,
            )

    def close(self) -> OSError | None:
        try:
            self._deliver()
        except OSError as error:
            error.add_note(f"steps {', '.join(str(entry.step) for entry in self._waiting)} were not written")
            return error
        finally:
            self._recorder.close()
        return None

    def _deliver(self) -> None:
        while self._waiting:
            entry = self._waiting[0]
            if isinstance(entry, Gap):
                self._recorder.gap(entry)
            else:
                self._recorder.record(entry)
            self._waiting.pop(0)


def _refuse_another(before: Mapping[str, str], here: Mapping[str, str]) -> None:
    for what, value in here.items():
        if before.get(what, value) != value:
            raise ValueError(
                f"the logbook was written with {what} {before[what]}, and this run has {what} {value}; give it a "
                f"logbook of its own, or the same {what}"
            )
