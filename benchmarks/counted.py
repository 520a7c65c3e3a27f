"""Counts with their exact intervals, kept as JSON and drawn as tables in markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy import stats

MARKS = ("<!-- calibration -->", "<!-- /calibration -->")


@dataclass(frozen=True)
class Rate:
    """So many of so many."""

    k: int
    n: int
    wrong: bool = False
    """A rate of errors, of which the largest that would still be likely is given, too."""

    def __str__(self) -> str:
        if not self.n:
            return "-"
        interval = stats.binomtest(self.k, self.n).proportion_ci(0.95, method="exact")
        text = f"{self.k}/{self.n} = {self.k / self.n:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
        if not self.wrong:
            return text
        bound = stats.binomtest(self.k, self.n, alternative="less").proportion_ci(0.95, method="exact").high
        return f"{text}, below {bound:.3f}"


@dataclass(frozen=True)
class Shares:
    """How often something holds in each domain, of the same number of trials; drawn as their mean and the largest."""

    k: Mapping[str, int]
    n: int

    def __str__(self) -> str:
        worst = max(self.k, key=lambda name: self.k[name])
        mean = sum(self.k.values()) / len(self.k) / self.n
        return f"{mean:.3f} ({worst} {self.k[worst] / self.n:.2f})"


Cell = str | Rate | Shares


@dataclass(frozen=True)
class Table:
    """One table of the calibration."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def __str__(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        drawn = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
        return f"**{self.title}**\n\n{drawn}\n" + (f"\n{self.note}\n" if self.note else "")


def keep(path: Path, part: str, tables: Sequence[Table]) -> None:
    """Puts the counts of one part in the place of those that were there."""
    content = json.loads(path.read_text()) if path.exists() else {}
    content[part] = [asdict(table) for table in tables]
    path.write_text(json.dumps(content, indent=1) + "\n")


def load(path: Path) -> dict[str, list[Table]]:
    """The tables of every part."""
    content = json.loads(path.read_text())
    return {part: [_table(one) for one in tables] for part, tables in content.items()}


def _table(content: dict[str, Any]) -> Table:
    rows = [[_cell(cell) for cell in row] for row in content["rows"]]
    return Table(content["title"], content["header"], rows, content["note"])


def _cell(content: str | dict[str, Any]) -> Cell:
    if isinstance(content, str):
        return content
    return Rate(**content) if "wrong" in content else Shares(**content)


def written(text: str, tables: str) -> str:
    """The text with the tables between the marks, which are put at its end if it has none."""
    start, end = MARKS
    if start not in text or end not in text:
        return f"{text}{start}\n\n{tables}\n{end}\n"
    return f"{text[: text.index(start) + len(start)]}\n\n{tables}\n{text[text.index(end) :]}"
