"""How the time of a run goes: into training, and into observing it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Counts on from what an earlier process of the same run has counted."""

    def __init__(self) -> None:
        self._earlier = {"training": 0.0, "observing": 0.0}
        self._began = time.perf_counter()
        self._observing = 0.0
        self._first = 0

    def begin(self, step: int) -> None:
        """Training begins here, or goes on."""
        self._began, self._observing, self._first = time.perf_counter(), 0.0, step

    def taken(self, step: int) -> int:
        """Steps since."""
        return step - self._first

    def pace(self, step: int) -> float:
        """Seconds that a step has taken on the average, without observing."""
        return (time.perf_counter() - self._began - self._observing) / max(1, self.taken(step))

    @contextmanager
    def observing(self) -> Iterator[None]:
        """What is done in here is not training."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._observing += time.perf_counter() - began

    def seconds(self) -> dict[str, float]:
        """Of the whole run, for its record and for whoever goes on with it."""
        training = time.perf_counter() - self._began - self._observing
        return {
            "training": self._earlier["training"] + training,
            "observing": self._earlier["observing"] + self._observing,
        }

    def go_on(self, seconds: dict[str, float]) -> None:
        """After a process that has counted so much."""
        self._earlier = dict(seconds)
