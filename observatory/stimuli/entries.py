"""Reading one JSON object strictly: every fault is a sentence that names the file, the item and the remedy."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Entry:
    """A JSON object and where it stands, so that its faults can be told."""

    def __init__(self, value: object, where: str, required: Sequence[str], optional: Sequence[str] = ()) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} should be an object with {listed(required)}, but is {brief(value)}.")
        self.where = where
        self.value = value
        known = (*required, *optional)
        missing = [field for field in required if field not in value]
        for field in value:
            if field in known:
                continue
            candidates = missing or [name for name in optional if name not in value]
            near = difflib.get_close_matches(field, candidates, n=1, cutoff=0.5)
            if near:
                raise ValueError(f"{where} has a field {field!r}; did you mean {near[0]!r}?")
            raise ValueError(f"{where} has an unknown field {field!r}; the fields are {listed(known)}.")
        if missing:
            raise ValueError(f"{where} lacks the field {missing[0]!r}; it needs {listed(required)}.")

    def text(self, field: str) -> str:
        """A text that says something, on one line and without space round it."""
        value = self.value[field]
        if not isinstance(value, str):
            raise ValueError(f"{self.where} has {brief(value)} as its {field!r}; it must be a text in quotes.")
        if not value.strip():
            raise ValueError(f"{self.where} has an empty {field!r}; write a text or leave the entry out.")
        return value

    def yes_or_no(self, field: str, default: bool) -> bool:
        """A field that may be left out."""
        value = self.value.get(field, default)
        if not isinstance(value, bool):
            raise ValueError(f"{self.where} has {brief(value)} as its {field!r}; it must be true or false.")
        return value

    def entries(self, field: str) -> list[Any]:
        """A list; one that is left out is empty."""
        value = self.value.get(field, [])
        if not isinstance(value, list):
            raise ValueError(f"{self.where} has {brief(value)} as its {field!r}; it must be a list.")
        return value


def read_json(path: Path) -> object:
    """The content of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply to be read; it needs five levels at most.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error


def listed(names: Sequence[str]) -> str:
    """'a', 'b' and 'c'."""
    quoted = [repr(name) for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def brief(value: object) -> str:
    """What was found instead, short enough for a sentence."""
    if value is None:
        return "null"
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
