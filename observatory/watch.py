"""Observing over time: one observation after another, each handed to every recorder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from observatory.observation import Gap, Instrument, Observation, Recorder, Variable
from observatory.observe import Observatory


class Watch:
    """Remembers the observation before, and what a recorder could not take yet."""

    def __init__(
        self,
        observatory: Observatory,
        recorders: Sequence[Recorder],
        previous: Observation | None = None,
        loggers: Sequence[object] = (),
    ) -> None:
        self._observatory = observatory
        self._outboxes = tuple(_Outbox(recorder) for recorder in recorders)
        self._previous = previous
        self._observed = previous is not None
        if previous is not None:
            refuse_another(previous.provenance, {"battery": observatory.battery.hash})
        for recorder in recorders:
            recorder.begin(recorders, loggers)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What is measured."""
        return self._observatory.instruments

    @property
    def observed(self) -> bool:
        """Whether any observation has been made and recorded so far, in this process or before."""
        return self._observed

    def go_back(self, previous: Observation | None) -> None:
        """Goes on after an earlier observation, or from the start: what came later is measured again."""
        self._previous = previous

    def check(self, provenance: Mapping[str, str]) -> None:
        """Refuses to go on with what was measured on another model, with another battery or in another way."""
        if self._previous is not None:
            refuse_another(self._previous.provenance, provenance)

    def observe(
        self,
        model: nn.Module,
        step: int,
        *,
        tokens: int = 0,
        extras: Mapping[str, Variable] | None = None,
        last: bool = False,
    ) -> Observation:
        """Observes and records; `extras` are variables known to the caller alone, such as the training loss."""
        measured = self._observatory.observe(model, step, tokens=tokens, previous=self._previous, last=last)
        return self._keep(replace(measured, variables={**measured.variables, **(extras or {})}))

    def take(self, observation: Observation, previous: Observation | None) -> Observation:
        """Records what was observed elsewhere, with what has changed since the observation before it."""
        if previous is not None:
            refuse_another(previous.provenance, observation.provenance)
        return self._keep(self._observatory.since(previous, observation))

    def _keep(self, observation: Observation) -> Observation:
        self._previous = observation
        self._send(observation)
        self._observed = True
        return observation

    def gap(self, gap: Gap) -> None:
        """Records that an observation is missing."""
        self._send(gap)

    def note(self, text: str) -> None:
        """Tells whoever is watching."""
        for outbox in self._outboxes:
            outbox.recorder.note(text)

    def close(self) -> None:
        """Delivers what is still waiting and closes every recorder; then raises the first failure."""
        failures = [failure for outbox in self._outboxes if (failure := outbox.close()) is not None]
        if failures:
            raise failures[0]

    def _send(self, entry: Observation | Gap) -> None:
        """To every recorder, also where an earlier one fails; then raises the first failure."""
        failures = []
        for outbox in self._outboxes:
            try:
                outbox.send(entry)
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]


class _Outbox:
    """Keeps what a recorder could not write, a full disk say, and offers it again the next time.

    That is what an OSError says. What a recorder refuses with another error it would refuse again, and is not kept.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._waiting: list[Observation | Gap] = []

    def send(self, entry: Observation | Gap) -> None:
        self._waiting.append(entry)
        try:
            self._deliver()
        except OSError as error:
            warnings.warn(
                f"{type(self.recorder).__name__} could not write step {entry.step} ({error}); "
                f"{len(self._waiting)} waiting, tried again at the next observation",
                stacklevel=3,
            )

    def close(self) -> Exception | None:
        failure: Exception | None = None
        try:
            self._deliver()
        except Exception as error:
            failure = error
            if self._waiting:
                error.add_note(f"not written: step {', '.join(str(entry.step) for entry in self._waiting)}")
        try:
            self.recorder.close()
        except Exception as error:
            failure = failure or error
        return failure

    def _deliver(self) -> None:
        while self._waiting:
            entry = self._waiting.pop(0)
            try:
                if isinstance(entry, Gap):
                    self.recorder.gap(entry)
                else:
                    self.recorder.record(entry)
            except OSError:
                self._waiting.insert(0, entry)
                raise


def refuse_another(before: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Two observations are compared only where all of this is the same."""
    for what, value in here.items():
        if before.get(what, value) != value:
            raise ValueError(
                f"the logbook was written with {what} {before[what]}, and this run has {what} {value}; give it a "
                f"logbook of its own, or the same {what}"
            )
