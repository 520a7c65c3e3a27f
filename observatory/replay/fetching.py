"""The files of a checkpoint for as long as it is loaded; those of the next one are fetched while it is measured."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from observatory.replay.downloads import downloaded, size_of
from observatory.replay.places import Checkpoint, Remote
from observatory.replay.retry import Patience
from observatory.replay.weights import weight_files

_AT_ONCE = 2**24
_OURS = "checkpoint-"


@dataclass(frozen=True)
class Room:
    """Where downloads go that are removed again, and how many bytes they may take together."""

    folder: Path
    bytes: int

    def __post_init__(self) -> None:
        if self.bytes < 1:
            raise ValueError(f"the room for downloads is a number of bytes, 1 or more; got {self.bytes}")

    def take(self, size: int, name: str) -> Path:
        """A folder for so many bytes."""
        if size > self.bytes:
            raise ValueError(
                f"{name} takes {size:,} bytes, and the downloads may take {self.bytes:,} together; give them more room"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=_OURS, dir=self.folder))

    def clear(self) -> None:
        """Removes what fetchers that were killed have left, and nothing else."""
        for left in self.folder.glob(f"{_OURS}*"):
            shutil.rmtree(left)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


@dataclass(frozen=True)
class _Fetched:
    path: Path
    own: Path | None = None
    """The folder to be removed when it has been loaded."""

    def remove(self) -> None:
        if self.own is not None:
            shutil.rmtree(self.own)


class Fetcher:
    """Gives each checkpoint's path; without a room, what is downloaded stays in the hub's cache."""

    def __init__(self, room: Room | None = None, code: bool = False) -> None:
        self._room = room
        self._code = code
        self._given_up = threading.Event()
        self._patience = Patience(sleep=self._given_up.wait)
        self._background = ThreadPoolExecutor(1, "fetching")
        self._coming: dict[Checkpoint, Future[_Fetched]] = {}

    @contextmanager
    def fetched(self, checkpoint: Checkpoint) -> Iterator[Path]:
        """The local folder or file, until it has been loaded."""
        coming = self._coming.pop(checkpoint, None)
        fetched = coming.result() if coming is not None else self._fetch(checkpoint)
        try:
            yield fetched.path
        finally:
            fetched.remove()

    def fetch_ahead(self, checkpoint: Checkpoint) -> None:
        """In the background. Since what was there before is gone, the downloads of no two take room."""
        self._coming[checkpoint] = self._background.submit(self._fetch, checkpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._given_up.set()
        self._background.shutdown(wait=True, cancel_futures=True)
        for coming in self._coming.values():
            if not coming.cancelled() and coming.exception() is None:
                coming.result().remove()

    def _fetch(self, checkpoint: Checkpoint) -> _Fetched:
        place = checkpoint.place
        if isinstance(place, Path):
            _warm(place)
            return _Fetched(place)
        if self._room is None:
            return _Fetched(self._downloaded(place))
        size = size_of(place, patience=self._patience, code=self._code)
        own = self._room.take(size, checkpoint.name)
        try:
            return _Fetched(self._downloaded(place, own), own)
        except BaseException:
            shutil.rmtree(own)
            raise

    def _downloaded(self, place: Remote, folder: Path | None = None) -> Path:
        return downloaded(place, folder, patience=self._patience, code=self._code, given_up=self._given_up)


def _warm(path: Path) -> None:
    """Reads the files once, so that they are in memory when they are asked for; what is wrong shows then, too."""
    try:
        for file in weight_files(path):
            with file.open("rb") as opened:
                while opened.read(_AT_ONCE):
                    pass
    except (OSError, ValueError):
        return
