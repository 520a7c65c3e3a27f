"""The table of verdicts: that it can be read in a narrow terminal, and says all there is to know."""

from __future__ import annotations

import io
import re

import numpy as np
from rich.console import Console
from verdicts import planted, step_up

from observatory.review.judge.emergence import emergence
from observatory.review.judge.verdict_table import verdict_table

STEPS = [1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 143000]


def printed(curves: dict[str, np.ndarray], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(verdict_table(emergence(planted(STEPS, curves, specific=["math", "[red]law"]))))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(told, str)
    return told


CURVES = {
    "math": step_up(STEPS, 64000),
    "social": step_up(STEPS, 1000),
    "[red]law": step_up(STEPS, 4000, until=32000),
    "language": np.zeros(9),
}


def test_a_row_is_one_line_in_80_columns() -> None:
    lines = printed(CURVES, 80).splitlines()
    rows = [next(line for line in lines if line.startswith(f" {domain} ")) for domain in CURVES]
    cells = [re.split(r"\s{2,}", row.strip()) for row in rows]
    assert [row[:3] for row in cells] == [
        ["math", "general", "32000-64000"],
        ["social", "selective", "start-1000"],
        ["[red]law", "lost again", "2000-4000"],
        ["language", "not emerged", "-"],
    ]
    assert all(len(row) == 5 for row in cells)


def test_what_does_not_fit_into_a_row_stands_below() -> None:
    told = printed(CURVES, 200)
    assert "[red]law: E is that of" in told
    assert "selective in 2000-4000, lost in 16000-32000" in told
    assert "language: E is that of" in told
    assert "not selective: p = " in told
    assert "social: E is that of" in told
    assert "not specific: p = " in told
    assert "math: E is that of" in told
    assert "changes between step 32000 and 64000, and no sigmoid fits" in told
