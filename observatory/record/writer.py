"""Who writes a logbook, as its lock file says, asked without touching the lock: to try it would turn a writer away."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Writer:
    """`closed` where nobody has it open, `gone` where a process ended without closing it, `elsewhere` beyond asking."""

    state: Literal["running", "closed", "gone", "elsewhere"]
    process: int | None = None
    host: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will be written, unless somebody goes on with it."""
        return self.state in ("closed", "gone")


def writer_of(path: Path) -> Writer:
    """A writer empties its lock file when it closes; a process of this machine that is no more can be told as well."""
    real = Path(os.path.realpath(path))
    try:
        told = json.loads(real.with_name(real.name + ".lock").read_bytes() or b"null")
        process, host = (None, "") if told is None else (int(told["pid"]), str(told["host"]))
    except FileNotFoundError:
        process, host = None, ""
    except (OSError, ValueError, KeyError, TypeError):
        return Writer("elsewhere")
    if process is None:
        return Writer("closed")
    if host != socket.gethostname():
        return Writer("elsewhere", process, host)
    return Writer("running" if _lives(process) else "gone", process, host)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
