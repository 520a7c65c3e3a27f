"""A process to be killed: forks, on each line read, a child that writes a logbook and says what it is doing.

Run as a script. A line is `PATH FIRST LAST BOUNDARY TORN`: operations are numbered through the life of the logbook
and the child does those from FIRST up to LAST. With BOUNDARY > 0 it kills itself before its so many-th call that
changes a file; with TORN it counts just the writes, and first writes some pages of the last. It says `try N` before
and `did N` after each operation, and its parent says `dead` when it is.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from logbook_cases import observation

from observatory.observation import Gap
from observatory.record.logbook import Logbook

CHANGING = ("pwrite", "fsync", "ftruncate", "replace", "rename", "open", "unlink")


def operations(number: int) -> tuple[str, int]:
    """What the operation of this number does: mostly a record, now and then a gap, a repeat or a rewind."""
    kind = ("record", "gap", "repeat", "record", "record", "rewind", "record")[number % 7]
    step = 3 * (number // 7) + number % 7
    return kind, {"repeat": step - 2, "rewind": step - 3}.get(kind, step)


def apply(logbook: Logbook, number: int) -> None:
    kind, step = operations(number)
    if kind == "gap":
        logbook.gap(Gap(step, f"gap {number}", time=1.7e9))
    elif kind == "rewind":
        logbook.rewind(step)
    else:
        logbook.record(observation(step, edition=number))


def expected(numbers: Iterator[int] | range | list[int]) -> tuple[dict[int, int], dict[int, str]]:
    """Step -> edition, and gap -> reason, after these operations: the logbook's rules told once more."""
    rows: dict[int, int] = {}
    gaps: dict[int, str] = {}
    for number in numbers:
        kind, step = operations(number)
        if kind == "gap":
            if step not in rows:
                gaps[step] = f"gap {number}"
        elif kind == "rewind":
            rows = {s: e for s, e in rows.items() if s <= step}
            gaps = {s: r for s, r in gaps.items() if s <= step}
        else:
            rows[step] = number
            gaps.pop(step, None)
    return rows, gaps


def kill_at(boundary: int, torn: int) -> None:
    """SIGKILL ourselves before the boundary-th changing call; a real death, at a chosen instant."""
    left = boundary

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        def guard(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                if torn and call is pwrite:
                    write_some_pages(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return guard

    pwrite = os.pwrite

    def write_some_pages(descriptor: int, data: bytes, offset: int) -> None:
        # What a power cut may leave of an unsynced write: the full length, with only some pages in it.
        chance = random.Random(torn)
        if chance.random() < 0.5:
            os.ftruncate(descriptor, offset + len(data))
        for start in range(0, len(data), 512):
            if chance.random() < 0.5:
                pwrite(descriptor, data[start : start + 512], offset + start)

    for name in ("pwrite",) if torn else CHANGING:
        setattr(os, name, guarded(getattr(os, name)))


def child(path: str, first: int, last: int, boundary: int, torn: int) -> None:
    def say(words: str) -> None:
        os.write(1, f"{words}\n".encode())

    say(f"pid {os.getpid()}")
    if boundary:
        kill_at(boundary, torn)
    with Logbook(path) as logbook:
        for number in range(first, last):
            say(f"try {number}")
            apply(logbook, number)
            say(f"did {number}")
    say("closed")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Logbook(Path(folder, "first.h5")) as warm:
        warm.record(observation(0))  # so that no child spends its short life on imports
    for request in sys.stdin:
        path, *numbers = request.rsplit(maxsplit=4)
        pid = os.fork()
        if pid == 0:
            try:
                child(path, *(int(number) for number in numbers))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.write(1, b"dead\n")
