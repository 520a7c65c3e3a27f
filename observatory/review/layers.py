"""Figure: in which layers each domain is told apart, over training."""

from __future__ import annotations

from math import ceil

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from observatory.review.style import SCREEN, Sheet, legend, letters, style, wrapped
from observatory.review.token_axis import TokenAxis

_UNKNOWN = "#DDDDDD"


def layers(logbook: xr.Dataset, space: str = "mlp", pooling: str = "mean", sheet: Sheet = SCREEN) -> Figure:
    """The emergence index of regions chosen within one layer: a panel a domain, layers upwards, one colour scale."""
    index = logbook["contrast_index_by_layer"].sel(space=space, pooling=pooling)
    domains = [str(name) for name in index["domain"].values]
    largest = float(np.abs(index.values[np.isfinite(index.values)]).max(initial=0)) or 1.0
    axis = TokenAxis.of(logbook)
    columns = min(len(domains), 2)
    rows = ceil(len(domains) / columns)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 0.9 + min(1.65, 0.5 * sheet.width) * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, domain in zip(panels.flat, domains, strict=False):
            mesh = panel.pcolormesh(
                axis.edges,
                np.arange(index.sizes["layer"] + 1) - 0.5,
                np.ma.masked_invalid(index.sel(domain=domain).transpose("layer", "step").values),
                norm=TwoSlopeNorm(0.0, -largest, largest),
                cmap="RdBu_r",
                rasterized=True,
            )
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
        figure.colorbar(
            mesh,
            ax=panels,
            location=sheet.bar,
            aspect=12 * rows if sheet.bar == "right" else 30,
            label=f"emergence index $E$\nwithin the layer\n({space} units, {pooling} pooling)",
        )
        unknown = bool(index.isnull().any())
        entries: dict[str, Artist] = {"nothing known": Patch(color=_UNKNOWN)} if unknown else {}
        below = legend(figure, "outside lower left", {**entries, **axis.key()})
        figure.set_figheight(figure.get_figheight() + below)
    return figure
