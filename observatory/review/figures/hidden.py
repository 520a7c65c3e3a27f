"""Figure: what each domain's tasks come to when they are asked and when they are steered, and which shows first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, exp, isfinite, isnan
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.review.effects.hidden import Departure, departures, hidden, hidden_steps
from observatory.review.figures.style import INK, MUTED, PALE, SCREEN, Look, Sheet, legend, looks, short, small, style
from observatory.review.figures.token_axis import TokenAxis, between_gaps

_LEAST, _HEIGHT = 2.6, 1.8
"""Inches across and high for a panel."""
_LINES: Mapping[str, dict[str, Any]] = {"prompted": {"linestyle": "--"}, "steered": {"linestyle": "-"}}
_NAMES = {"prompted": "asked by prompts", "steered": "steered, after either prompt"}
_LINEAR = 0.5
"""Nats below which the axis is linear, so that the first of a margin is seen beside the last."""
_TICKS = (-1, 0, 1, 10)
_ROOM = 4.0
"""How many times the largest margin the axis reaches up to, for the marks."""
_LEFT: dict[str, Any] = {"marker": "D", "markersize": 3.4, "linestyle": "none", "zorder": 4}
_OF_TASK: dict[str, Any] = {"marker": "^", "markersize": 3.0, "markeredgewidth": 0.7, "linestyle": "none"}


def hidden_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """A panel a domain: means over its tasks, with where each leaves its null; below, the same of single tasks."""
    found, told = hidden(logbook), departures(logbook)
    by_task = departures(logbook, "task")
    axis = TokenAxis.of(hidden_steps(logbook))
    look = looks([one.name for one in told])
    across = sheet.across(len(told), _LEAST)
    rows = ceil(len(told) / across)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        grid = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False)
        for panel, one in zip(grid.flat, told, strict=False):
            _curves(panel, axis, found.sel(domain=one.name), look[one.name])
            _marks(panel, axis, one, [task for task in by_task if task.name.split("/")[0] == one.name], look[one.name])
            axis.draw_missed(panel)
            panel.set_title(f"{short(one.name)}\n{_said(one)}", color=look[one.name].color, fontsize=small())
        low, high = grid[0, 0].get_ylim()
        grid[0, 0].set_ylim(2 * min(low, -_LINEAR), _ROOM * max(high, 2 * _LINEAR))
        for empty in list(grid.flat)[len(told) :]:
            empty.set_axis_off()
        for lowest in list(grid.flat)[len(told) - across : len(told)]:
            axis.draw(lowest)
            lowest.tick_params(labelbottom=True)
        for panel in grid[:, 0]:
            panel.set_ylabel("margin of tasks (nats)")
        below = legend(figure, "outside lower left", {**_key(look[told[0].name]), **axis.key()})
        figure.set_figheight(_HEIGHT * rows + 0.4 + below)
    return figure


def _curves(panel: Axes, axis: TokenAxis, here: xr.Dataset, look: Look) -> None:
    at = axis.positions
    low, high = (here[f"domain_control_{end}"].values for end in ("low", "high"))
    panel.fill_between(at, low, high, color=PALE, linewidth=0, zorder=0, label="_control")
    twins = here["domain_twins_high"].values.max(), here["domain_twins_low"].values.min()
    for bound in twins:
        panel.axhline(bound, color=MUTED, linewidth=0.6, linestyle=":", zorder=1, label="_twins")
    for way, line in _LINES.items():
        one = here.sel(way=way)
        values, low, high = (one[f"domain_margin{end}"].values for end in ("", "_low", "_high"))
        band: dict[str, Any] = {"color": look.color, "alpha": 0.15, "linewidth": 0, "rasterized": axis.dense}
        panel.fill_between(at, low, high, **band, label="_interval")
        alone = between_gaps(values)
        panel.vlines(at[alone], low[alone], high[alone], color=look.color, alpha=0.4, linewidth=2)
        face = look.color if way == "steered" else "white"
        marks: dict[str, Any] = {
            "marker": look.marker,
            "markevery": axis.marked(values),
            "markersize": 2.6,
            "markerfacecolor": face,
        }
        panel.plot(at, values, color=look.color, **line, **marks, label=f"_{way}")
    panel.set_yscale("symlog", linthresh=_LINEAR, linscale=0.6)
    panel.set_yticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    panel.set_yticks([], minor=True)


def _marks(panel: Axes, axis: TokenAxis, one: Departure, tasks: Sequence[Departure], look: Look) -> None:
    """Where each way leaves its null: on top the domain's, with 95%, and at the bottom its tasks'."""
    upper = panel.get_xaxis_transform()
    for way, top, bottom in (("steered", 0.97, 0.09), ("prompted", 0.9, 0.03)):
        face = look.color if way == "steered" else "white"
        drawn: dict[str, Any] = {"color": look.color, "markerfacecolor": face, "transform": upper, "clip_on": False}
        left = one.of(way)
        if isfinite(left.step):
            ends = axis.at_step(np.array([left.low, min(left.high, float(axis.steps[-1]))]))
            panel.plot(ends, [top, top], color=look.color, linewidth=0.9, transform=upper, label=f"_{way} interval")
            panel.plot(axis.at_step(np.array([left.step])), [top], **_LEFT, **drawn, label=f"_{way} left")
        found = axis.at_step(np.array([task.of(way).step for task in tasks]))
        if (found := found[np.isfinite(found)]).size:  # an empty line that is not clipped has no box
            panel.plot(found, np.full(found.size, bottom), **_OF_TASK, **drawn, label=f"_{way} tasks")


def _said(one: Departure) -> str:
    """Which was first, and by how much."""
    if isnan(one.lead):
        return "neither leaves its null"
    if not isfinite(one.lead):
        return f"only {'steered' if one.lead > 0 else 'prompted'} leaves its null"
    return f"prompted at {_times(one.lead)} times the tokens [{', '.join(map(_times, one.interval))}]"


def _times(lead: float) -> str:
    if not isfinite(lead):
        return "0" if lead < 0 else "∞"
    return f"{exp(lead):.2g}" if exp(lead) < 10 else f"{exp(lead):.0f}"


def _key(look: Look) -> dict[str, Artist]:
    made: dict[str, Artist] = {
        _NAMES[way]: Line2D(
            [], [], color=INK, marker="o", markersize=2.6, markerfacecolor=INK if way == "steered" else "white", **line
        )
        for way, line in _LINES.items()
    }
    return {
        **made,
        "95% over templates": Patch(color=look.color, alpha=0.25, linewidth=0),
        "95% of directions of no meaning": Patch(color=PALE, linewidth=0),
        "95% of untrained twins": Line2D([], [], color=MUTED, linewidth=0.6, linestyle=":"),
        "mean leaves its null, with 95%": Line2D([], [], color=INK, **{**_LEFT, "linestyle": "-"}, linewidth=0.9),
        "a single task does": Line2D([], [], color=INK, **_OF_TASK),
    }
