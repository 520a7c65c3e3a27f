"""How the time of a run goes: into training, and into observing it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Counts on from what an earlier process of the same run has counted."""

    def __init__(self) -> None:
        self._earlier = {"training": 0.0, "observing": 0.0}
        self._began: float | None = None
        self._observing = 0.0
        self._first = 0

    def begin(self, step: int) -> None:
        """Training begins here, or goes on."""
        self._began, self._observing, self._first = time.perf_counter(), 0.0, step

    def end(self) -> None:
        """What comes until it goes on is no part of the run."""
        self._earlier, self._began, self._observing = self.seconds(), None, 0.0

    def taken(self, step: int) -> int:
        """Steps since."""
        return step - self._first

    def pace(self, step: int) -> float:
        """Seconds that a step has taken on the average, without observing."""
        return self._training() / max(1, self.taken(step))

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
        return {
            "training": self._earlier["training"] + self._training(),
            "observing": self._earlier["observing"] + self._observing,
        }

    def go_on(self, seconds: dict[str, float]) -> None:
        """After a process that has counted so much."""
        self._earlier = dict(seconds)

    def _training(self) -> float:
        return 0.0 if self._began is None else time.perf_counter() - self._began - self._observing
