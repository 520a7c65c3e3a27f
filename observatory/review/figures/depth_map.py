"""Figure: from which layer on each domain can be read off by a probe of other forms of words, over training."""

from __future__ import annotations

from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.review.figures.layer_lines import not_recorded, recorded_at
from observatory.review.figures.layer_maps import Overlay, Scale, layer_maps
from observatory.review.figures.style import INK, SCREEN, Sheet
from observatory.review.figures.token_axis import TokenAxis

_FIRST: dict[str, Any] = {
    "color": INK,
    "marker": "o",
    "markerfacecolor": "white",
    "markeredgecolor": INK,
    "linewidth": 0.8,
}

no_depth = not_recorded("depth_domain_accuracy")


def depth_map(logbook: xr.Dataset, pooling: str = "mean", sheet: Sheet = SCREEN) -> Figure:
    """Chance is white; on it the first layer over the threshold and the floor."""
    looked = recorded_at(logbook, "depth_domain_accuracy").sel(pooling=pooling)
    accuracy, depth = looked["depth_domain_accuracy"], looked["depth_depth"]
    axis = TokenAxis.of(looked)

    def draw_first(panel: Axes, domain: str) -> None:
        first = depth.sel(domain=domain).values * accuracy.sizes["layer"] - 1
        panel.plot(axis.positions, first, **_FIRST, markevery=axis.marked(first), label="_first")

    space = str(logbook["depth_domain_accuracy"].attrs.get("space", "mlp"))
    label = f"share of pairs told right\nby a probe of other families\n({space} units, {pooling} pooling)"
    scale = Scale(Normalize(0.5, 1.0), "YlGnBu", label, extend="min")
    return layer_maps(accuracy, axis, scale, sheet, Overlay(draw_first, {"concept depth": Line2D([], [], **_FIRST)}))
