"""Spending no more than a share of the time that passes on what can wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Allowance:
    """Due again when what it took so far, and will take once more, is within its share of the time since the start."""

    def __init__(self, share: float, guess: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`guess` is how many seconds the first time will take."""
        if not 0 <= share <= 1:
            raise ValueError(f"a share of a run's time lies between 0 and 1; got {share}")
        self._share, self._next, self._clock = share, guess, clock
        self._spent, self._start = 0.0, clock()

    def due(self) -> bool:
        return self._spent + self._next <= self._share * (self._clock() - self._start)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Counts what happens inside."""
        start = self._clock()
        try:
            yield
        finally:
            self._next = self._clock() - start
            self._spent += self._next
