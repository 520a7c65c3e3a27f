"""The battery: domains, their contrast families and their minimal-pair tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """One stimulus and its control."""

    id: str
    target: str
    control: str


@dataclass(frozen=True)
class Family:
    """Stimuli of one surface form."""

    domain: str
    name: str
    control: str
    """What the controls are, in words."""
    items: tuple[Item, ...]
    matched: bool = True
    """False for a surface control, kept for comparison with the literature and never part of an index."""


@dataclass(frozen=True)
class Pair:
    """A minimal pair: `correct` answers `clean`, `incorrect` answers `corrupted`."""

    id: str
    clean: str
    corrupted: str
    correct: str
    incorrect: str
    template: str
    """The cluster it belongs to; tests count clusters, not pairs."""


@dataclass(frozen=True)
class Task:
    """Minimal pairs of one kind in one prompt format."""

    domain: str
    name: str
    format: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Domain:
    """One data file."""

    name: str
    description: str
    families: tuple[Family, ...]
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Battery:
    """All that is shown to a model."""

    name: str
    domains: tuple[Domain, ...]

    @property
    def families(self) -> tuple[Family, ...]:
        """The matched families of all domains, in order."""
        return tuple(f for domain in self.domains for f in domain.families if f.matched)

    @property
    def hash(self) -> str:
        """Identifies the content, whatever the files' layout."""
        raise NotImplementedError


def load_battery(source: str | Path | None = None) -> Battery:
    """The built-in battery, or the one in a folder of such files."""
    raise NotImplementedError
