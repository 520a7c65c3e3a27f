"""Figure: whether each domain's region comes before or after what the model can do, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.review.effects.leads import DomainLeads, Progress, leads
from observatory.review.figures.lead_forest import forest_key, lead_forest
from observatory.review.figures.style import (
    INK,
    MUTED,
    SCREEN,
    Look,
    Sheet,
    legend,
    letters,
    looks,
    short,
    small,
    style,
)
from observatory.review.figures.token_axis import TokenAxis, between_gaps, thinned
from observatory.review.judge.evidence import observations
from observatory.review.judge.wording import standing

_LEAST = 1.6
"""Inches across for the curves of a domain."""
_CURVES, _ROW = 1.25, 0.17
"""Inches upwards: of curves, and of a row of the forest."""
_APART = 0.05
"""Markers of a curve, as a share of it."""
_MOST_NOTES = 6
_REGION: dict[str, Any] = {"linestyle": "-", "zorder": 3}
_BESIDE: tuple[dict[str, Any], ...] = (
    {"color": INK, "marker": "s", "linestyle": (0, (4, 1.5))},
    {"color": "#8C6D31", "marker": "v", "linestyle": (0, (1, 1))},
    {"color": "#7F7F7F", "marker": "P", "linestyle": (0, (3, 1, 1, 1))},
    {"color": "#5A3D8A", "marker": "D", "linestyle": (0, (6, 1))},
    {"color": "#56B4E9", "marker": ">", "linestyle": (0, (1, 2))},
    {"color": "#E69F00", "marker": "<", "linestyle": (0, (2, 2))},
)
"""How what a region is set beside is drawn; more than these are left to the command `lead`."""


def lead_lag(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """Above, each domain's curves, as shares of their ways; below, how many times the steps the other takes.

    The forest has two estimates of each lag, with intervals and the probability that the region is first.
    """
    found = leads(logbook)
    axis, look = TokenAxis.of(observations(logbook)[0]), looks([one.verdict.domain for one in found])
    beside = dict(zip(found[0].found, _BESIDE, strict=False))
    across = sheet.across(len(found), _LEAST)
    heights = [_CURVES] * ceil(len(found) / across) + [_ROW * len(found) * (1 + len(beside)) + 0.3]
    with style(sheet):
        figure = Figure(figsize=(sheet.width, sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(heights), across, height_ratios=heights)
        curves: list[Axes] = []
        for place, one in enumerate(found):
            first = curves[0] if curves else None
            panel = figure.add_subplot(grid[divmod(place, across)], sharex=first, sharey=first)
            _curves(panel, axis, one, beside, look[one.verdict.domain])
            panel.tick_params(labelleft=place % across == 0, labelbottom=place >= len(found) - across)
            curves.append(panel)
        for panel in curves[-across:]:
            axis.draw(panel)
        for panel in curves[::across]:
            panel.set_ylabel("share of\nits way")
        forest = figure.add_subplot(grid[-1, :])
        lead_forest(forest, found, beside, look, letters(0.5 * sheet.width))
        above = legend(figure, "outside upper left", _names(beside))
        below = legend(figure, "outside lower left", {**forest_key(forest), **axis.key()}, _said(found, list(beside)))
        figure.set_figheight(sum(heights) + 0.7 + above + below)
    return figure


def _curves(panel: Axes, axis: TokenAxis, one: DomainLeads, beside: Mapping[str, dict[str, Any]], look: Look) -> None:
    """Turned so that all rise."""
    for level in (0, 1):
        panel.axhline(level, color=MUTED, linewidth=0.5, zorder=0)
    drawn = {**beside, "region": {"color": look.color, "marker": look.marker, **_REGION}}
    for name, line in drawn.items():
        if name in one.progress:
            _curve(panel, axis, one.progress[name], line, name)
    axis.draw_missed(panel)
    panel.set_ylim(-0.3, 1.3)
    panel.set_yticks([0, 0.5, 1])
    panel.set_title(f"{short(one.verdict.domain)}\n{standing(one.verdict)}", color=look.color, fontsize=small())


def _curve(panel: Axes, axis: TokenAxis, one: Progress, line: dict[str, Any], name: str) -> None:
    at, color = axis.at_step(one.steps), line["color"]
    band: dict[str, Any] = {"color": color, "alpha": 0.15, "linewidth": 0, "rasterized": axis.dense}
    panel.fill_between(at, one.low, one.high, **band, label=f"_{name} interval")
    alone = between_gaps(one.values)
    panel.vlines(at[alone], one.low[alone], one.high[alone], color=color, alpha=0.4, linewidth=2)
    look: dict[str, Any] = {**line, "markevery": thinned(at, one.values, _APART), "markersize": 2.2, "linewidth": 1}
    panel.plot(at, one.values, **look, label=name)


def _names(beside: Mapping[str, dict[str, Any]]) -> dict[str, Artist]:
    region: dict[str, Artist] = {"region (in its domain's colour)": Line2D([], [], color=MUTED, marker="o")}
    return {**region, **{name: Line2D([], [], **line, markersize=2.6, linewidth=1) for name, line in beside.items()}}


def _said(found: Sequence[DomainLeads], names: Sequence[str]) -> list[str]:
    """Why what is missing is missing, and how much there is no room for."""
    reasons = list(dict.fromkeys(one.found[name].reason for one in found for name in names if one.found[name].reason))
    more = len(reasons) - _MOST_NOTES
    left = len(found[0].found) - len(names)
    return [
        *reasons[:_MOST_NOTES],
        *([f"and {more} reasons more; `observatory lead` says them"] if more > 0 else []),
        *([f"{left} curves more are known; `observatory lead` sets any two beside each other"] if left > 0 else []),
    ]
