"""Figure: when each region emerged, against the size of the model."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite, log10

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.review.comparison.common_steps import shared_axis
from observatory.review.comparison.compare import Comparison
from observatory.review.comparison.model_size import size_words
from observatory.review.comparison.pooled_onset import Arrival, PooledOnset, arrival
from observatory.review.figures.style import INK, Look, legend, looks, short, style
from observatory.review.figures.token_axis import TokenAxis, count_of, round_numbers

_BY_SIDE = 2
_MOST_TICKS = 6
_SPREAD = 0.3
"""Of the way to the next size is taken by the runs of one."""
_SAID = (
    "Where a run had not emerged by its end, the mean would be too early and is left out. The median counts such runs; "
    "where it is not drawn, it is not reached."
)


def no_sizes(found: Comparison) -> str | None:
    """Why there is nothing to draw, if so."""
    known = [size for size in found.sizes.grouped() if size is not None]
    return None if len(known) > 1 else f"onset against size takes models of two sizes or more; there are {len(known)}"


def comparison_sizes(found: Comparison) -> Figure:
    """A panel a domain: every run, and the mean or the median of those of one size."""
    sizes = {size: names for size, names in found.sizes.grouped().items() if size is not None}
    counts = [np.array(run.tokens if found.unit == "tokens" else run.steps) for run in found.runs.values()]
    axis, look = shared_axis(counts, found.unit), looks(found.domains)
    columns = min(_BY_SIDE, len(found.domains))
    rows = ceil(len(found.domains) / columns)
    with style():
        figure = Figure(figsize=(3.5 * columns, 1.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, domain in zip(panels.flat, found.domains, strict=False):
            for size, names in sizes.items():
                told = [arrival(found.runs[name], domain, found.unit) for name in names]
                pooled = next(one for one in found.pooled if (one.parameters, one.domain) == (size, domain))
                _runs(panel, axis, size, [one for one in told if one], look[domain], _room(list(sizes)))
                _middle(panel, axis, size, pooled)
            panel.set_title(short(domain))
        for panel in list(panels.flat)[len(found.domains) :]:
            panel.set_axis_off()
        for place in range(len(found.domains) - columns, len(found.domains)):
            panels.flat[place].tick_params(labelbottom=True)
            panels.flat[place].set_xlabel(f"{found.sizes.measure} (log scale)")
        _axes(panels[0, 0], axis, list(sizes), float(axis.at(_earliest(found))))
        for row in panels:
            row[0].set_ylabel(f"onset ({axis.label},\nlog scale)")
        above = legend(figure, "outside upper left", _key())
        below = legend(figure, "outside lower left", {}, [_SAID])
        figure.set_figheight(1.9 * rows + above + below + 0.2)
    return figure


def _runs(panel: Axes, axis: TokenAxis, size: int, told: Sequence[Arrival], look: Look, room: float) -> None:
    """Beside one another, the earliest on the left; an arrow where a run ended before."""
    ordered = sorted(told, key=lambda one: (not one.emerged, one.at))
    beside = np.linspace(-room, room, len(ordered)) if len(ordered) > 1 else np.zeros(1)
    for x, one in zip(log10(size) + beside, ordered, strict=False):
        y = float(axis.at(one.at))
        if one.emerged:
            panel.plot(x, y, look.marker, color=look.color, alpha=0.6, markeredgewidth=0, markersize=4, label="_run")
        else:
            panel.annotate(
                "",
                (x, y),
                (0, 9),
                textcoords="offset points",
                arrowprops={"arrowstyle": "<-", "color": look.color, "alpha": 0.8, "shrinkA": 0, "shrinkB": 0},
                annotation_clip=False,
            )
            panel.plot(x, y, "_", color=look.color, alpha=0.8, markersize=4, label="_not emerged")


def _middle(panel: Axes, axis: TokenAxis, size: int, pooled: PooledOnset) -> None:
    x = log10(size)
    if pooled.emerged and pooled.emerged == pooled.judged:
        low, high = (float(axis.at(max(0.0, end))) for end in pooled.interval)
        panel.plot([x, x], [low, high], color=INK, linewidth=0.9, zorder=2, label="_interval")
        panel.plot(x, axis.at(pooled.onset), "_", color=INK, markersize=9, markeredgewidth=1.6, label="_mean")
    elif isfinite(pooled.median):
        panel.plot(x, axis.at(pooled.median), "D", markerfacecolor="none", color=INK, markersize=4, label="_median")


def _room(sizes: Sequence[int]) -> float:
    """On either side of a size."""
    return float(_SPREAD * min(0.5, np.diff(np.log10(sorted(sizes))).min()) / 2)


def _earliest(found: Comparison) -> float:
    told = [arrival(run, domain, found.unit) for run in found.runs.values() for domain in found.domains]
    return min((one.at for one in told if one), default=0.0)


def _axes(panel: Axes, axis: TokenAxis, sizes: Sequence[int], earliest: float) -> None:
    """Every size is named where there is room, and no run is cut off, though a wide interval may be."""
    high = axis.limits[1]
    low = max(axis.limits[0], min(earliest - 0.5, high - 1))
    panel.set_ylim(low, high + 0.1 * (high - low))
    ticks = round_numbers(ceil(10 ** max(low, axis.first)), int(axis.counts.max()))
    zero = [0] if axis.zero >= low else []
    panel.set_yticks([*[axis.zero] * len(zero), *np.log10(ticks)], [count_of(tick) for tick in zero + ticks])
    first, last = log10(min(sizes)), log10(max(sizes))
    panel.set_xlim(first - 0.12 * (last - first), last + 0.12 * (last - first))
    shown = [size for place, size in enumerate(sorted(sizes)) if place % ceil(len(sizes) / _MOST_TICKS) == 0]
    panel.set_xticks([log10(size) for size in shown], [size_words(size) for size in shown])


def _key() -> dict[str, Artist]:
    return {
        "a run": Line2D([], [], color=INK, marker="o", linewidth=0, alpha=0.6),
        "not emerged by its end": Line2D([], [], color=INK, marker="$\\uparrow$", markersize=7, linewidth=0),
        "mean, 95% t between runs": Line2D([], [], color=INK, marker="_", markersize=9, linewidth=0.9),
        "median, where not all emerged": Line2D(
            [], [], color=INK, marker="D", markerfacecolor="none", markersize=4, linewidth=0
        ),
    }
