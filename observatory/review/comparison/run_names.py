"""Names of runs that fit into a figure: what tells their paths apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import PurePath

from observatory.review.figures.style import short


def run_names(names: Sequence[str]) -> list[str]:
    """The parts of each path that are not the same in all: seed0 of runs/seed0/observations.h5."""
    parts = [PurePath(name).with_suffix("").parts for name in names]
    first, last = _alike(parts), _alike([one[::-1] for one in parts])
    return [short(str(PurePath(*(one[first : len(one) - last] or one[-1:])))) for one in parts]


def _alike(rows: Sequence[Sequence[str]]) -> int:
    """How many parts at the beginning are the same in all."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))
