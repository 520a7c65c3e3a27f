"""The language localizer of Fedorenko et al. (2010), as llm-localization uses it: sentences against non-words.

A CSV has one row a trial: columns stim1, stim2 and so on in order, of which one holds the condition, S or N,
and may hold the number of the trial; the others hold a word each. A column called "condition" will do too.
Every cell is text: the non-word NA is a word and not a gap.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from observatory.stimuli.battery import Family, Item

CONDITIONS = {"S", "N"}


def read_language_localizer(source: str | Path, lowercase: bool = True) -> Family:
    """One family from a CSV, or from all the CSVs of a folder; never matched, since the words differ.

    Sentences and non-words have no natural partner; they are paired in the order of the files.
    """
    path = Path(source)
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ValueError(f"there is no CSV at {path}; give one of the localizer's CSV files, or their folder.")
    sentences: list[str] = []
    others: list[str] = []
    for file in files:
        for condition, text in trials(file):
            (sentences if condition == "S" else others).append(text.lower() if lowercase else text)
    if not sentences or len(sentences) != len(others):
        raise ValueError(
            f"{path} has {len(sentences)} sentences and {len(others)} non-word strings; "
            "they are paired one by one, so there must be as many of each."
        )
    items = tuple(
        Item(f"langloc-{i:03}", *texts) for i, texts in enumerate(zip(sentences, others, strict=True), start=1)
    )
    return Family("language", "langloc", "strings of pronounceable non-words", items, matched=False)


def trials(file: Path) -> list[tuple[str, str]]:
    """The condition and the words of every row."""
    with file.open(newline="", encoding="utf-8-sig") as opened:
        rows = list(csv.DictReader(opened))
    if not rows:
        raise ValueError(f"{file} has no rows below its header.")
    columns = [name for name in rows[0] if name is not None]
    words = sorted((c for c in columns if re.fullmatch(r"stim\d+", c)), key=lambda c: int(c[4:]))
    cells = {column: [(row[column] or "").strip() for row in rows] for column in columns}
    condition = condition_column(file, columns, cells)
    words = [c for c in words if c != condition and not all(cell.isdigit() for cell in cells[c])]
    if not words:
        raise ValueError(f"{file} has no columns stim1, stim2 ... that hold words; it has {', '.join(columns)}.")
    return [
        (cells[condition][i], " ".join(cells[column][i] for column in words if cells[column][i]))
        for i in range(len(rows))
    ]


def condition_column(file: Path, columns: Sequence[str], cells: dict[str, list[str]]) -> str:
    """The column that holds nothing but S and N."""
    found = [column for column in columns if set(cells[column]) <= CONDITIONS]
    if len(found) != 1:
        raise ValueError(
            f"{file} has {len(found)} columns that hold nothing but S and N; one must tell sentences from non-words."
        )
    return found[0]
