"""Configuration files that the library which reads them would not survive."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

DEEPEST = 100
"""Levels; a recipe has six, and libyaml's own reader goes down one call a level until the process is killed."""


def refuse_deep_configurations(arguments: Sequence[str]) -> None:
    """Of those that are named; what else is wrong with them is told by who reads them."""
    import yaml

    named = [word.partition("=")[2] for word in arguments if word.startswith("--config=")]
    for path in map(Path, [*named, *(word for option, word in pairwise(arguments) if option == "--config")]):
        depth = 0
        try:
            with path.open("rb") as file:
                for event in yaml.parse(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                    depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                    if depth > DEEPEST:
                        raise ValueError(f"{path} is nested more than {DEEPEST} levels deep; write it flatter")
        except (OSError, yaml.YAMLError):
            continue
