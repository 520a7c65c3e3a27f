"""Figure: from which layer on each domain can be read off by a probe of other forms of words, over training."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from observatory.review.depth import not_recorded, recorded_at
from observatory.review.style import INK, SCREEN, Sheet, legend, letters, style, wrapped
from observatory.review.token_axis import TokenAxis

_UNKNOWN = "#DDDDDD"
_FIRST: dict[str, Any] = {
    "color": INK,
    "marker": "o",
    "markerfacecolor": "white",
    "markeredgecolor": INK,
    "linewidth": 0.8,
}

no_depth = not_recorded("depth_domain_accuracy")


def depth_map(logbook: xr.Dataset, pooling: str = "mean", sheet: Sheet = SCREEN) -> Figure:
    """A panel a domain, layers upwards, chance white; on it the first layer over the threshold and the floor."""
    looked = recorded_at(logbook, "depth_domain_accuracy").sel(pooling=pooling)
    accuracy, depth = looked["depth_domain_accuracy"], looked["depth_depth"]
    domains = [str(name) for name in accuracy["domain"].values]
    axis, count = TokenAxis.of(looked), accuracy.sizes["layer"]
    columns = min(len(domains), 2)
    rows = ceil(len(domains) / columns)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 0.9 + min(1.65, 0.5 * sheet.width) * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, domain in zip(panels.flat, domains, strict=False):
            mesh = panel.pcolormesh(
                axis.edges,
                np.arange(count + 1) - 0.5,
                np.ma.masked_invalid(accuracy.sel(domain=domain).transpose("layer", "step").values),
                norm=Normalize(0.5, 1.0),
                cmap="YlGnBu",
                rasterized=True,
            )
            first = depth.sel(domain=domain).values * count - 1
            panel.plot(axis.positions, first, **_FIRST, markevery=axis.marked(first), label="_first")
            panel.set_facecolor(_UNKNOWN)
            axis.draw_missed(panel)
            panel.set_title(wrapped(domain, letters(0.6 * sheet.width / columns)))
            panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        for panel in list(panels.flat)[len(domains) :]:
            panel.set_axis_off()
        for panel in list(panels.flat)[len(domains) - columns : len(domains)]:  # the lowest of each column
            axis.draw(panel)
            panel.set_xlim(axis.edges[0], max([axis.edges[-1], *axis.at(axis.missed)]))
            panel.tick_params(labelbottom=True)
        for panel in panels[:, 0]:
            panel.set_ylabel("layer")
        space = str(logbook["depth_domain_accuracy"].attrs.get("space", "mlp"))
        figure.colorbar(
            mesh,
            ax=panels,
            location=sheet.bar,
            extend="min",
            aspect=12 * rows if sheet.bar == "right" else 30,
            label=f"share of pairs told right\nby a probe of other families\n({space} units, {pooling} pooling)",
        )
        entries: dict[str, Artist] = {"concept depth": Line2D([], [], **_FIRST)}
        if bool(accuracy.isnull().any()):
            entries["nothing known"] = Patch(color=_UNKNOWN)
        below = legend(figure, "outside lower left", {**entries, **axis.key()})
        figure.set_figheight(figure.get_figheight() + below)
    return figure
