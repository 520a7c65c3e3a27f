"""A task x task overlap matrix as a CSV file, labelled domain/task, such as LLM_Modularity publishes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from observatory.observation import Array
from observatory.review.sharing.overlap import Tasks, present

_ROUNDING = 1e-5
"""By which an overlap and its mirror image, or an overlap and its limits, may differ in a file of six digits."""
_HEADINGS = ("task", "format", "kind")


@dataclass(frozen=True)
class MatrixFile:
    """What a file says, its missing tasks marked."""

    matrix: Array
    """Symmetric, (task, task); rows and columns of tasks without a region are missing (NaN)."""
    tasks: Tasks


def read_matrix(path: Path, formats: Path | None = None) -> MatrixFile:
    """Reads and checks it; a second file, with the columns task, format and perhaps kind, says how tasks are asked.

    A task has no region if its overlaps with all others are empty or zero, unless its diagonal is above zero: that is
    a region which overlaps nothing.
    """
    header, *rows = _rows(path)
    labels = [row[0] for row in rows]
    if header[1:] != labels:
        raise ValueError(f"{path}: {_difference(header[1:], labels)}")
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}: the row of {row[0]} has {len(row) - 1} values where there are {len(rows)} tasks")
    domains, names = zip(*(_parted(path, label) for label in labels), strict=True) if labels else ((), ())
    if len(labels) < 3 or len(set(domains)) < 2:
        raise ValueError(
            f"{path} has {len(labels)} tasks in {len(set(domains))} domains; an overlap of domains needs three tasks "
            "in two domains, or more"
        )
    if repeated := [label for label in dict.fromkeys(labels) if labels.count(label) > 1]:
        raise ValueError(f"{path} has several rows labelled {repeated[0]}; give every task a name of its own")
    values = np.array([[_number(path, row[0], text) for text in row[1:]] for row in rows])
    asked, kinds = _formats(formats, labels) if formats else ((), ())
    return MatrixFile(_checked(path, values, labels), Tasks(names, domains, asked, kinds))


def _checked(path: Path, values: Array, labels: Sequence[str]) -> Array:
    if (values < -_ROUNDING).any() or (values > 1 + _ROUNDING).any():
        row, column = np.argwhere((values < -_ROUNDING) | (values > 1 + _ROUNDING))[0]
        raise ValueError(
            f"{path}: {labels[row]} and {labels[column]} overlap by {values[row, column]:g}; an overlap lies in 0 to 1"
        )
    apart = np.where(np.isnan(values) & np.isnan(values.T), 0.0, np.abs(values - values.T))
    if not (apart <= _ROUNDING).all():
        row, column = divmod(int(np.argmax(np.nan_to_num(apart, nan=np.inf))), len(labels))
        raise ValueError(
            f"{path} is not symmetric: {labels[row]} and {labels[column]} overlap by {values[row, column]:g} in the "
            f"one row and by {values[column, row]:g} in the other; give (M + M') / 2 if both are meant"
        )
    matrix = np.clip((values + values.T) / 2, 0.0, 1.0)
    others = matrix.copy()
    np.fill_diagonal(others, 0.0)
    none = ~present(matrix) | ((np.nan_to_num(others) == 0).all(1) & ~(np.diagonal(matrix) > 0))
    matrix[none] = matrix[:, none] = np.nan
    if (np.isnan(others) & ~none & ~none[:, None]).any():
        row, column = np.argwhere(np.isnan(others) & ~none & ~none[:, None])[0]
        raise ValueError(
            f"{path}: the overlap of {labels[row]} and {labels[column]} is missing, though both have others; only a "
            "task without a region, with all of its row missing, can be left out"
        )
    return matrix


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error
    if not rows:
        raise ValueError(f"{path} is empty; give a CSV file whose first row names its columns")
    return rows


def _difference(columns: Sequence[str], rows: Sequence[str]) -> str:
    """Why the labels of columns and rows do not agree."""
    if len(columns) != len(rows):
        return f"there are {len(rows)} rows and {len(columns)} columns of tasks; a task x task matrix is square"
    row, column = next((row, column) for row, column in zip(rows, columns, strict=True) if row != column)
    return f"the row labelled {row!r} stands where the column is labelled {column!r}; give both in one order"


def _parted(path: Path, label: str) -> tuple[str, str]:
    domain, slash, name = label.partition("/")
    if not (domain and slash and name):
        raise ValueError(f"{path}: the label {label!r} names no domain; write domain/task")
    return domain, name


def _number(path: Path, label: str, text: str) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        raise ValueError(f"{path}: the row of {label} holds {text!r}, which is no number") from None


def _formats(path: Path, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """The format and the kind of each task; no kinds where there is no such column."""
    header, *rows = _rows(path)
    if header not in ([*_HEADINGS[:2]], [*_HEADINGS]):
        raise ValueError(f"{path} has the columns {', '.join(header)}; give task,format or task,format,kind")
    for row in rows:
        if len(row) != len(header) or not all(row):
            raise ValueError(f"{path}: the row of {row[0] or 'a task'} should hold {len(header)} words")
    said = {row[0]: row[1:] for row in rows}
    if len(said) < len(rows):
        raise ValueError(f"{path} names a task twice; one row for each of its tasks will do")
    if missing := [label for label in labels if label not in said]:
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise ValueError(f"{path} gives no format for {missing[0]}{more}; every task of the matrix needs one")
    return [said[label][0] for label in labels], [said[label][1] for label in labels if len(header) > 2]
