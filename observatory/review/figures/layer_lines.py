"""What structural instruments say of each layer, over training: lines from the first layer, pale, to the last, dark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.observation import Array
from observatory.review.figures.style import PALE, Sheet, legend, letters, style, wrapped
from observatory.review.figures.token_axis import TokenAxis, between_gaps

_LEAST, _HEIGHT = 2.3, 1.75
"""Inches across and high for a panel with its labels."""
_FLAT = 1e-3
_OF_TWINS = "_twins"
_SPREAD = (0.025, 0.975)


@dataclass(frozen=True)
class Depth:
    """A panel of one variable with an axis of layers."""

    name: str
    title: str
    label: str
    share: bool = False
    """Whether it lies between 0 and 1."""


def depth_figure(logbook: xr.Dataset, panels: Sequence[Depth], sheet: Sheet, below: Sequence[str] = ()) -> Figure:
    """A panel a variable, a line a layer; the mean where there are other axes beside."""
    looked = recorded_at(logbook, panels[0].name)
    axis = TokenAxis.of(looked)
    across = sheet.across(2, _LEAST)
    rows = ceil(len(panels) / across)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        grid = figure.subplots(rows, across, sharex=True, squeeze=False)
        for drawn, one in zip(grid.flat, panels, strict=False):
            draw_twins(drawn, logbook, one.name)
            draw_depth(drawn, axis, by_layer(looked, one.name))
            axis.draw_missed(drawn)
            drawn.set_title(wrapped(one.title, letters(0.75 * sheet.width / across)))
            drawn.set_ylabel(one.label)
            if one.share:
                _within_shares(drawn)
        for empty in list(grid.flat)[len(panels) :]:
            empty.set_axis_off()
        for lowest in list(grid.flat)[len(panels) - across : len(panels)]:
            axis.draw(lowest)
            lowest.tick_params(labelbottom=True)
        entries = {**depth_key(logbook, [one.name for one in panels], looked.sizes["layer"]), **axis.key()}
        height = legend(figure, "outside lower left", entries, below)
        figure.set_figheight(_HEIGHT * rows + 0.4 + height)
    return figure


def _within_shares(panel: Axes) -> None:
    """Nothing below none and above all; and all there is where a line is flat."""
    low, high = panel.dataLim.intervaly
    room = 0.05 * (high - low)
    panel.set_ylim(*((-0.03, 1.03) if high - low < _FLAT else (max(low - room, -room), min(high + room, 1 + room))))


def recorded_at(logbook: xr.Dataset, name: str) -> xr.Dataset:
    """The steps at which a variable was measured and said something."""
    values = logbook[name].transpose("step", ...).values
    told = np.isfinite(values).reshape(len(values), -1).any(1)
    return logbook.isel(step=told)


def not_recorded(name: str) -> Callable[[xr.Dataset], str | None]:
    """Why there is nothing of an instrument to draw, if so."""
    instrument = name.partition("_")[0]

    def lacking(logbook: xr.Dataset) -> str | None:
        if name not in logbook:
            return f"{name} was not recorded; observe with the instrument {instrument}"
        return None if recorded_at(logbook, name).sizes["step"] else f"{name} is missing at every step"

    return lacking


def by_layer(looked: xr.Dataset, name: str) -> Array:
    """(step, layer)."""
    found = looked[name].transpose("step", "layer", ...)
    values: Array = found.mean(found.dims[2:], skipna=True).values.astype(float)
    return values


def draw_depth(panel: Axes, axis: TokenAxis, values: Array) -> None:
    """A line a layer, and a dot for an observation between two without a value."""
    for color, line in zip(shades(values.shape[1]), values.T, strict=True):
        panel.plot(axis.positions, line, color=color, rasterized=axis.dense, label="_layer")
        alone = between_gaps(line)
        if alone.any():
            panel.plot(axis.positions[alone], line[alone], color=color, marker="o", linestyle="none", label="_alone")


def draw_twins(panel: Axes, logbook: xr.Dataset, name: str) -> None:
    """Between which 95% of the values of untrained twins lie, whatever their layer."""
    known = _of_twins(logbook, name)
    if known.size:
        low, high = np.quantile(known, _SPREAD)
        panel.axhspan(float(low), float(high), color=PALE, linewidth=0, zorder=0, label="_twins")


def depth_key(logbook: xr.Dataset, names: Sequence[str], layers: int) -> Mapping[str, Artist]:
    """The first and the last layer, and twins where there are some."""
    of_layer = shades(layers)
    made: dict[str, Artist] = {f"layer {n}": Line2D([], [], color=of_layer[n]) for n in sorted({0, layers - 1})}
    if any(_of_twins(logbook, name).size for name in names):
        made["untrained twins, 95%"] = Patch(color=PALE, linewidth=0)
    return made


def shades(layers: int) -> list[tuple[float, float, float, float]]:
    """A colour for each layer, told apart in grey, too."""
    return [mpl.colormaps["viridis_r"](place) for place in np.linspace(0.15, 1, layers)]


def _of_twins(logbook: xr.Dataset, name: str) -> Array:
    if name + _OF_TWINS not in logbook:
        return np.array([])
    values = logbook[name + _OF_TWINS].values
    known: Array = values[np.isfinite(values)]
    return known
