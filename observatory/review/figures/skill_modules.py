"""Figure: communities of tasks and of the model's parts that answer them, at the last step; and their agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from observatory.observation import Array
from observatory.review.figures.from_first import from_first
from observatory.review.figures.style import INK, MUTED, SCREEN, Look, Sheet, legend, looks, short, small, style
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.sharing.circuit_record import Choice, looked
from observatory.review.sharing.relabelling import Chance
from observatory.review.sharing.skill_modules import SkillModules, skill_modules

_ROW, _PANEL = 0.14, 1.9
"""Inches: the height of a task's row, and of the panel of agreement where it stands below."""
_MOST_COLUMNS = 16
_COMMUNITIES = ("#E69F00", "#56B4E9", "#8C6D31", "#000000", "#7F7F7F", "#5A3D8A")
_DOMAIN: dict[str, Any] = {"color": INK, "marker": "o", "linestyle": "-"}
_INFORMATION: dict[str, Any] = {"color": "#0072B2", "marker": "^", "linestyle": (0, (1.5, 1))}
_FORMAT: dict[str, Any] = {"color": "#8C6D31", "marker": "s", "linestyle": (0, (4, 1.5))}


_Value = Callable[[SkillModules], "tuple[float, Chance] | None"]
_LINES: tuple[tuple[_Value, dict[str, Any]], ...] = (
    (lambda one: (one.domains.rand, one.domains.rand_chance), _DOMAIN),
    (lambda one: (one.domains.information, one.domains.information_chance), _INFORMATION),
    (lambda one: (one.formats.rand, one.formats.rand_chance) if one.formats else None, _FORMAT),
)


def skill_modules_figure(logbook: xr.Dataset, choice: Choice | None = None, sheet: Sheet = SCREEN) -> Figure:
    """Tasks by parts, community after community; beside it agreement with domains and formats over training."""
    choice = choice or Choice()
    found = skill_modules(logbook, choice)
    last = [one for one in found if one][-1]
    axis = TokenAxis.of(looked(logbook))
    look = looks([str(domain) for domain in logbook["domain"].values])
    across = sheet.across(2, 3.0)
    rows = _ROW * len(last.tasks.names) + 0.7
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        if across == 2:
            table, agreement = figure.subplots(1, 2, width_ratios=(1.15, 1))
        else:
            table, agreement = figure.subplots(2, 1, height_ratios=(rows, _PANEL))
        _draw_table(table, last, look, figure)
        _draw_agreement(agreement, axis, found, choice.alpha)
        marks: dict[str, Artist] = {
            name: Line2D([], [], color=one.color, marker=one.marker, linewidth=0) for name, one in look.items()
        }
        above = legend(figure, "outside upper left", marks)
        below = legend(figure, "outside lower left", {**_key(choice.alpha), **axis.key()}, [_said(last)])
        figure.set_figheight((max(rows, 2.4) if across == 2 else rows + _PANEL + 0.4) + above + below)
    return figure


def _draw_table(panel: Axes, last: SkillModules, look: Mapping[str, Look], figure: Figure) -> None:
    """Rows are tasks, and lines part communities; a dot below each column has the colour of the part's community."""
    domains = list(look)
    order = np.lexsort((np.array([domains.index(one) for one in last.tasks.domains]), last.of_tasks))
    shown = panel.imshow(last.weights[order], cmap="Purples", vmin=0, aspect="auto", interpolation="none")
    count, parts = last.weights.shape
    for border in np.flatnonzero(np.diff(last.of_tasks[order])):
        panel.axhline(float(border) + 0.5, color=INK, linewidth=0.8)
    names = [short(last.tasks.names[one].replace("_", " "), 24) for one in order]
    panel.set_yticks(range(count), names, fontsize=small())
    every = -(-parts // _MOST_COLUMNS)
    panel.set_xticks(range(0, parts, every), list(last.parts[::every]), rotation=90, fontsize=small())
    panel.tick_params(length=0, pad=8)
    beside, under = panel.get_yaxis_transform(), panel.get_xaxis_transform()
    for row, one in enumerate(order):
        own = look[last.tasks.domains[one]]
        panel.plot(-0.025, row, own.marker, color=own.color, markersize=3, clip_on=False, transform=beside)
        color = _color(int(last.of_tasks[one]))
        panel.plot(1.02, row, "s", color=color, markersize=3, clip_on=False, transform=beside, label="_community")
    for column, community in enumerate(last.of_parts):
        color = _color(int(community))
        panel.plot(column, -0.015, "s", color=color, markersize=3, clip_on=False, transform=under, label="_community")
    panel.set_xlim(-0.5, parts - 0.5)
    panel.set_ylim(count - 0.5, -0.5)
    panel.set_title(f"tasks and parts at step {last.step}", pad=6)
    figure.colorbar(
        shown, ax=panel, location="bottom", aspect=30, pad=0.02, format=PercentFormatter(1.0, decimals=0),
        label="share of a task's attribution",
    )  # fmt: skip


def _draw_agreement(panel: Axes, axis: TokenAxis, found: tuple[SkillModules | None, ...], alpha: float) -> None:
    """Markers are full where as much is seldom got by chance."""
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    for value, look in _LINES:
        pairs = [None if one is None else value(one) for one in found]
        values: Array = np.array([pair[0] if pair else np.nan for pair in pairs])
        sure = np.array([bool(pair and pair[1].p <= alpha) for pair in pairs])
        panel.plot(axis.positions, values, **look, markerfacecolor="white", markevery=axis.marked(values), zorder=3)
        panel.plot(axis.positions[sure], values[sure], look["marker"], color=look["color"], label="_sure", zorder=4)
    panel.set_ylim(-0.25, 1.05)
    panel.set_title("do they agree with labels?")
    panel.set_ylabel("agreement of communities\nof tasks with labels")
    axis.draw_missed(panel)
    axis.draw(panel, from_first(axis, np.array([one is not None for one in found])))


def _color(community: int) -> str:
    return _COMMUNITIES[community % len(_COMMUNITIES)]


def _key(alpha: float) -> dict[str, Artist]:
    return {
        "domains: adjusted Rand index": Line2D([], [], **_DOMAIN, markerfacecolor="white"),
        "domains: normalised information": Line2D([], [], **_INFORMATION, markerfacecolor="white"),
        "formats: adjusted Rand index": Line2D([], [], **_FORMAT, markerfacecolor="white"),
        f"labels dealt anew, p ≤ {alpha:g}": Line2D([], [], color=INK, marker="o", linewidth=0),
        "its community": Line2D([], [], color=_color(0), marker="s", linewidth=0),
    }


def _said(last: SkillModules) -> str:
    chance = last.domains.rand_chance
    return (
        f"Step {last.step}: {last.count} communities of {len(last.tasks.names)} tasks done, Q = {last.q:.2f}; with "
        f"domains dealt anew over kinds of tasks p = {chance.p:.2g} (least possible {chance.least:.2g})."
    )
