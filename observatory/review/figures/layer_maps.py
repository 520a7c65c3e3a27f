"""What figures of layers over training share: a panel a domain, layers upwards, one colour scale for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from observatory.review.figures.style import Sheet, legend, letters, style, wrapped
from observatory.review.figures.token_axis import TokenAxis

_UNKNOWN = "#DDDDDD"


@dataclass(frozen=True)
class Scale:
    """What a colour means."""

    norm: Normalize
    colors: str
    label: str
    extend: str = "neither"
    """Which end of the bar stands for what lies beyond it, too."""


@dataclass(frozen=True)
class Overlay:
    """What is drawn over the map of a domain."""

    draw: Callable[[Axes, str], None] = lambda panel, domain: None
    key: Mapping[str, Artist] = field(default_factory=dict)


def layer_maps(
    values: xr.DataArray, axis: TokenAxis, scale: Scale, sheet: Sheet, overlay: Overlay | None = None
) -> Figure:
    """Of values by domain, layer and step; what is not known is grey."""
    overlay = overlay or Overlay()
    domains = [str(name) for name in values["domain"].values]
    columns = min(len(domains), 2)
    rows = ceil(len(domains) / columns)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 0.9 + min(1.65, 0.5 * sheet.width) * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, domain in zip(panels.flat, domains, strict=False):
            mesh = panel.pcolormesh(
                axis.edges,
                np.arange(values.sizes["layer"] + 1) - 0.5,
                np.ma.masked_invalid(values.sel(domain=domain).transpose("layer", "step").values),
                norm=scale.norm,
                cmap=scale.colors,
                rasterized=True,
            )
            overlay.draw(panel, domain)
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
        aspect = 12 * rows if sheet.bar == "right" else 30
        figure.colorbar(mesh, ax=panels, location=sheet.bar, extend=scale.extend, aspect=aspect, label=scale.label)
        unknown: dict[str, Artist] = {"nothing known": Patch(color=_UNKNOWN)} if bool(values.isnull().any()) else {}
        below = legend(figure, "outside lower left", {**overlay.key, **unknown, **axis.key()})
        figure.set_figheight(figure.get_figheight() + below)
    return figure
