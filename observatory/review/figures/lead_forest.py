"""A forest plot of leads and lags: a heading a domain, and a row for each thing its region is set beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, log, log10
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from observatory.review.effects.lead import Estimate, Lead
from observatory.review.effects.leads import DomainLeads
from observatory.review.figures.style import INK, MUTED, PALE, Look, short, small

_HALFWAY, _SHIFT = -0.2, 0.2
"""Where in its row each is drawn."""
_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
_WIDE = 2.6
_FURTHEST = 2.5
"""Powers of ten; what lies beyond is an arrow at the edge."""
_CIRCLE: dict[str, Any] = {"color": INK, "marker": "o", "linewidth": 1, "markersize": 3.6}
_BEYOND: dict[str, Any] = {"linestyle": "none", "markersize": 3}


def lead_forest(
    panel: Axes,
    found: Sequence[DomainLeads],
    beside: Mapping[str, dict[str, Any]],
    look: Mapping[str, Look],
    room: int,
) -> None:
    """On an axis of powers of ten; `room` is how many letters fit into half of the figure."""
    limits = _limits(found, list(beside))
    panel.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    labels: list[tuple[str, str, str]] = []
    chances: list[str] = []
    for one in found:
        if labels:
            panel.axhline(len(labels) - 0.5, color=PALE, linewidth=0.8, zorder=0)
        labels.append((short(one.verdict.domain), look[one.verdict.domain].color, "bold"))
        chances.append("")
        for name, drawn in beside.items():
            _row(panel, len(labels), one.found[name], drawn, limits, room)
            labels.append((short(name), INK, "normal"))
            chances.append(_chance(one.found[name]))
    panel.set(xlim=limits, ylim=(len(labels) - 0.5, -0.5))
    panel.set_yticks(range(len(labels)), [name for name, _, _ in labels])
    for text, (_, color, weight) in zip(panel.get_yticklabels(), labels, strict=True):
        text.set(color=color, weight=weight)
    panel.tick_params(axis="y", length=0, labelsize=small())
    wide = np.ptp(limits) > _WIDE
    kept = [ratio for ratio in (_TICKS[2::3] if wide else _TICKS) if limits[0] <= log10(ratio) <= limits[1]]
    panel.set_xticks([log10(ratio) for ratio in kept], [f"{ratio:g}" for ratio in kept])
    panel.set_xlabel("steps of the other / steps of the region\n(log scale; above 1 the region comes first)")
    right = panel.twinx()
    right.set_ylim(panel.get_ylim())
    right.set_yticks(range(len(labels)), chances)
    right.tick_params(axis="y", length=0, labelsize=small())
    right.set_title("P(region is first): half | shift", loc="right", weight="normal", fontsize=small())


def forest_key(panel: Axes) -> dict[str, Artist]:
    """What its marks mean."""
    made: dict[str, Artist] = {
        "half of the way, 95%": Line2D([], [], **_CIRCLE),
        "best shift, 95%": Line2D([], [], **_CIRCLE, markerfacecolor="white"),
    }
    if any(line.get_label() == "_beyond" for line in panel.lines):
        made["or further"] = Line2D([], [], color=INK, marker=">", **_BEYOND)
    return made


def _chance(one: Lead) -> str:
    """That the region is first, by each estimate that knows."""
    known = [each.before for each in (one.halfway, one.shift) if each is not None and each.before is not None]
    if one.halfway is not None and not known:
        return "no interval"
    return " | ".join(f"{before:.2f}" for before in known)


def _row(panel: Axes, row: int, one: Lead, look: dict[str, Any], limits: tuple[float, float], room: int) -> None:
    if one.halfway is None:
        told = short(f"can't say: {one.reason.partition(':')[0]}", room)
        beside = panel.get_yaxis_transform()
        panel.text(0.02, row, told, transform=beside, color=MUTED, size=small(), va="center_baseline", label="_unknown")
        return
    _estimate(panel, row + _HALFWAY, one.halfway, look, look["color"], limits, "_halfway")
    if one.shift is not None:
        _estimate(panel, row + _SHIFT, one.shift, look, "white", limits, "_shift")


def _estimate(
    panel: Axes,
    place: float,
    one: Estimate,
    look: dict[str, Any],
    fill: str,
    limits: tuple[float, float],
    label: str,
) -> None:
    """An arrow where an end lies beyond the axis, or is only the last shift that was tried."""
    color, lags = look["color"], np.array([one.lag, *(one.interval or ())])
    at = np.clip(lags / log(10), *limits)
    if one.interval is not None:
        panel.plot(at[1:], [place, place], color=color, linewidth=1, label=f"{label} interval")
    panel.plot(at[0], place, look["marker"], color=color, markerfacecolor=fill, markersize=3.6, label=label)
    for marker, edge, tried in (("<", limits[0], one.bound[0]), (">", limits[1], one.bound[1])):
        end = at.min() if marker == "<" else at.max()
        last = lags.min() if marker == "<" else lags.max()
        if end == edge or (isfinite(tried) and np.isclose(last, tried)):
            panel.plot(end, place, marker, color=color, **_BEYOND, clip_on=False, label="_beyond")


def _limits(found: Sequence[DomainLeads], names: Sequence[str]) -> tuple[float, float]:
    """Powers of ten, with a ratio of 1 among them."""
    ends = [-0.35, 0.35]
    for lead in (one.found[name] for one in found for name in names):
        for estimate in (lead.halfway, lead.shift):
            if estimate is not None:
                ends += [lag / log(10) for lag in (estimate.lag, *(estimate.interval or ()))]
    room = 0.05 * (max(ends) - min(ends))
    return max(min(ends) - room, -_FURTHEST), min(max(ends) + room, _FURTHEST)
