"""Figure: in which layers each domain's region lies, over training."""

from __future__ import annotations

from math import ceil

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from observatory.observation import Array
from observatory.review.figures.style import MUTED, PALE, SCREEN, Sheet, legend, letters, style, wrapped
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.sharing.circuit_record import Choice, circuit_record, looked

_MIDDLE = "#E69F00"


def composition(logbook: xr.Dataset, choice: Choice | None = None, sheet: Sheet = SCREEN) -> Figure:
    """The share of a region's units in each layer: a panel a domain, layers upwards; and their mean layer."""
    choice = choice or Choice()
    record, axis = circuit_record(logbook, choice), TokenAxis.of(looked(logbook))
    total = record.layers.sum(-1, keepdims=True)
    shares = np.divide(record.layers, total, out=np.full_like(record.layers, np.nan), where=total > 0)
    most = float(np.nanmax(shares, initial=0.0)) or 1.0
    columns = min(len(record.domains), 2)
    rows = ceil(len(record.domains) / columns)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 0.9 + 1.3 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for place, (panel, domain) in enumerate(zip(panels.flat, record.domains, strict=False)):
            mesh = _domain(panel, axis, shares[:, place], most)
            axis.draw_missed(panel)
            panel.set_title(wrapped(domain, letters(0.6 * sheet.width / columns)))
        for panel in list(panels.flat)[len(record.domains) :]:
            panel.set_axis_off()
        for panel in list(panels.flat)[len(record.domains) - columns : len(record.domains)]:
            axis.draw(panel)
            panel.set_xlim(axis.edges[0], axis.edges[-1])
            panel.tick_params(labelbottom=True)
        for panel in panels[:, 0]:
            panel.set_ylabel("layer")
        figure.colorbar(
            mesh,
            ax=panels,
            location=sheet.bar,
            aspect=12 * rows if sheet.bar == "right" else 30,
            format=PercentFormatter(1.0, decimals=0),
            label=f"share of the region's\n{choice.space} units in the layer",
        )
        marks: dict[str, Artist] = {"mean layer": Line2D([], [], color=_MIDDLE, marker=".", linewidth=0.8)}
        if np.isnan(shares).any():
            marks["no region: no task of it is done"] = Patch(facecolor=PALE, edgecolor=MUTED, hatch="////", lw=0)
        figure.set_figheight(figure.get_figheight() + legend(figure, "outside lower left", {**marks, **axis.key()}))
    return figure


def _domain(panel: Axes, axis: TokenAxis, shares: Array, most: float) -> QuadMesh:
    layers = shares.shape[1]
    panel.set_facecolor(PALE)
    panel.patch.set(hatch="////", edgecolor="white")
    mesh = panel.pcolormesh(
        axis.edges,
        np.arange(layers + 1) - 0.5,
        np.ma.masked_invalid(shares.T),
        vmin=0.0,
        vmax=most,
        cmap="Purples",
        rasterized=True,
    )
    middle = shares @ np.arange(layers)
    panel.plot(
        axis.positions, middle, color=_MIDDLE, marker=".", linewidth=0.8, markevery=axis.marked(middle), label="_middle"
    )
    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    return mesh
