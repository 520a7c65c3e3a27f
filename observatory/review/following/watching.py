"""Looks at a logbook again and again, and shows it whenever it has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.live import Live

from observatory.record.reader import open_logbook
from observatory.record.writer import writer_of
from observatory.review.following.followed import Followed, followed
from observatory.review.following.screen import view, waiting


class _Look(NamedTuple):
    shown: RenderableType
    news: bool
    """Whether it says more than that time has passed."""


def follow(path: Path, console: Console, tick: float = 1.0) -> None:
    """Until the run has ended; `tick` is the seconds between two looks. What is no terminal is given news alone."""
    if not console.is_terminal:
        for look in _looks(path, console, tick):
            if look.news:
                console.print(look.shown)
        return
    with Live(console=console, auto_refresh=False) as live:
        for look in _looks(path, console, tick):
            live.update(look.shown, refresh=True)


def look_once(path: Path, console: Console) -> None:
    """What there is now; FileNotFoundError where there is nothing."""
    writer = writer_of(path)
    console.print(view(_read(path), writer, time.time(), console.width))


def _looks(path: Path, console: Console, tick: float) -> Iterator[_Look]:
    stamp: tuple[int, ...] | None = None
    seen: Followed | None = None
    before: tuple[object, ...] = ()
    while True:
        writer = writer_of(path)  # before the file, in which all is that a writer had when it closed
        found = _stamp(path)
        if found is not None and found != stamp:
            try:
                seen, stamp = _read(path), found
            except FileNotFoundError:
                found = None
        there = seen if found is not None else None
        news = (found, writer) if there else (None,)
        yield _Look(
            view(there, writer, time.time(), console.width) if there else waiting(path, seen is not None),
            news != before,
        )
        if there and writer.ended:
            return
        before = news
        time.sleep(tick)


def _read(path: Path) -> Followed:
    with open_logbook(path) as logbook:
        return followed(logbook, str(path))


def _stamp(path: Path) -> tuple[int, ...] | None:
    """By which a file is told from the one that took its place."""
    try:
        told = os.stat(path)
    except FileNotFoundError:
        return None
    return told.st_ino, told.st_mtime_ns, told.st_size
