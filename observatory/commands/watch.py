"""The command that follows a running run in the terminal."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def watch(logbook: Path, once: bool = False) -> None:
    """Follow a run while it is being observed: verdicts, curves, and when the next observation is due.

    It ends when the run does, or with Ctrl-C. Where the output is no terminal, it prints once for every change.

    Args:
        logbook: the logbook of the run; it may not be there yet.
        once: print what there is now, and end.
    """
    from rich.console import Console

    from observatory.review.following.watching import follow, look_once

    if once:
        look_once(logbook, Console())
        return
    with suppress(KeyboardInterrupt):
        follow(logbook, Console())
