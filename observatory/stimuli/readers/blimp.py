"""BLiMP (Warstadt et al. 2020): one JSON object a line, a grammatical sentence and its ungrammatical twin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from observatory.stimuli.battery import Family, Item
from observatory.stimuli.entries import brief

FIELDS = ("sentence_good", "sentence_bad", "UID", "pairID")


def read_blimp(file: str | Path, limit: int | None = None) -> Family:
    """One paradigm as a family, good sentences against bad ones.

    The two differ in a word or in order. A paradigm whose twins differ in the number of words anywhere is
    marked as not matched.
    """
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"there is no file at {path}; give one of BLiMP's .jsonl files.")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()][:limit]
    entries = [entry(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]
    if not entries:
        raise ValueError(f"{path} is empty.")
    names = {str(one["UID"]) for one in entries}
    if len(names) > 1:
        raise ValueError(f"{path} mixes the paradigms {', '.join(sorted(names))}; a family is one paradigm.")
    items = tuple(Item(f"{one['UID']}-{one['pairID']}", one["sentence_good"], one["sentence_bad"]) for one in entries)
    matched = all(len(item.target.split()) == len(item.control.split()) for item in items)
    return Family("language", names.pop(), "the ungrammatical twin of the sentence", items, matched)


def entry(line: str, where: str) -> Mapping[str, Any]:
    """One line with the fields that are read; it may hold more."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not valid JSON: {error.msg}.") from error
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deeply to be read.") from error
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} should be an object, but is {brief(value)}.")
    for field in FIELDS:
        if field not in value:
            raise ValueError(f"{where} lacks the field {field!r}; a line of BLiMP has {', '.join(FIELDS)}.")
    return value
