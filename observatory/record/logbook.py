"""The logbook: observations in an HDF5 file that survives whatever happens to the run."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from observatory.observation import Gap, Observation, Recorder
from observatory.record import names
from observatory.record.benchmarks import Benchmarks
from observatory.record.durable import replace as replace_file
from observatory.record.journal import Frame
from observatory.record.ledger import (
    benchmarks_frame,
    gap_frame,
    header_frame,
    observation_frame,
    observation_from,
    rewind_frame,
)
from observatory.record.lock import WriterLock
from observatory.record.product import image, is_own_attribute
from observatory.record.reader import open_logbook as open_logbook
from observatory.record.recovery import recover, refuse_unusable, understanding
from observatory.record.seal import seal

logger = logging.getLogger(__name__)

ALWAYS_BELOW = 50 * 10**6
"""Up to this many bytes the file is made anew at every record; beyond, after so many records:"""
AT_LEAST_EVERY, SHARE = 8, 0.1


class Logbook(Recorder):
    """Keeps observations in one HDF5 file, together with a journal from which the file is made.

    `record` returns when the observation is on disk in the journal. The HDF5 file, which any netCDF reader
    opens at any moment, follows at once while it is small and at the latest on `close`. See docs/logbook.md.
    """

    def __init__(self, path: str | os.PathLike[str], attributes: Mapping[str, object] | None = None) -> None:
        """Open or continue the logbook at `path`; `attributes` (texts, numbers, JSON) describe the run."""
        self.path = Path(os.path.realpath(path))
        given = names.attributes(attributes or {})
        if taken := [name for name in given if is_own_attribute(name)]:
            raise ValueError(f"the logbook itself sets the attribute {taken[0]!r}; choose another name")
        refuse_unusable(self.path)
        self._closed = False
        self._lock = WriterLock(self.path.with_name(self.path.name + ".lock"), self.path)
        try:
            self._journal, self._ledger = recover(self.path, given)
        except BaseException:
            self._lock.release()
            raise
        self._published_size = 0
        self._unpublished = 0
        """Frames that the HDF5 file does not have yet."""
        self._warned = False
        try:
            with understanding(self._journal):
                self._describe(given)
                self._try_to_publish()
        except BaseException:
            self._let_go()
            raise

    @property
    def steps(self) -> tuple[int, ...]:
        """The observed steps, ascending."""
        return tuple(self._ledger.steps())

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The steps that are still missing, ascending."""
        return tuple(self._ledger.gaps[step] for step in sorted(self._ledger.gaps))

    @property
    def benchmarks(self) -> Benchmarks:
        """What was imported, by step and benchmark."""
        return self._ledger.benchmarks

    def last(self, before: int | None = None) -> Observation | None:
        """The observation with the highest step, or the highest below `before`; None where there is none."""
        self._refuse_closed()
        steps = [step for step in self._ledger.rows if before is None or step < before]
        if not steps:
            return None
        payload = self._journal.read(self._ledger.rows[max(steps)].position)
        return observation_from(payload, self._ledger.header)

    def record(self, observation: Observation) -> None:
        """Keep one observation, in place of an earlier one of the same step.

        ValueError if it does not fit the earlier ones; OSError if the disk refuses it, and then the logbook
        is as it was and `record` may be tried again.
        """
        observation = names.admitted(observation)
        first = not self._ledger.rows
        header = self._ledger.header.with_observation(observation, str(self.path), first)
        changed = [] if header is self._ledger.header else [header_frame(header)]
        self._append(*changed, observation_frame(observation))

    def gap(self, gap: Gap) -> None:
        """Note that an observation is missing. It is forgotten once its step is observed after all."""
        clean = Gap(names.step(gap.step), names.reason(gap.reason), int(gap.tokens), names.moment(gap.time))
        self._append(gap_frame(clean))

    def add_benchmarks(self, benchmarks: Benchmarks) -> None:
        """Keep results from elsewhere, all or none, each in place of an earlier one of its step and benchmark.

        ValueError if they are of another model than the earlier ones.
        """
        known = self._ledger.benchmarks
        if known.model and benchmarks.model and known.model != benchmarks.model:
            raise ValueError(
                f"these scores are of {benchmarks.model}, where {self.path} has scores of {known.model}; "
                f"import them into another file"
            )
        header = self._ledger.header
        if taken := (header.variables.keys() | header.sizes().keys()) & set(names.BENCHMARKS):
            raise ValueError(
                f"an instrument of {self.path} has taken the name {min(taken)!r}, which an earlier version allowed; "
                f"import into another file"
            )
        if known.with_later(benchmarks) != known:
            self._append(benchmarks_frame(benchmarks))

    def rewind(self, step: int) -> None:
        """Drop what was recorded after `step`: training went back there. -1 drops every step. Benchmarks stay."""
        if self._ledger.holds_after(step):
            self._append(rewind_frame(int(step)))

    def publish(self) -> None:
        """Bring the HDF5 file up to date now. OSError if that fails: the journal still has everything."""
        self._refuse_closed()
        pieces = image(self._ledger, self._journal.end, self._journal.read)
        replace_file(self.path, [pieces, seal(pieces)], self.path.with_name(self.path.name + ".publishing"))
        self._published_size = len(pieces)
        self._unpublished = 0
        self._warned = False

    def close(self) -> None:
        """Publish what is not published yet and let the next writer in. Closing twice is harmless."""
        if self._closed:
            return
        try:
            if self._unpublished:
                self.publish()
        except OSError as error:
            error.add_note(f"every observation is safe in {self._journal.path}; opening it again publishes them")
            raise
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._closed = True
        self._journal.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def describe(self, attributes: Mapping[str, object]) -> None:
        """Attributes that add to the earlier ones, or take the place of those of the same name."""
        self._describe(names.attributes(attributes), publish=True)

    def _describe(self, attributes: Mapping[str, names.Attribute], publish: bool = False) -> None:
        header = self._ledger.header
        merged = {**header.attributes, **attributes}
        if merged != header.attributes:
            self._append(header_frame(replace(header, attributes=merged)), publish=publish)

    def _append(self, *frames: Frame, publish: bool = True) -> None:
        self._refuse_closed()
        for position, frame in zip(self._journal.append(frames), frames, strict=True):
            self._ledger.apply(position, frame)
        self._unpublished += 1
        if publish and self._is_due():
            self._try_to_publish()

    def _is_due(self) -> bool:
        if self._published_size < ALWAYS_BELOW:
            return True
        return self._unpublished >= max(AT_LEAST_EVERY, SHARE * len(self._ledger.rows))

    def _try_to_publish(self) -> None:
        """Recorded is recorded: a file that cannot be written now is written next time."""
        try:
            self.publish()
        except (OSError, MemoryError) as error:
            self._unpublished += 1
            if self._warned:
                return
            self._warned = True
            logger.warning(
                "%s could not be brought up to date (%s); the observations are safe in its journal, and every "
                "record and close tries again",
                self.path,
                error,
            )

    def _refuse_closed(self) -> None:
        if self._closed:
            raise RuntimeError(f"the logbook {self.path} is closed; open it again to go on")
