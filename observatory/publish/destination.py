"""What is told, and the contract of the places where it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from observatory.publish.judgement import Judgement
from observatory.publish.scalars import Row


@dataclass(frozen=True)
class Told:
    """One observation; from time to time with all that follows from the logbook up to it."""

    row: Row
    judged: Judgement | None = None
    figures: Mapping[str, bytes] = field(default_factory=dict)
    """PNG images by the names of the figures."""
    report: str = ""
    """HTML, where the destination shows any."""


class Destination(ABC):
    """A run of a tracker. Errors are raised: whoever writes to it decides what becomes of them."""

    shows_html = False
    trace: Mapping[str, str] = MappingProxyType({})
    """What the logbook is to remember of it, as attributes, so that a later process knows what was told there."""

    def holds(self, attributes: Mapping[str, object]) -> float:
        """The last step that it has of the logbook with these attributes: -inf for none, inf for all there is now."""
        return float("-inf")

    @abstractmethod
    def tell(self, told: Told) -> None:
        """Shows it, in a row of its own where there are rows."""

    def alert(self, title: str, text: str) -> None:  # noqa: B027
        """Tells people."""

    def keep(self, logbook: Path) -> None:  # noqa: B027
        """Stores a copy of the file."""

    @abstractmethod
    def close(self) -> None:
        """Sends what is waiting; ends the run if it was begun here."""
