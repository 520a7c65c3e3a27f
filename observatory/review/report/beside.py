"""What a report shows of instruments beside the regions: the number that stands for each, and when it changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import floor, log10
from typing import Any

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.record.console import human
from observatory.review.effects.milestones import Milestone
from observatory.review.effects.series import error_of
from observatory.review.judge.emergence import Emergence
from observatory.review.report.numbers import rounded, visible

_NONE = (
    "No instrument beside the regions was recorded that has a number for every step; observe with massive, sparsity, "
    "rank or another one of docs/instruments.md."
)
_COLUMNS = ("", "first", "last", "half of the way", "95%")
_DIGITS = 3
_MOST_DECIMALS = 6
_SPREAD = (0.025, 0.975)


def beside_table(found: Sequence[Milestone], judged: Emergence) -> str:
    """Markup, which needs no script: each with its first and its last value, and when it had gone half of its way."""
    if not found:
        return f'<p class="lacking">{escape(_NONE)}</p>'
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    rows = "".join(
        f'<tr><th scope="row"><bdi>{escape(visible(one.label))}</bdi></th>'
        + "".join(f"<td>{cell}</td>" for cell in _cells(one, judged))
        + "</tr>"
        for one in found
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Instruments beside the regions">'
        f'<table class="beside"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        '<p class="small">Half of the way lies between the medians of the first and of the last observations. Each '
        "interval is of its row alone, over the noise of the curve. Which of any two comes first, and how surely, "
        "<code>observatory lead</code> tells.</p>"
    )


def beside(logbook: xr.Dataset, found: Sequence[Milestone]) -> list[dict[str, Any]]:
    """The curves, at the observations at which each was measured."""
    return [dict(_curve(logbook, one)) for one in found]


def _cells(one: Milestone, judged: Emergence) -> Iterator[str]:
    assert one.curve is not None  # a headline has one
    values = np.asarray(one.curve.values, dtype=float)
    decimals = _decimals(values)
    yield from (_number(float(values[place]), decimals) for place in (0, -1))
    if one.halfway is None:
        yield from (escape(visible(one.reason.removeprefix(f"{one.label} "))), "")
        return
    tokens = f", {human(round(judged.tokens_at(one.halfway.step)))} tokens" if any(judged.tokens) else ""
    yield f"step {one.halfway.step:,.0f}{tokens}"
    yield "no interval" if one.halfway.interval is None else "{:,.0f} to {:,.0f}".format(*one.halfway.interval)


def _curve(logbook: xr.Dataset, one: Milestone) -> Iterator[tuple[str, Any]]:
    assert one.curve is not None
    values = np.asarray(one.curve.values, dtype=float)
    decimals = _decimals(values)
    band = _band(logbook, one, values)
    twins = _twins(logbook, one.name)
    every = np.concatenate([values, *(band or ()), twins if twins is not None else values[:0]])
    room = 0.06 * float(np.ptp(every)) or 0.06 * abs(float(every[0])) or 1.0
    yield "name", visible(one.label)
    yield "at", np.searchsorted(logbook["step"].values, one.curve.steps).tolist()
    yield "decimals", decimals
    yield "values", rounded(values, decimals + 1)
    if band is not None:
        yield from (("low", rounded(band[0], decimals + 1)), ("high", rounded(band[1], decimals + 1)))
    yield "twins", None if twins is None else rounded(twins, decimals + 1)
    yield "limits", rounded([every.min() - room, every.max() + room], decimals + 2)


def _band(logbook: xr.Dataset, one: Milestone, values: Array) -> tuple[Array, Array] | None:
    """95%, where the instrument knows its error; what neighbours tell is of the curve and not of a value."""
    if one.curve is None or one.curve.errors is None or error_of(logbook, one.name) is None:
        return None
    half = 1.96 * np.asarray(one.curve.errors, dtype=float)
    return values - half, values + half


def _twins(logbook: xr.Dataset, name: str) -> Array | None:
    """Between which 95% of untrained twins lie."""
    if f"{name}_twins" not in logbook:
        return None
    every = logbook[f"{name}_twins"].transpose("step", ...).values.astype(float).reshape(logbook.sizes["step"], -1)
    known = [row[np.isfinite(row)] for row in every]  # the same at all steps at which they are told of
    return next((np.quantile(row, _SPREAD) for row in known if row.size), None)


def _decimals(values: Array) -> int:
    """As many as tell the largest in three digits."""
    size = float(np.abs(values).max())
    return int(np.clip(_DIGITS - 1 - floor(log10(size)), 0, _MOST_DECIMALS)) if size else 0


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".replace("-", "\u2212")
