"""Representations from outside as CSV: UTF-8, commas, a header above every table, an empty cell for a missing value.

A folder holds stimuli.csv (columns stimulus and perhaps group) and one kind of data: responses.csv or ratings.csv
with a row a stimulus and a column a channel, dissimilarities.csv with a row and a column a stimulus, or triplets.csv
with the columns first, second, odd, or first, second, third, odd. Repeats and subjects are files of their own,
responses_1.csv, responses_2.csv and so on. One file alone has the columns stimulus, perhaps group, and response:... or
rating:....
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from observatory.observation import Array
from observatory.stimuli.outside import KINDS

_PREFIXES = {"response:": "responses", "rating:": "ratings"}
_TRIPLETS = (("first", "second", "odd"), ("first", "second", "third", "odd"))


@dataclass(frozen=True)
class _Table:
    where: Path
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def column(self, name: str) -> list[str]:
        place = self.header.index(name)
        return [row[place] for row in self.rows]

    def numbers(self, names: Sequence[str]) -> Array:
        places = [self.header.index(name) for name in names]
        return np.array([[self._number(line, row[place]) for place in places] for line, row in enumerate(self.rows, 2)])

    def _number(self, line: int, cell: str) -> float:
        if not cell.strip():
            return float("nan")
        try:
            return float(cell)
        except ValueError:
            raise ValueError(
                f"{self.where}, line {line}, holds {cell!r} where a number should be; leave a missing one empty"
            ) from None


def csv_file(path: Path) -> dict[str, Array]:
    """Stimuli and the numbers beside them."""
    table = _read(path)
    found = _stimuli(table)
    others = [name for name in table.header if name not in ("stimulus", "group")]
    kinds = {next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "") for name in others}
    if len(kinds) != 1 or "" in kinds:
        raise ValueError(
            f"{path} has the columns {', '.join(table.header)}; beside stimulus and group all begin with response: or "
            f"all with rating:, and other data come as a folder of CSV files"
        )
    return {**found, _PREFIXES[kinds.pop()]: table.numbers(others)}


def csv_folder(folder: Path) -> dict[str, Array]:
    """Tables side by side."""
    if not (folder / "stimuli.csv").is_file():
        raise ValueError(f"{folder} has no stimuli.csv; it holds the texts in a column stimulus")
    found = _stimuli(_read(folder / "stimuli.csv"))
    for kind in KINDS:
        pattern = re.compile(rf"{kind}(?:_(\w+))?\.csv")
        files = [path for path in sorted(folder.iterdir(), key=_natural) if pattern.fullmatch(path.name)]
        if files:
            found[kind] = _data(kind, [_read(path) for path in files])
    return found


def _data(kind: str, tables: Sequence[_Table]) -> Array:
    if kind == "triplets":
        return np.concatenate([_triplets(table) for table in tables])
    parts = [table.numbers(table.header) for table in tables]
    for table, part in zip(tables, parts, strict=True):
        if part.shape != parts[0].shape or list(table.header) != list(tables[0].header):
            raise ValueError(
                f"{table.where} has {part.shape[0]} rows and {part.shape[1]} columns and {tables[0].where} "
                f"{parts[0].shape[0]} and {parts[0].shape[1]}; repeats and subjects have the same header and rows"
            )
    return np.stack(parts, axis=0 if kind == "dissimilarities" else 2)


def _triplets(table: _Table) -> Array:
    """With the odd one last."""
    wanted = next((names for names in _TRIPLETS if sorted(names) == sorted(table.header)), None)
    if wanted is None:
        raise ValueError(
            f"{table.where} has the columns {', '.join(table.header)}; triplets have first, second and odd, or first, "
            f"second, third and odd"
        )
    rows = table.numbers(wanted)
    if len(wanted) == 3:
        return rows
    here = rows[:, :3] == rows[:, 3:]
    wrong = np.flatnonzero(here.sum(1) != 1)
    if wrong.size:
        raise ValueError(f"{table.where}, line {int(wrong[0]) + 2}: odd is none or several of the three")
    return np.concatenate([rows[:, :3][~here].reshape(-1, 2), rows[:, 3:]], axis=1)


def _stimuli(table: _Table) -> dict[str, Array]:
    if "stimulus" not in table.header:
        raise ValueError(f"{table.where} has no column stimulus; it has {', '.join(table.header)}")
    named = {"stimuli": "stimulus", "group": "group"}
    return {key: np.array(table.column(name), dtype=str) for key, name in named.items() if name in table.header}


def _read(path: Path) -> _Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as opened:
            rows = [row for row in csv.reader(opened, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a CSV in UTF-8 ({error})") from error
    if len(rows) < 2:
        raise ValueError(f"{path} has no rows below its header")
    header, *below = rows
    if len(set(header)) < len(header):
        raise ValueError(f"{path} has a column twice in its header {', '.join(header)}")
    for line, row in enumerate(below, start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}, line {line}, has {len(row)} cells under a header of {len(header)}")
    return _Table(path, header, below)


def _natural(path: Path) -> list[tuple[int, str]]:
    """So that responses_10 comes after responses_9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
