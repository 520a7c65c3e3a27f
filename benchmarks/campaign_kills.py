"""Processes that write, train or replay, each killed at a random instant, and what must be there after every kill."""

from __future__ import annotations

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
    lives: int = 0
    acknowledged: int = 0
    """Observations, gaps and rewinds that were acknowledged by a process that was then killed, or that went on."""
    opened: int = 0
    """Files opened after a kill: by h5py, by xarray and by `open_logbook`, each once."""
    chains: int = 0
    """Of lives that went on one after another."""
    ends: int = 0
    """Chains whose logbook was compared with that of a run that was never killed."""
    faults: list[str] = field(default_factory=list)


class Moment(NamedTuple):
    """So many seconds after so many words were heard."""

    words: int
    delay: float


class Life(NamedTuple):
    said: list[str]
    killed: bool
    seconds: float


def live(work: Work, moment: Moment | None = None) -> Life:
    """Forks, so that a life costs no imports, and kills it at the moment, if there is one."""
    if (threads := threading.active_count()) > 1:
        raise RuntimeError(f"{threads} threads run here; a child could wait for ever for a lock that one of them holds")
    reading, writing = os.pipe()
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        _child(work, writing)
    os.close(writing)
    heard, armed = b"", None
    if moment is not None and moment.words == 0:
        armed = began + moment.delay
    while True:
        left = began + HANGS - time.perf_counter() if armed is None else armed - time.perf_counter()
        ready = select.select([reading], [], [], max(left, 0))[0] if left > 0 else []
        if not ready:
            os.kill(pid, signal.SIGKILL)  # it may be done already: then it is a zombie, and this does nothing
            heard += b"".join(iter(lambda: os.read(reading, 65536), b""))
            break
        if not (news := os.read(reading, 65536)):
            break
        heard += news
        if moment is not None and armed is None and heard.count(b"\n") >= moment.words:
            armed = time.perf_counter() + moment.delay
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    taken = time.perf_counter() - began
    said = heard.decode().splitlines()
    if taken > HANGS:
        said.append("error: it hung")
    elif not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status):
        said.append(f"error: exit status {os.waitstatus_to_exitcode(status)}")
    elif os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
        said.append(f"error: signal {os.WTERMSIG(status)}")
    return Life(said, os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, taken)


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


def moments(chance: random.Random, usual: float, words: int) -> Iterator[Moment]:
    """Half of them anywhere in a life of usual length, half of them just after it said something."""
    while True:
        yield Moment(0, chance.uniform(0, usual))
        yield Moment(1 + chance.randrange(words), chance.uniform(0, 0.004))


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
