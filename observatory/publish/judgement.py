"""What a logbook says by now of each domain: for a run's summary, for a table, and as news."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
import xarray as xr

from observatory.publish.scalars import PREFIX, domain_names
from observatory.review.judge.emergence import Emergence, emergence
from observatory.review.judge.evidence import LEVELS
from observatory.review.judge.telling import verdict_sentence
from observatory.review.judge.verdict import Episode, Verdict
from observatory.review.judge.wording import standing

Cell = str | float | None
COLUMNS = (
    *("domain", "verdict", "E", "E_low", "E_high", "readout", "onset_step", "onset_tokens"),
    *("emerged_after", "emerged_by", "lost_by", "units", "layers", "in_words"),
)


@dataclass(frozen=True)
class Judgement:
    """Names of domains are those of `domain_names`; what there is not is None."""

    summary: Mapping[str, Cell]
    """By full names; runs can be sorted by `onset_tokens` and `onset_step`."""
    regions: tuple[Mapping[str, Cell], ...]
    """A row a domain, with COLUMNS."""
    emerged: Mapping[str, str]
    """What is said of each domain that has emerged, and is not lost again."""


def judge(logbook: xr.Dataset) -> Judgement | None:
    """None where no regions were looked for."""
    if "contrast_index" not in logbook or not logbook.sizes["step"]:
        return None
    names = domain_names([str(domain) for domain in logbook["domain"].values])
    logbook = logbook.assign_coords(domain=list(names.values()))
    judged = emergence(logbook)
    return Judgement(
        summary=dict(_summary(judged)),
        regions=tuple(_region(logbook, judged, one) for one in judged.verdicts),
        emerged={one.domain: verdict_sentence(judged, one.domain) for one in judged.verdicts if one.level in LEVELS},
    )


def _summary(judged: Emergence) -> Iterator[tuple[str, Cell]]:
    for one in judged.verdicts:
        step, tokens = _onset(judged, one)
        yield f"{PREFIX}/{one.domain}/verdict", standing(one)
        yield f"{PREFIX}/{one.domain}/onset_step", step
        yield f"{PREFIX}/{one.domain}/onset_tokens", tokens


def _onset(judged: Emergence, one: Verdict) -> tuple[Cell, Cell]:
    """Where E passed its floor; the observation by which it had emerged, if it is not known where."""
    first = _first(one)
    if first is None:
        return None, None
    crossing = judged.onsets[one.domain].crossing
    step = crossing if first.after is not None and isfinite(crossing) else float(first.by)
    known = bool(judged.tokens) and judged.tokens[-1] > 0
    return step, judged.tokens_at(step) if known else None


def _first(one: Verdict) -> Episode | None:
    return next(iter(one.episodes[LEVELS[0]]), None)


def _region(logbook: xr.Dataset, judged: Emergence, one: Verdict) -> dict[str, Cell]:
    step, tokens = _onset(judged, one)
    first = _first(one) or Episode(None, -1)
    last = one.episodes[LEVELS[0]][-1] if one.episodes[LEVELS[0]] else first
    units = _units(logbook, one)
    cells: list[Cell] = [
        *(one.domain, standing(one), one.index, *one.interval, str(one.readout or ""), step, tokens),
        *(first.after, None if first.by < 0 else first.by, last.lost_by, sum(units.values())),
        ", ".join(f"{layer}: {count}" for layer, count in units.items()),
        verdict_sentence(judged, one.domain),
    ]
    return {name: _plain(cell) for name, cell in zip(COLUMNS, cells, strict=True)}


def _units(logbook: xr.Dataset, one: Verdict) -> dict[int, int]:
    """Units of its region in each layer that has any, at the last observation."""
    if one.readout is None or "contrast_units_by_layer" not in logbook:
        return {}
    counts = logbook["contrast_units_by_layer"].sel(
        domain=one.domain, space=one.readout.space, pooling=one.readout.pooling
    )
    if "recorded" in logbook:
        counts = counts[logbook["recorded"].sel(recorded_name="contrast_units_by_layer").values.astype(bool)]
    last = counts.isel(step=-1)
    return {int(layer): int(count) for layer, count in zip(last["layer"], last.values, strict=True) if count > 0}


def _plain(cell: Cell) -> Cell:
    """Numbers as floats, so that a column has one type."""
    if isinstance(cell, str) or cell is None:
        return cell
    return float(cell) if np.isfinite(cell) else None
