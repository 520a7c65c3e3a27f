"""A recorder that shows observations in a tracker, and that never stops training."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from observatory.observation import Observation, Recorder
from observatory.publish.destination import Destination
from observatory.publish.scalars import observed, row
from observatory.publish.session import DRAWING, JUDGING, Session
from observatory.record.logbook import Logbook


class PublishingRecorder(Recorder):
    """Opens its destination at the first observation, and gives up with one warning if anything there fails."""

    def __init__(self, judging: float = JUDGING, drawing: float = DRAWING) -> None:
        """Shares of the time that passes, for verdicts and for figures with the report; all are shown at the end."""
        self._shares = judging, drawing
        for share in self._shares:
            if not 0 <= share <= 1:
                raise ValueError(f"judging and drawing are shares of the time that passes, 0 to 1; got {share}")
        self._logbook: Logbook | None = None
        self._loggers: Sequence[object] = ()
        self._session: Session | None = None
        self._failed = False

    @abstractmethod
    def open(self, logbook: Path | None, loggers: Sequence[object]) -> Destination:
        """Where the trainer writes, if it writes to such a tracker, or a place of its own."""

    def begin(self, recorders: Sequence[Recorder], loggers: Sequence[object] = ()) -> None:
        self._logbook = next((one for one in recorders if isinstance(one, Logbook)), None)
        self._loggers = loggers
        self._session, self._failed = None, False

    def record(self, observation: Observation) -> None:
        self._try(lambda: self._opened(but=observation.step).tell(row(observed(observation))))

    def close(self) -> None:
        def finish() -> None:
            if self._session is not None or (self._logbook is not None and self._logbook.steps):
                self._opened().finish()

        self._try(finish)
        self._session = None

    def _opened(self, but: int | None = None) -> Session:
        if self._session is None:
            path = self._logbook.path if self._logbook else None
            destination = self.open(path, self._loggers)
            session = Session(destination, path, *self._shares)
            known = session.catch_up(but)
            if self._logbook is not None and but is not None and (destination.trace.items() - known.items()):
                self._logbook.describe(destination.trace)
            self._session = session
        return self._session

    def _try(self, action: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            action()
        except Exception as error:
            self._failed = True
            safe = f"{self._logbook.path} has every observation, and " if self._logbook else ""
            warnings.warn(
                f"{type(self).__name__} shows nothing from here on ({type(error).__name__}: {error}); "
                f"{safe}training goes on",
                stacklevel=2,
            )
