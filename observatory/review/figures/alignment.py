"""Figure: alignment with outside representations by layer, and of regions beside random units, over training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.observation import Array
from observatory.review.effects.alignment import alignment_at
from observatory.review.effects.precedence import precedences
from observatory.review.figures.layer_lines import depth_key, draw_depth
from observatory.review.figures.style import (
    INK,
    PALE,
    SCREEN,
    Look,
    Sheet,
    legend,
    letters,
    looks,
    style,
    wrapped,
)
from observatory.review.figures.token_axis import TokenAxis

_LEAST, _HEIGHT = 2.3, 1.8
_MOST = 4
"""Rows; of further representations the first panels would be seen no longer."""
_SCORES = {"predictivity": "r, held-out stimuli", "rsa": "Spearman's rho", "triplets": "share of odd ones"}
_CHANCE: dict[str, Any] = {"color": INK, "linewidth": 0.7, "linestyle": ":"}
_CEILING: dict[str, Any] = {"color": "#E69F00", "alpha": 0.35, "linewidth": 0}
_TOP: dict[str, Any] = {"color": "#E69F00", "linewidth": 1, "linestyle": (0, (4, 1.5))}
_MEAN: dict[str, Any] = {"color": INK, "marker": "s", "linestyle": "none", "markersize": 2.4, "zorder": 3}
_RANDOM: dict[str, Any] = {"color": PALE, "linewidth": 0}
_SURE = 0.05


def alignment_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """A row a representation: the residual stream layer by layer, then each region less the random masks' mean."""
    looked = alignment_at(logbook)
    axis = TokenAxis.of(looked)
    names = [str(name) for name in looked["outside"].values][:_MOST]
    has_regions = "alignment_region" in looked
    look = looks([str(name) for name in looked["domain"].values]) if has_regions else {}
    across = 2 if has_regions and sheet.across(2, _LEAST) == 2 else 1
    rows = len(names) * (1 + has_regions) // across
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        grid = figure.subplots(rows, across, sharex=True, squeeze=False)
        panels = iter(grid.flat)
        for name in names:
            here = looked.sel(outside=name)
            first = next(panels)
            _draw_layers(first, axis, here)
            drawn = [first]
            if has_regions:
                drawn.append(next(panels))
                _draw_regions(drawn[1], axis, here, look)
            for panel, what in zip(drawn, (name, f"{name}: regions"), strict=False):
                panel.set_title(wrapped(what, letters(0.75 * sheet.width / across)))
                axis.draw_missed(panel)
        for lowest in grid[-1]:
            axis.draw(lowest)
        above = legend(figure, "outside upper left", _domains(look))
        entries = {**_key(looked, has_regions), **axis.key()}
        below = legend(figure, "outside lower left", entries, _said(logbook, looked.sizes["outside"]))
        figure.set_figheight(_HEIGHT * rows + 0.4 + above + below)
    return figure


def _draw_layers(panel: Axes, axis: TokenAxis, here: xr.Dataset) -> None:
    measure = str(here["outside"].values).rpartition("/")[2]
    if "alignment_score_twins" in here:
        low, high = np.nanquantile(here["alignment_score_twins"].values, [0.025, 0.975])
        panel.axhspan(float(low), float(high), color=PALE, linewidth=0, zorder=0, label="_twins")
    low, high = here["alignment_ceiling"].transpose("step", "bound").values[-1]
    if high > low:
        panel.axhspan(float(low), float(high), **_CEILING, zorder=0, label="_ceiling")
    elif np.isfinite(high):
        panel.axhline(float(high), **_TOP, zorder=0, label="_ceiling")
    panel.axhline(float(here["alignment_chance"].values[-1]), **_CHANCE, label="_chance")
    draw_depth(panel, axis, here["alignment_score"].transpose("step", "layer").values.astype(float))
    mean, error = here["alignment_mean"].values, here["alignment_error"].values
    panel.vlines(axis.positions, mean - 1.96 * error, mean + 1.96 * error, color=INK, linewidth=0.8, label="_error")
    panel.plot(axis.positions, mean, **_MEAN, label="_mean")
    panel.set_ylabel(_SCORES.get(measure, "score"))


def _draw_regions(panel: Axes, axis: TokenAxis, here: xr.Dataset, look: Mapping[str, Look]) -> None:
    """Filled where 5% or fewer of random masks would lie as far out on the region's side."""
    region = here["alignment_region"].transpose("step", "domain").values.astype(float)
    masks = here["alignment_matched"].transpose("step", "domain", "matched_mask").values.astype(float)
    middle = masks.mean(-1, keepdims=True)
    low, high = np.nanquantile(
        np.moveaxis(masks - middle, 1, 0).swapaxes(1, 2).reshape(-1, len(masks)), [0.025, 0.975], 0
    )
    panel.fill_between(axis.positions, low, high, **_RANDOM, zorder=0, label="_random", rasterized=axis.dense)
    panel.axhline(0, **_CHANCE, label="_same")
    for place, one in enumerate(look.values()):
        values, sure = (
            region[:, place] - middle[:, place, 0],
            chance_of_rank(region[:, place], masks[:, place]) <= _SURE,
        )
        panel.plot(axis.positions, values, color=one.color, label="_region", rasterized=axis.dense)
        for some, face in ((sure, one.color), (~sure, "white")):
            mark: dict[str, Any] = {"color": one.color, "marker": one.marker, "markerfacecolor": face}
            panel.plot(axis.positions[some], values[some], linestyle="none", **mark, label="_mark")
    panel.set_ylabel("region less\nrandom units")


def chance_of_rank(region: Array, masks: Array) -> Array:
    """How likely one more random mask would lie as far out, on the region's side: (step) from (step, mask)."""
    above = (masks >= region[:, None]).sum(1)
    below = (masks <= region[:, None]).sum(1)
    p: Array = (1 + np.minimum(above, below)) / (1 + masks.shape[1])
    return p


def _domains(look: Mapping[str, Look]) -> dict[str, Artist]:
    return {
        name: Line2D([], [], color=one.color, marker=one.marker, markerfacecolor="white") for name, one in look.items()
    }


def _key(looked: xr.Dataset, has_regions: bool) -> dict[str, Artist]:
    made: dict[str, Artist] = {
        **depth_key(looked, ["alignment_score"], looked.sizes["layer"]),
        "mean over layers, 95%": Line2D([], [], **_MEAN),
        "chance, or no difference": Line2D([], [], **_CHANCE),
    }
    low, high = looked["alignment_ceiling"].transpose("bound", ...).values
    if np.isfinite(high).any():
        made["noise ceiling"] = Patch(**_CEILING) if (high > low).any() else Line2D([], [], **_TOP)
    if has_regions:
        made["random units, 95%"] = Patch(**_RANDOM)
        made["beyond 95% of random units"] = Line2D([], [], color=INK, marker="o", linestyle="none")
    return made


def _said(logbook: xr.Dataset, count: int) -> list[str]:
    more = [f"{count - _MOST} representations more are recorded"] if count > _MOST else []
    return [*(one.sentence for one in precedences(logbook)), *more]
