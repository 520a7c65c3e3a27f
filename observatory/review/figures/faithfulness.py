"""Figure: what domains do for each other's tasks, within and across formal and functional ones, over training."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.observation import Array
from observatory.review.effects.faithfulness import GROUPS, OTHERWISE, by_attribution, by_lesions, no_attribution
from observatory.review.effects.lesion_effects import lesion_steps, no_lesions
from observatory.review.figures.from_first import from_first
from observatory.review.figures.style import MUTED, SCREEN, Sheet, legend, style
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.sharing.circuit_record import looked

_LEAST, _HEIGHT = 2.5, 2.3
_APART = 0.015
"""Between the marks of one step, as a share of the axis."""
_COLORS = ("#0072B2", "#D55E00", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#000000", "#8C6D31")
_LESIONS = ("lesions: without a domain's region", "margin lost beyond random\nunits (nats)")
_ATTRIBUTION = ("attribution: by a task's circuit", "share of what another's own\ncircuit does, above chance")
_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "<")


def faithfulness_figure(logbook: xr.Dataset, groups: Mapping[str, str] = GROUPS, sheet: Sheet = SCREEN) -> Figure:
    """By lesions of regions, and by attribution on circuits; bars are 95% intervals."""
    shown = []
    if not no_lesions(logbook):
        shown.append((_LESIONS, TokenAxis.of(lesion_steps(logbook)), by_lesions(logbook, groups)))
    if not no_attribution(logbook):
        shown.append((_ATTRIBUTION, TokenAxis.of(looked(logbook)), by_attribution(logbook, groups)))
    roads = list(dict.fromkeys(str(road) for _, _, found in shown for road in found["road"].values))
    look: dict[str, dict[str, Any]] = {
        road: {"color": color, "marker": marker, "markerfacecolor": "white"}
        for road, color, marker in zip(roads, cycle(_COLORS), cycle(_MARKERS), strict=False)
    }
    across = sheet.across(len(shown), _LEAST)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        panels = figure.subplots(len(shown) // across, across, squeeze=False)
        marks: dict[str, Artist] = {road: Line2D([], [], **one) for road, one in look.items()}
        for panel, ((title, label), axis, found) in zip(panels.flat, shown, strict=True):
            _draw(panel, axis, found, look)
            panel.set_title(title)
            panel.set_ylabel(label)
            marks |= axis.key()
        height = legend(figure, "outside lower left", marks, [_note(groups)])
        figure.set_figheight(_HEIGHT * len(shown) / across + height)
    return figure


def _note(groups: Mapping[str, str]) -> str:
    named = " and ".join(f"{group} is {domain}" for domain, group in groups.items())
    return (
        f"From the domains whose units are taken to those whose tasks are looked at: {named}, {OTHERWISE} all others. "
        "Bars: 95% intervals, of lesions over templates and masks, of attribution over kinds of tasks (none if a mean "
        "hangs on one kind). Attribution: pairs of tasks that differ in kind and in format."
    )


def _draw(panel: Axes, axis: TokenAxis, found: xr.Dataset, look: dict[str, dict[str, Any]]) -> None:
    """From the first step on at which something is known; marks of one step stand side by side."""
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    start = from_first(axis, np.isfinite(found["value"].values).any(1))
    axis.draw_missed(panel)
    axis.draw(panel, start)
    apart = _APART * (axis.limits[1] - start)
    roads = [str(road) for road in found["road"].values]
    for place, road in enumerate(roads):
        at = axis.positions + apart * (place - (len(roads) - 1) / 2)
        value, low, high = (found[name].sel(road=road).values for name in ("value", "low", "high"))
        _bars(panel, at, low, high, look[road]["color"])
        panel.plot(at, value, **look[road], linewidth=0.8, zorder=3, label=road)


def _bars(panel: Axes, at: Array, low: Array, high: Array, color: str) -> None:
    known = np.isfinite(low)
    panel.vlines(at[known], low[known], high[known], color=color, linewidth=1, zorder=2)
