"""Processes that write, train or replay, each killed at a random instant, and what must be there after every kill."""

from __future__ import annotations

import math
import os
import random
import select
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import h5py
import xarray

from observatory.record.reader import open_logbook

Say = Callable[[str], None]
Work = Callable[[Say], None]
HANGS = 120
"""Seconds after which a life counts as hung."""


@dataclass
class Tally:
    """What was tried and what came of it."""

    kills: int = 0
    of_others: int = 0
    """Kills of which it was not the process that writes, but another one of its run."""
    lives: int = 0
    acknowledged: int = 0
    """Observations, gaps and rewinds that were acknowledged by a process that was then killed, or that went on."""
    opened: int = 0
    """Files opened after a kill: by h5py, by xarray and by `open_logbook`, each once."""
    chains: int = 0
    """Of lives that went on one after another."""
    ends: int = 0
    """Chains whose logbook was compared with that of a run that was never killed."""
    slowest: float = 0.0
    """Seconds from a kill to the end of those who were left."""
    told: dict[str, int] = field(default_factory=dict)
    """With which words they ended, and how often."""
    faults: list[str] = field(default_factory=list)


class Moment(NamedTuple):
    """So many seconds after so many words were heard."""

    words: int
    delay: float
    other: float | None = None
    """None for the process itself; else one of those that it has started: of n the first up to 1/n, and so on."""


class Life(NamedTuple):
    said: list[str]
    killed: bool
    seconds: float
    after: float = 0.0
    """From the kill to the end of the last of its processes."""


def live(work: Work, moment: Moment | None = None) -> Life:
    """Forks, so that a life costs no imports, and kills it or one it has started at the moment, if there is one.

    Who is left has to end by itself.
    """
    if (threads := threading.active_count()) > 1:
        raise RuntimeError(f"{threads} threads run here; a child could wait for ever for a lock that one of them holds")
    reading, writing = os.pipe()
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        _child(work, writing)
    os.close(writing)
    heard, struck, others = _listen(pid, reading, moment, began)
    os.close(reading)
    limit = (struck or began) + HANGS
    while any(map(_runs, others)) and time.perf_counter() < limit:
        time.sleep(0.01)
    ended = time.perf_counter()
    hung = [one for one in (pid, *others) if ended >= limit and _runs(one)]
    for one in hung:
        os.kill(one, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    said, code = heard.decode().splitlines(), os.waitstatus_to_exitcode(status)
    other = moment is not None and moment.other is not None
    killed = bool(struck) and (other or code == -signal.SIGKILL)
    if hung:
        said.append(f"error: {len(hung)} hung")
    elif code and (other or not killed):
        said.append(f"error: exit status {code}")
    return Life(said, killed, ended - began, ended - struck if struck else 0.0)


def _listen(pid: int, reading: int, moment: Moment | None, began: float) -> tuple[bytes, float, list[int]]:
    """What it said until its end, or for too long; when somebody was killed; and which processes it had then."""
    heard, struck, others = b"", 0.0, []
    armed = began + moment.delay if moment is not None and moment.words == 0 else math.inf
    while True:
        now = time.perf_counter()
        if moment is not None and armed <= now:
            others = [one for one in started_by(pid) if _runs(one)]
            victims = [pid] if moment.other is None else others
            armed = math.inf if victims else now + 0.01  # it may start some soon
            if victims:
                os.kill(victims[int((moment.other or 0.0) * len(victims))], signal.SIGKILL)
                struck = now
        if (left := (struck or began) + HANGS - now) < 0:
            return heard, struck, others or started_by(pid)
        if not select.select([reading], [], [], min(left, max(armed - now, 0.0)))[0]:
            continue
        if not (news := os.read(reading, 65536)):
            return heard, struck, others
        heard += news
        if moment is not None and not struck and armed == math.inf and heard.count(b"\n") >= moment.words:
            armed = time.perf_counter() + moment.delay


def started_by(pid: int) -> list[int]:
    """Processes of the same program, by whichever thread; not Python's own, which clears up behind it."""
    try:
        lists = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        names = {int(one): Path(f"/proc/{one}/cmdline").read_bytes() for found in lists for one in found}
    except (FileNotFoundError, ProcessLookupError):
        return []
    return sorted(one for one, name in names.items() if b"resource_tracker" not in name)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _child(work: Work, writing: int) -> None:
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    status = 1
    try:
        work(lambda words: void(os.write(writing, f"{words}\n".encode())))
        status = 0
    except BaseException as error:
        os.write(writing, f"error: {error!r}\n".encode())
    finally:
        os._exit(status)


def void(_: object) -> None:
    """Nothing is to be done with what a call gives back."""


def moments(chance: random.Random, usual: float, words: int, together: bool = False) -> Iterator[Moment]:
    """Half of them anywhere in a life of usual length, half of them just after it said something.

    Of processes that work together it is now the first and now another one.
    """
    while True:
        for other in (None, chance.random()) if together else (None,):
            yield Moment(0, chance.uniform(0, usual), other)
            yield Moment(1 + chance.randrange(words), chance.uniform(0, 0.004), other)


@contextmanager
def copied(path: Path, scratch: Path) -> Iterator[Path]:
    """A copy of a logbook and of what lies beside it: to look at it must not mend the one that is killed again."""
    scratch.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, scratch)
    try:
        yield scratch / path.name
    finally:
        shutil.rmtree(scratch)


def opened(path: Path, tally: Tally) -> xarray.Dataset | None:
    """By every reader there is; None where the file is not there, which only a first life may leave behind."""
    if not path.exists():
        return None
    with h5py.File(path) as file:
        for name in file:
            file[name][...]
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        dataset.load()
    tally.opened += 3
    return open_logbook(path)
