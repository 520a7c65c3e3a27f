"""A name that no earlier run has taken."""

from __future__ import annotations

from itertools import count
from pathlib import Path


def next_free(path: Path) -> Path:
    """The path itself, or with -2, -3 ... before its suffix: no run ever writes over another."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return path if _is_free(path) else next(candidate for candidate in numbered if _is_free(candidate))


def _is_free(path: Path) -> bool:
    return not (path.exists() or path.with_name(path.name + ".journal").exists())
