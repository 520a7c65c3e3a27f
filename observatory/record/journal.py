"""The journal: an append-only file of checked frames. What is in it after fsync is what was recorded."""

from __future__ import annotations

import errno
import logging
import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from observatory.record.durable import replace, sync_folder

logger = logging.getLogger(__name__)

MAGIC = b"\x89ObsJournal\r\n\x1a\n\x01"
"""Opens the file. The last byte is the version of the frames."""
MARK = b"OBSF"

HEADER, OBSERVATION, GAP, REWIND, BENCHMARKS = b"HEAD", b"OBSV", b"GAP ", b"RWND", b"BNCH"

# mark, kind, length of the payload, its CRC-32; then the CRC-32 of these four, so that no torn or random
# length is ever believed.
_fields = struct.Struct("<4s4sQI")
_check = struct.Struct("<I")
_HEAD = _fields.size + _check.size
_BLOCK = 1 << 20


class Frame(NamedTuple):
    kind: bytes
    payload: bytes

    def encoded(self) -> bytes:
        fields = _fields.pack(MARK, self.kind, len(self.payload), zlib.crc32(self.payload))
        return fields + _check.pack(zlib.crc32(fields)) + self.payload


class Journal:
    """An open journal, for its one writer. Read it with `replay` and `settle` it before appending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = len(MAGIC)
        """Everything before this byte is checked and on disk."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            magic = os.pread(self._descriptor, len(MAGIC), 0)
            if magic[:-1] != MAGIC[:-1]:
                raise ValueError(f"{path} is not a logbook's journal; move it away or choose another file")
            if magic != MAGIC:
                raise ValueError(f"{path} was written by a newer version of observatory; update to continue it")
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: Path, frames: Iterable[Frame]) -> None:
        """A new journal holding these frames: it appears whole or not at all."""
        pieces = (piece for group in ([MAGIC], (frame.encoded() for frame in frames)) for piece in group)
        replace(path, pieces, path.with_name(path.name + ".new"))

    def replay(self) -> Iterator[tuple[int, Frame]]:
        """Each frame with its position, up to the first that is torn or damaged."""
        self.end = len(MAGIC)
        while (frame := self._frame_at(self.end)) is not None:
            position = self.end
            self.end += _HEAD + len(frame.payload)
            yield position, frame

    def settle(self) -> None:
        """Cut what follows the last good frame, after a copy of it if it holds more than one torn append."""
        size = os.fstat(self._descriptor).st_size
        if size == self.end:
            return
        if self._has_frame_after(self.end):
            kept = set_aside_name(self.path)
            replace(kept, self._blocks(self.end, size), kept.with_name(kept.name + ".new"))
            logger.warning("%s is damaged at byte %d; the frames after it were kept in %s", self.path, self.end, kept)
        os.ftruncate(self._descriptor, self.end)
        os.fsync(self._descriptor)

    def append(self, frames: Iterable[Frame]) -> list[int]:
        """Put frames on disk, all or none of them; returns their positions once they are safe."""
        self._refuse_vanished()
        encoded = [frame.encoded() for frame in frames]
        data = memoryview(b"".join(encoded))
        try:
            if os.fstat(self._descriptor).st_size != self.end:
                os.ftruncate(self._descriptor, self.end)  # an earlier failure that could not be cut back
            written = 0
            while written < len(data):
                written += os.pwrite(self._descriptor, data[written:], self.end + written)
            os.fsync(self._descriptor)
        except BaseException as error:
            self._cut_back(error)
            raise
        positions = []
        for piece in encoded:
            positions.append(self.end)
            self.end += len(piece)
        return positions

    def read(self, position: int) -> bytes:
        """The payload of the frame at a position that `replay` or `append` gave."""
        frame = self._frame_at(position)
        if frame is None:
            raise OSError(f"{self.path} was damaged at byte {position} while it was in use")
        return frame.payload

    def close(self) -> None:
        os.close(self._descriptor)

    def _frame_at(self, position: int) -> Frame | None:
        head = os.pread(self._descriptor, _HEAD, position)
        if len(head) < _HEAD or zlib.crc32(head[: _fields.size]) != _check.unpack_from(head, _fields.size)[0]:
            return None
        mark, kind, length, crc = _fields.unpack_from(head)
        if mark != MARK or length > os.fstat(self._descriptor).st_size - position - _HEAD:
            return None
        payload = b"".join(self._blocks(position + _HEAD, position + _HEAD + length))
        return Frame(kind, payload) if len(payload) == length and zlib.crc32(payload) == crc else None

    def _blocks(self, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            block = os.pread(self._descriptor, min(_BLOCK, stop - start), start)
            if not block:
                return
            start += len(block)
            yield block

    def _has_frame_after(self, position: int) -> bool:
        with mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ) as file:
            while (position := file.find(MARK, position)) >= 0:
                if self._frame_at(position) is not None:
                    return True
                position += 1
        return False

    def _cut_back(self, error: BaseException) -> None:
        try:
            os.ftruncate(self._descriptor, self.end)
            os.fsync(self._descriptor)
        except OSError as second:
            error.add_note(f"and cutting {self.path} back failed too ({second}); the next append tries again")

    def _refuse_vanished(self) -> None:
        """A write to an unlinked file succeeds and is lost: look whether the name still leads here."""
        mine = os.fstat(self._descriptor)
        try:
            named = os.stat(self.path)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                errno.ENOENT,
                "the logbook's journal was moved or deleted while it was open; nothing was recorded",
                str(self.path),
            ) from error
        if (named.st_dev, named.st_ino) != (mine.st_dev, mine.st_ino):
            raise FileNotFoundError(
                errno.ENOENT,
                "the logbook's journal was replaced while it was open; nothing was recorded",
                str(self.path),
            )


def set_aside_name(path: Path) -> Path:
    """A name beside `path` under which damaged bytes are kept; nothing is ever kept over something else."""
    return path.with_name(f"{path.name}.damaged-{time.time_ns()}")


def set_aside(path: Path) -> Path:
    """Move a journal out of the way without losing a byte of it."""
    kept = set_aside_name(path)
    os.rename(path, kept)
    sync_folder(path.parent)
    return kept
