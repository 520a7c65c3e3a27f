"""What an audit has to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that a reader of the results should know."""

    severity: Literal["error", "warning", "note"]
    where: str
    """Domain and family, domain and task, or the tokenizer."""
    what: str


def some(names: Sequence[str], shown: int = 3) -> str:
    """The first few of a list."""
    listed = ", ".join(repr(name) for name in names[:shown])
    return listed if len(names) <= shown else f"{listed} and {len(names) - shown} more"
