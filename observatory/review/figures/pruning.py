"""Figure: how many of its weights the model can do without, over training."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.review.figures.layer_lines import by_layer, depth_key, draw_depth, not_recorded, recorded_at
from observatory.review.figures.style import INK, MUTED, SCREEN, Sheet, legend, style
from observatory.review.figures.token_axis import TokenAxis

_LEAST, _HEIGHT = 2.3, 2.0
_ALL: dict[str, Any] = {"color": INK, "marker": "o", "zorder": 3}
_EMPTIED: dict[str, Any] = {"color": MUTED, "linestyle": "--"}

no_pruning = not_recorded("pruning_removed")


def pruning_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """Two panels: what can go before the loss rises, of all weights and of each layer's; and what there is to lose."""
    looked = recorded_at(logbook, "pruning_removed")
    axis = TokenAxis.of(looked)
    across = sheet.across(2, _LEAST)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        panels = figure.subplots(2 // across, across, sharex=True, squeeze=False)
        first, second = panels.flat
        draw_depth(first, axis, by_layer(looked, "pruning_removed_by_layer"))
        _line(first, axis, looked, "pruning_removed", _ALL)
        first.set_ylim(-0.03, 1.03)
        first.set_title("weights that can go")
        first.set_ylabel("share")
        _line(second, axis, looked, "pruning_loss_emptied", _EMPTIED)
        _line(second, axis, looked, "pruning_loss", _ALL)
        second.set_title("what there is to lose")
        second.set_ylabel("held-out loss\n(nats/token)")
        for panel in panels.flat:
            axis.draw_missed(panel)
        for panel in panels[-1]:
            axis.draw(panel)
        marks: dict[str, Artist] = {
            "of the whole model": Line2D([], [], **_ALL, markerfacecolor="white"),
            "without the blocks' weights": Line2D([], [], **_EMPTIED),
        }
        entries = {**marks, **depth_key(logbook, [], looked.sizes["layer"]), **axis.key()}
        meaning = str(looked["pruning_removed"].attrs.get("long_name", ""))
        height = legend(figure, "outside lower left", entries, [f"{meaning.capitalize()}."] if meaning else [])
        figure.set_figheight(_HEIGHT * 2 / across + 0.3 + height)
    return figure


def _line(panel: Axes, axis: TokenAxis, looked: xr.Dataset, name: str, look: dict[str, Any]) -> None:
    values = looked[name].values.astype(np.float64)
    panel.plot(axis.positions, values, **look, markerfacecolor="white", markevery=axis.marked(values), label=f"_{name}")
