"""Figure: modules of neurons that are active together, over training, beside graphs and models without any."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.observation import Array
from observatory.review.effects.community_stability import community_stability
from observatory.review.figures.layer_lines import draw_twins, not_recorded, recorded_at
from observatory.review.figures.style import INK, MUTED, PALE, SCREEN, Sheet, legend, letters, style, wrapped
from observatory.review.figures.token_axis import TokenAxis

_LEAST, _HEIGHT = 2.3, 1.8
_MODEL: dict[str, Any] = {"color": INK, "marker": "o", "markerfacecolor": "white"}
_REWIRED: dict[str, Any] = {"color": "#E69F00", "linestyle": (0, (4, 1.5))}
_ROTATED: dict[str, Any] = {"color": "#0072B2", "linestyle": (0, (1.5, 1))}
_HALVES: dict[str, Any] = {"color": MUTED, "linewidth": 0.9, "linestyle": ":"}
_LAST: dict[str, Any] = {"color": "#009E73", "marker": "s", "markerfacecolor": "white"}
_LAYERS: dict[str, Any] = {"color": "#8C6D31", "linestyle": (0, (4, 1.5))}
_STANDARD = 1.96

no_modules = not_recorded("modules_q")


def modules_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """Q and what it is beside; by how much it is above; how many communities; how much of them stays."""
    measured = recorded_at(logbook, "modules_q")
    axis = TokenAxis.of(measured)
    across = sheet.across(2, _LEAST)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        panels = figure.subplots(4 // across, across, sharex=True, squeeze=False)
        q, above, count, stays = panels.flat
        _draw_q(q, axis, measured)
        _draw_above(above, axis, measured)
        draw_twins(count, measured, "modules_communities")
        _line(count, axis, measured["modules_communities"].values, _MODEL)
        count.set_ylim(bottom=0)
        _draw_stability(stays, axis, measured)
        titles = {
            q: ("modularity", "Newman's Q"),
            above: ("above what chance gives", "Q less the mean\nof random graphs"),
            count: ("communities", "of two neurons\nor more"),
            stays: ("the same communities?", "adjusted Rand index"),
        }
        for panel, (title, label) in titles.items():
            panel.set_title(wrapped(title, letters(0.75 * sheet.width / across)))
            panel.set_ylabel(label)
            axis.draw_missed(panel)
        for panel in panels[-1]:
            axis.draw(panel)
        below = legend(figure, "outside lower left", {**_key(measured), **axis.key()})
        figure.set_figheight(_HEIGHT * 4 / across + 0.4 + below)
    return figure


def _draw_q(panel: Axes, axis: TokenAxis, measured: xr.Dataset) -> None:
    draw_twins(panel, measured, "modules_q")
    for name, look in (("rewired", _REWIRED), ("rotated", _ROTATED)):
        drawn = measured[f"modules_{name}"].transpose("step", "random_graph").values
        _band(panel, axis, drawn.min(1), drawn.max(1), look["color"])
        panel.plot(axis.positions, drawn.mean(1), **look, label=name)
    _line(panel, axis, measured["modules_q"].values, _MODEL)
    panel.set_ylim(bottom=0)


def _draw_above(panel: Axes, axis: TokenAxis, measured: xr.Dataset) -> None:
    """Untrained twins as lines on the edges of where 95% of them lie."""
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    for name, look in (("excess", _REWIRED), ("beyond", _ROTATED)):
        draw_twins(panel, measured, f"modules_{name}")
        value, error = (measured[f"modules_{name}{part}"].values for part in ("", "_error"))
        _band(panel, axis, value - _STANDARD * error, value + _STANDARD * error, look["color"])
        _line(panel, axis, value, {**look, "marker": "o", "markerfacecolor": "white"})


def _draw_stability(panel: Axes, axis: TokenAxis, measured: xr.Dataset) -> None:
    found = community_stability(measured)
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    panel.plot(axis.positions, found.of_halves, **_HALVES, label="halves")
    panel.plot(axis.positions, found.with_layers, **_LAYERS, label="layers")
    _line(panel, axis, found.to_last, _LAST)
    _line(panel, axis, found.to_previous, _MODEL)
    panel.set_ylim(-0.08, 1.02)


def _line(panel: Axes, axis: TokenAxis, values: Array, look: dict[str, Any]) -> None:
    panel.plot(axis.positions, values, **look, markevery=axis.marked(values), rasterized=axis.dense, zorder=3)


def _band(panel: Axes, axis: TokenAxis, low: Array, high: Array, color: str) -> None:
    panel.fill_between(axis.positions, low, high, color=color, alpha=0.25, linewidth=0, rasterized=axis.dense)


def _key(measured: xr.Dataset) -> dict[str, Artist]:
    made: dict[str, Artist] = {
        "this model; with the step before": Line2D([], [], **_MODEL),
        "with the last step": Line2D([], [], **_LAST),
        "rewired, every degree the same": Line2D([], [], **_REWIRED),
        "random mixtures, same components": Line2D([], [], **_ROTATED),
        "by either half of the stimuli": Line2D([], [], **_HALVES),
        "communities with layers": Line2D([], [], **_LAYERS),
    }
    if "modules_q_twins" in measured and np.isfinite(measured["modules_q_twins"]).any():
        made["untrained twins, 95%"] = Patch(color=PALE, linewidth=0)
    return made
