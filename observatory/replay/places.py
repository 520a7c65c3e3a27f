"""One saved state of a run, and where it is: on this machine or on the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Remote:
    """A revision of a repository on the hub, or a folder in one."""

    repository: str
    revision: str
    folder: str = ""
    commit: str = ""
    """What the revision was when it was looked up, since a branch may move; not looked up yet where empty."""


@dataclass(frozen=True)
class Checkpoint:
    """One saved state of a run."""

    step: int
    tokens: int
    place: Path | Remote
    """A folder in Hugging Face format, one file, or where on the hub the folder is."""
    name: str = ""
    stage: str = ""
    seed: int | None = None
    attention: str | None = None
    """The implementation that the live run used: another one rounds differently."""
    threads: int | None = None
    """The threads that the live run had: another number of them adds in another order."""
