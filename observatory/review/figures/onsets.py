"""Figure: in which order regions emerge, and how sure that is."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.review.figures.style import INK, MUTED, PALE, SCREEN, Look, Sheet, legend, looks, short, small, style
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.emergence import Emergence, Onset, emergence
from observatory.review.judge.evidence import LEVELS, Criteria
from observatory.review.judge.rise import ChangePoint, Sigmoid
from observatory.review.judge.verdict import UNKNOWN, Episode, Verdict
from observatory.review.judge.wording import ABSENT, explained, sequence, standing

_CROSSING, _MIDDLE = -0.13, 0.22
"""Where in its row each is drawn."""
_MOST_ORDERS = 3
_MOST_NOTES = 6
_TINT = 0.3
_MARK: dict[str, Any] = {"markersize": 4.2, "markeredgecolor": "white", "markeredgewidth": 0.5}
_BAR: dict[str, Any] = {"linewidth": 7, "solid_capstyle": "butt"}
_SIGMOID: dict[str, Any] = {
    "marker": "d",
    "markersize": 4.5,
    "markerfacecolor": "white",
    "color": MUTED,
    "linestyle": "",
}
_CHANGE: dict[str, Any] = {"marker": "|", "markersize": 6, "color": MUTED, "linestyle": ""}
_EARLIER: dict[str, Any] = {"marker": "<", "markersize": 6, "linestyle": ""}
_LOST: dict[str, Any] = {"marker": "x", "markersize": 5, "linestyle": ""}


def onsets(logbook: xr.Dataset, criteria: Criteria | None = None, sheet: Sheet = SCREEN) -> Figure:
    """A row a domain, the earliest first: between which observations it emerged, and when its E rose."""
    judged = emergence(logbook, criteria)
    axis = TokenAxis.of(logbook)
    look = looks([one.domain for one in judged.verdicts])
    rows = sorted(judged.verdicts, key=lambda one: _when(judged, one))
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1.0), layout="constrained")
        panel = figure.subplots()
        for row, one in enumerate(rows):
            _row(panel, axis, row, one, judged.onsets.get(one.domain), look[one.domain])
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.vlines(
            axis.positions[axis.marked(axis.counts)],
            *panel.get_ylim(),
            color=PALE,
            linewidth=0.4,
            zorder=0,
            label="_observations",
        )
        panel.set_yticks(range(len(rows)), [short(one.domain) for one in rows])
        panel.tick_params(axis="y", length=0)
        panel.set_title("when each region emerged", loc="left")
        beside = panel.twinx()
        beside.set_ylim(panel.get_ylim())
        beside.set_yticks(range(len(rows)), [_beside(one, judged.onsets.get(one.domain)) for one in rows])
        beside.tick_params(axis="y", length=0, labelsize=small())
        axis.draw_missed(panel)
        axis.draw(panel, _start(panel, axis))
        above = legend(figure, "outside upper left", {**_key(judged), **axis.key()})
        below = legend(figure, "outside lower left", {}, _said(judged))
        figure.set_figheight(0.42 * len(rows) + 0.7 + above + below)
    return figure


def _start(panel: Axes, axis: TokenAxis) -> float:
    """Somewhat before the first that is drawn, so that the order is seen; a decade, or all of the axis, at least."""
    drawn = [float(x) for line in panel.lines if line.get_label() != "_missed" for x in np.asarray(line.get_xdata())]
    first, last = axis.limits
    return max(first, min([*drawn, last - 1]) - 0.1) if drawn else first


def _when(judged: Emergence, one: Verdict) -> float:
    return judged.onsets[one.domain].crossing if one.domain in judged.onsets else inf


def _row(panel: Axes, axis: TokenAxis, row: int, one: Verdict, onset: Onset | None, look: Look) -> None:
    for episode in one.episodes[LEVELS[0]]:
        draw_episode(panel, axis, row + _CROSSING, episode, look.color)
    if onset is None or one.episodes[LEVELS[0]][0].after is None:
        return  # what rose before the first observation has no onset here, and what its E did later is not one
    low, high, _ = onset.crossing_interval
    draw_interval(panel, axis, row + _CROSSING, low, high, look.color, "_crossing interval")
    at = axis.at_step([step for step in (onset.crossing,) if isfinite(step)])
    panel.plot(at, np.full(at.shape, row + _CROSSING), look.marker, color=look.color, **_MARK, label="_crossing")
    shape = onset.rise.shape
    if isinstance(shape, Sigmoid):
        low, high, _ = onset.midpoint_interval
        draw_interval(panel, axis, row + _MIDDLE, low, high, MUTED, "_middle interval")
        panel.plot(float(axis.at_step(shape.midpoint)), row + _MIDDLE, **_SIGMOID, label="_middle")
    elif isinstance(shape, ChangePoint):
        draw_interval(panel, axis, row + _MIDDLE, *shape.between, MUTED, "_change interval")
        panel.plot(float(axis.at_step(shape.midpoint)), row + _MIDDLE, **_CHANGE, label="_change")


def draw_episode(panel: Axes, axis: TokenAxis, place: float, episode: Episode, color: str) -> None:
    """The bar of the censoring interval; where the region was lost, a dotted line to a cross."""
    edge = axis.limits[0]
    by = float(axis.at_step(episode.by))
    after = edge if episode.after is None else float(axis.at_step(episode.after))
    panel.plot([after, by], [place, place], color=to_rgba(color, _TINT), **_BAR, label="_censoring")
    if episode.after is None:
        panel.plot(edge, place, **_EARLIER, color=color, clip_on=False, label="_from the start")
    if episode.lost_after is not None and episode.lost_by is not None:
        lost = axis.at_step([episode.lost_after, episode.lost_by])
        panel.plot(lost, [place, place], color=color, linewidth=1, linestyle=":", label="_loss")
        panel.plot(lost[1:], [place], **_LOST, color=color, label="_lost")


def draw_interval(panel: Axes, axis: TokenAxis, place: float, low: float, high: float, color: str, label: str) -> None:
    """An arrow at the edge stands for an end that is never reached."""
    if not isfinite(low):
        return
    start, edge = float(axis.at_step(low)), axis.limits[1]
    end = float(axis.at_step(high)) if isfinite(high) else edge
    panel.plot([start, end], [place, place], color=color, linewidth=1.1, marker="|", markersize=5, label=label)
    if not isfinite(high):
        panel.plot(edge, place, ">", color=color, markersize=3.5, clip_on=False, label="_never")


def _beside(one: Verdict, onset: Onset | None) -> str:
    if onset is None:
        return standing(one)
    never = onset.crossing_interval.share_never
    return f"{standing(one)}\nby E of {one.readout}" + (f"\nnever in {never:.1%} of resamples" if never else "")


def _key(judged: Emergence) -> dict[str, Artist]:
    """Of what is drawn, and of nothing else; intervals are over stimuli."""
    episodes = [episode for one in judged.verdicts for episode in one.episodes[LEVELS[0]]]
    dated = [
        one for one in judged.verdicts if any(episode.after is not None for episode in one.episodes[LEVELS[0]][:1])
    ]
    shapes = {type(judged.onsets[one.domain].rise.shape) for one in dated}
    entries: dict[str, tuple[bool, Line2D]] = {
        "emerged within": (
            any(episode.after is not None for episode in episodes),
            Line2D([], [], color=to_rgba(INK, _TINT), **_BAR),
        ),
        "there from the start": (
            any(episode.after is None for episode in episodes),
            Line2D([], [], color=INK, **_EARLIER),
        ),
        "E passes its floor, 95%": (
            bool(dated),
            Line2D([], [], color=INK, marker="o", linewidth=1.1, **_MARK),
        ),
        "middle of a sigmoid, 95%": (
            Sigmoid in shapes,
            Line2D([], [], linewidth=1.1, **{**_SIGMOID, "linestyle": "-"}),
        ),
        "a single change": (
            ChangePoint in shapes,
            Line2D([], [], linewidth=1.1, **{**_CHANGE, "linestyle": "-"}),
        ),
        "lost again": (any(episode.lost_by is not None for episode in episodes), Line2D([], [], color=INK, **_LOST)),
    }
    return {name: artist for name, (drawn, artist) in entries.items() if drawn}


def _said(judged: Emergence) -> list[str]:
    """The order with its probability, who did not emerge and why, and what to know before believing it."""
    orders = [f"P({sequence(order)}) = {order.probability:.2f}" for order in judged.orders[:_MOST_ORDERS]]
    more = len(judged.notes) - _MOST_NOTES
    notes = [*judged.notes[:_MOST_NOTES], *([f"and {more} notes more, in the table"] if more > 0 else [])]
    return [*orders, *explained(judged.verdicts, [UNKNOWN, ABSENT]), *notes]
