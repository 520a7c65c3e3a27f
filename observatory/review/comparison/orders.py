"""Figure: in which orders the regions of several runs emerged, and how often one came before another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.observation import Array
from observatory.review.comparison.compare import Comparison, befores, orders
from observatory.review.comparison.model_size import size_words
from observatory.review.comparison.pooled_onset import share_interval
from observatory.review.comparison.size_look import size_looks
from observatory.review.figures.style import MUTED, PALE, Look, legend, short, style
from observatory.review.judge.verdict import UNKNOWN
from observatory.review.judge.wording import sequence

_MOST_ORDERS = 10
_ROW = 0.3
"""Inches."""
_LETTERS = 60


@dataclass(frozen=True)
class Share:
    """Of the runs of one size, those of which something is true."""

    size: int | None
    count: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """95%, exact."""
        return share_interval(self.count, self.of)


def comparison_orders(found: Comparison) -> Figure:
    """Above a row an order, below a row a pair of domains; in each a share of runs for every size of models."""
    by_order, more = order_shares(found)
    by_pair = pair_shares(found)
    look = size_looks(list(found.sizes.grouped()))
    row = _ROW + 0.08 * (len(look) - 1)
    heights = [row * max(1, len(rows)) + 0.35 for rows in (by_order, by_pair)]
    with style():
        figure = Figure(figsize=(7.0, sum(heights)), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
        _rows(above, by_order, look)
        above.set_title("order of emergence")
        _rows(below, by_pair, look)
        below.set_title("one before another")
        below.set_xlim(-0.02, 1.02)
        below.set_xlabel("share of runs, with its exact 95% interval")
        entries: dict[str, Artist] = {
            size_words(size, found.sizes.measure): Line2D([], [], color=one.color, marker=one.marker)
            for size, one in look.items()
        }
        top = legend(figure, "outside upper left", entries if len(look) > 1 else {})
        said = [
            "An order is counted in the runs in which something can be said of every domain; one of two domains came "
            "before the other also where that has not emerged by the end. Runs in which neither has are left out."
        ]
        if more:
            said.insert(0, f"{more} further orders are not drawn.")
        bottom = legend(figure, "outside lower left", {}, said)
        figure.set_figheight(sum(heights) + top + bottom + 0.4)
    return figure


def order_shares(found: Comparison) -> tuple[dict[str, list[Share]], int]:
    """The most frequent orders over all runs, each with its share among the runs of every size; how many more."""
    kept = found.orders[:_MOST_ORDERS]
    told: dict[str, list[Share]] = {sequence(one): [] for one in kept}
    for size, names in found.sizes.grouped().items():
        runs = [found.runs[name] for name in names]
        here = {(one.groups, one.never): one.probability for one in orders(found.domains, runs, found.unit)}
        judged = sum(all(verdict.level != UNKNOWN for verdict in run.verdicts) for run in runs)
        for one in kept:
            count = round(judged * here.get((one.groups, one.never), 0.0))
            told[sequence(one)].append(Share(size, count, judged))
    return told, len(found.orders) - len(kept)


def pair_shares(found: Comparison) -> dict[str, list[Share]]:
    """Of each pair of domains, that the one came first which did so in most runs."""
    told: dict[str, list[Share]] = {}
    for size, names in found.sizes.grouped().items():
        here = befores(found.domains, [found.runs[name] for name in names], found.unit)
        for one, overall in zip(here, found.before, strict=True):
            turned = overall.after > overall.before
            first, second = (one.second, one.first) if turned else (one.first, one.second)
            share = Share(size, one.after if turned else one.before, one.runs)
            told.setdefault(f"{first} before {second}", []).append(share)
    return told


def _rows(panel: Axes, rows: Mapping[str, Sequence[Share]], look: Mapping[int | None, Look]) -> None:
    """The words above their row, in which the sizes stand below one another."""
    for place, (words, shares) in enumerate(rows.items()):
        drawn = [share for share in shares if share.of]
        for share, y in zip(drawn, place + 0.16 + _spread(len(drawn)), strict=True):
            low, high = share.interval
            one = look[share.size]
            panel.plot([low, high], [y, y], color=one.color, linewidth=1.0, marker="|", markersize=4)
            panel.plot(share.count / share.of, y, one.marker, color=one.color, markersize=4, zorder=3, clip_on=False)
        counted = ", ".join(f"{share.count} of {share.of}" for share in shares)
        panel.text(0.0, place - 0.3, f"{short(words, _LETTERS)}: {counted}", size=7, va="center_baseline")
        panel.axhline(place - 0.5, color=PALE, linewidth=0.5, zorder=0)
    if not rows:
        panel.text(0.0, 0.0, "of no run can enough be said", color=MUTED, size=7, va="center_baseline")
    panel.set_ylim(max(1, len(rows)) - 0.5, -0.5)
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)


def _spread(count: int) -> Array:
    """Where in its row each size is drawn."""
    return np.linspace(-0.14, 0.18, count) if count > 1 else np.zeros(count)
