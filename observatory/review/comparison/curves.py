"""Figure: E over training in several runs, with the mean over those of one size and a band between them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.observation import Array
from observatory.review.comparison.common_steps import shared_axis
from observatory.review.comparison.model_size import size_words
from observatory.review.comparison.pooled_curves import PooledCurve
from observatory.review.figures.style import INK, MUTED, PALE, legend, looks, short, style
from observatory.review.figures.token_axis import TokenAxis

_BY_SIDE = 2
"""Panels of domains side by side, where there is one size."""
_FEW = 8
"""So many runs of a panel are each seen well."""
_SAID = (
    "E is Hedges' g on families not used to choose the region; straight between observations. Where not all n runs are "
    "known, the mean and its interval are of those that are, and the mean is dotted."
)


def comparison_curves(curves: Sequence[PooledCurve], unit: str, measure: str, delta: float) -> Figure:
    """A panel a domain and size: every run thin, their mean thick, and 95% of that mean shaded."""
    domains = list(dict.fromkeys(curve.domain for curve in curves))
    sizes = list(dict.fromkeys(curve.parameters for curve in curves))
    columns = len(sizes) if len(sizes) > 1 else min(_BY_SIDE, len(domains))
    rows = ceil(len(curves) / columns)
    axis, look = shared_axis([curve.counts for curve in curves], unit), looks(domains)
    width, height = max(3.5 if columns == 1 else 7.0, 0.8 + 1.55 * columns), 1.55 * rows
    ordered = sorted(curves, key=lambda curve: (domains.index(curve.domain), sizes.index(curve.parameters)))
    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey="row" if len(sizes) > 1 else "none", squeeze=False)
        for place, (panel, curve) in enumerate(zip(panels.flat, ordered, strict=False)):
            _panel(panel, axis, curve, look[curve.domain].color)
            title = _title(curve, measure, sized=len(sizes) > 1, first=place % columns == 0)
            panel.set_title(title, size=8)
            if place % columns == 0:
                panel.set_ylabel("emergence index $E$")
        for panel in list(panels.flat)[len(ordered) :]:
            panel.set_axis_off()
        for row in panels if len(sizes) > 1 else [[panel] for panel in panels.flat]:
            _limits(list(row))
        for place in range(len(ordered) - columns, len(ordered)):
            axis.draw(panels.flat[place])
            panels.flat[place].tick_params(labelbottom=True)
        above = legend(figure, "outside upper left", _key(delta))
        below = legend(figure, "outside lower left", {}, [_SAID])
        figure.set_figheight(height + above + below + 0.3)
    return figure


def _panel(panel: Axes, axis: TokenAxis, curve: PooledCurve, color: str) -> None:
    at = axis.at(curve.counts)
    panel.axhline(0, color=MUTED, linewidth=0.6, zorder=1)
    if np.isfinite(curve.twins[0]):
        panel.axhspan(*curve.twins, color=PALE, linewidth=0, zorder=0, label="_twins")
        panel.axhline(curve.floor, color=INK, linewidth=0.6, linestyle=(0, (6, 4)), label="_floor")
    thin = min(0.6, 0.15 + 0.45 * _FEW / len(curve.runs))
    for run in curve.runs:
        known = np.isfinite(run)
        panel.plot(at[known], run[known], color=color, linewidth=0.5, alpha=thin, label="_run")
    panel.fill_between(at, curve.low, curve.high, color=color, alpha=0.25, linewidth=0, label="_between runs")
    every, several = curve.seen == len(curve.runs), curve.seen >= min(2, len(curve.runs))
    panel.plot(at, np.where(several, curve.mean, np.nan), color=color, linestyle=":", label="_mean of some")
    panel.plot(at, np.where(every, curve.mean, np.nan), color=color, label="_mean")


def _limits(panels: Sequence[Axes]) -> None:
    """Round the runs: the interval of two, which is wide, may leave the panel."""
    drawn = [np.asarray(line.get_ydata()) for panel in panels for line in panel.lines]
    values: Array = np.concatenate([values[np.isfinite(values)] for values in drawn] or [np.zeros(1)])
    if not values.size:
        return
    room = 0.08 * float(np.ptp(values)) or 0.1
    for panel in panels:
        panel.set_ylim(float(values.min()) - room, float(values.max()) + room)


def _title(curve: PooledCurve, measure: str, sized: bool, first: bool) -> str:
    count = f"n = {len(curve.runs)}"
    if not sized:
        return f"{short(curve.domain)} ({curve.readout}), {count}"
    size = f"{size_words(curve.parameters)} {measure}" if first else size_words(curve.parameters)
    return f"{short(curve.domain)} ({curve.readout})\n{size}, {count}" if first else f"\n{size}, {count}"


def _key(delta: float) -> dict[str, Artist]:
    return {
        "a run": Line2D([], [], color=INK, linewidth=0.5, alpha=0.6),
        "mean of n runs": Line2D([], [], color=INK),
        "95% of the mean, t between runs": Patch(color=INK, alpha=0.25, linewidth=0),
        "untrained twins, 95%": Patch(color=PALE, linewidth=0),
        f"floor: twins + {delta:g}, median of runs": Line2D([], [], color=INK, linewidth=0.6, linestyle=(0, (6, 4))),
    }
