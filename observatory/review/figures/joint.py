"""Figure: when everything that was measured changed, on one axis of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.observation import Array
from observatory.review.effects.change import NO_CHANGE
from observatory.review.effects.milestones import ABILITY, INSTRUMENT, LOSS, REGION, Milestone, milestones
from observatory.review.figures.onsets import draw_episode, draw_interval
from observatory.review.figures.style import (
    INK,
    MUTED,
    SCREEN,
    Look,
    Sheet,
    legend,
    letters,
    looks,
    short,
    small,
    style,
)
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.evidence import LEVELS
from observatory.review.judge.wording import ABSENT, standing

_ROW = {REGION: 0.27, LOSS: 0.19, ABILITY: 0.19, INSTRUMENT: 0.19}
"""Inches upwards."""
_ONSET_AT, _HALFWAY_AT = -0.05, 0.07
"""Where in a region's row each is drawn, in inches; of others there is the latter alone, in the middle."""
_MOST = 32
_MOST_NOTES, _FEW_NOTES = 8, 3
_NAMES = 0.3
"""Of the width, for the names of the rows."""
_DONE = LinearSegmentedColormap.from_list("done", ["#FFFFFF", "#CFCFCF"])
_ONSET: dict[str, Any] = {"markersize": 4.4, "markeredgecolor": "white", "markeredgewidth": 0.5, "linestyle": ""}
_HALFWAY: dict[str, Any] = {"marker": "d", "markersize": 4.5, "markerfacecolor": "white", "linestyle": ""}
_NOT_YET: dict[str, Any] = {"marker": ">", "markersize": 5, "linestyle": ""}
_TINT = 0.3
_FIRST = (REGION, LOSS, INSTRUMENT, ABILITY)
_OTHERS = {INSTRUMENT: Look(INK, "D"), LOSS: Look(MUTED, "s"), ABILITY: Look(MUTED, "s"), REGION: Look(INK, "o")}


def joint(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """A row for each thing that has a time, the earliest first, on a ground that darkens as it goes its way."""
    every = milestones(logbook)
    timed = [one for one in every if one.kind == REGION or one.halfway is not None]
    rows = _with_room(timed)
    axis = TokenAxis.of(logbook)
    look = looks([str(name) for name in logbook["domain"].values] if "domain" in logbook.coords else [])
    heights = np.array([_ROW[one.kind] for one in rows])
    places = np.cumsum(heights) - heights / 2
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1.0), layout="constrained")
        panel = figure.subplots()
        for one, place, height in zip(rows, places, heights, strict=True):
            _ground(panel, axis, one, place, height)
            _row(panel, axis, one, place, look.get(one.domain, _OTHERS[one.kind]))
        panel.set_ylim(heights.sum(), 0)
        panel.set_yticks(places, [short(one.label, letters(_NAMES * sheet.width)) for one in rows])
        panel.tick_params(axis="y", length=0)
        for text, one in zip(panel.get_yticklabels(), rows, strict=True):
            color = look[one.domain].color if one.domain else INK
            text.set(color=color, weight="bold" if one.kind == REGION else "normal")
        panel.set_title("when each changed", loc="left")
        beside = panel.twinx()
        beside.set_ylim(panel.get_ylim())
        beside.set_yticks(places, [_beside(one) for one in rows])
        beside.tick_params(axis="y", length=0, labelsize=small())
        axis.draw_missed(panel)
        axis.draw(panel)
        below = legend(figure, "outside lower left", {**_key(rows), **axis.key()}, _said(every, rows))
        figure.set_figheight(float(heights.sum()) + 0.7 + below)
    return figure


def _with_room(timed: Sequence[Milestone]) -> list[Milestone]:
    """What a page has room for, in the order of time: what has no figure of its own is kept first."""
    kept = sorted(timed, key=lambda one: (_FIRST.index(one.kind), one.name.startswith("loss/")))[:_MOST]
    return [one for one in timed if one in kept]


def _ground(panel: Axes, axis: TokenAxis, one: Milestone, place: float, height: float) -> None:
    """From white to grey, how much of its way it has gone at each observation."""
    if one.curve is None or one.halfway is None:
        return
    done = (np.asarray(one.curve.values, dtype=float) - one.halfway.start) / (one.halfway.end - one.halfway.start)
    told = np.isfinite(done)
    edges = _edges(axis.at_step(np.asarray(one.curve.steps)[told]))
    up = [place - 0.45 * height, place + 0.45 * height]
    cells: dict[str, Any] = {"cmap": _DONE, "vmin": 0, "vmax": 1, "zorder": 0, "rasterized": axis.dense}
    panel.pcolormesh(edges, up, done[told][None], **cells, label="_ground")


def _edges(at: Array) -> Array:
    """Each lasts until the next is measured."""
    return np.append(at, at[-1] + 0.02 * np.ptp(at))


def _row(panel: Axes, axis: TokenAxis, one: Milestone, place: float, look: Look) -> None:
    within = place + (_HALFWAY_AT if one.kind == REGION else 0.0)
    if one.halfway is not None:
        if one.halfway.interval is not None:
            draw_interval(panel, axis, within, *one.halfway.interval, look.color, "_halfway interval")
        at = float(axis.at_step(one.halfway.step))
        panel.plot(at, within, **_HALFWAY, color=look.color, label="_halfway")
    if one.verdict is None:
        return
    for episode in one.verdict.episodes[LEVELS[0]]:
        draw_episode(panel, axis, place + _ONSET_AT, episode, look.color)
    if one.onset is not None and 0 < one.step < inf:
        low, high, _ = one.onset.crossing_interval
        draw_interval(panel, axis, place + _ONSET_AT, low, high, look.color, "_onset interval")
        at = float(axis.at_step(one.step))
        panel.plot(at, place + _ONSET_AT, look.marker, color=look.color, **_ONSET, label="_onset")
    if standing(one.verdict) == ABSENT:
        panel.plot(axis.limits[1], place + _ONSET_AT, **_NOT_YET, color=look.color, clip_on=False, label="_not yet")


def _beside(one: Milestone) -> str:
    if one.verdict is not None:
        return standing(one.verdict)
    assert one.halfway is not None  # others without a time have no row
    return f"{_number(one.halfway.start)} → {_number(one.halfway.end)}"


def _number(value: float) -> str:
    """In three digits, with a minus that is as wide as a plus."""
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


def _key(rows: Sequence[Milestone]) -> dict[str, Artist]:
    episodes = [one.verdict.episodes[LEVELS[0]] for one in rows if one.verdict is not None]
    entries: dict[str, tuple[bool, Artist]] = {
        "region emerged within": (
            any(first.after is not None for one in episodes for first in one[:1]),
            Line2D([], [], color=to_rgba(INK, _TINT), linewidth=7, solid_capstyle="butt"),
        ),
        "its E passes its floor, 95%": (
            any(one.onset is not None and 0 < one.step < inf for one in rows),
            Line2D([], [], color=INK, marker="o", linewidth=1.1, **{**_ONSET, "linestyle": "-"}),
        ),
        "half of the way, 95%": (
            any(one.halfway is not None for one in rows),
            Line2D([], [], color=INK, linewidth=1.1, **{**_HALFWAY, "linestyle": "-"}),
        ),
        "not emerged by the end": (
            any(one.verdict is not None and standing(one.verdict) == ABSENT for one in rows),
            Line2D([], [], color=INK, **_NOT_YET),
        ),
        "darker: more of its way": (any(one.halfway is not None for one in rows), Patch(facecolor="#CFCFCF")),
    }
    return {name: artist for name, (drawn, artist) in entries.items() if drawn}


def _said(every: Sequence[Milestone], rows: Sequence[Milestone]) -> list[str]:
    """What the times may be read for, what has none and why, and how much there is no room for."""
    silent = [one for one in every if one.halfway is None and one.kind != REGION]
    still = [one.label for one in silent if NO_CHANGE in one.reason]
    others = [one.reason for one in silent if NO_CHANGE not in one.reason]
    unseen = sum(one.halfway is not None or one.kind == REGION for one in every) - len(rows)
    return [
        "Each interval is of its row alone, and of twenty one misses by chance. What is compared is half of the way, "
        "of regions too: `observatory lead` tells of any two by how much the one is first.",
        *([f"No net change that noise might not make: {_some(still)}."] if still else []),
        *([f"No time: {_some(others, _FEW_NOTES)}."] if others else []),
        *([f"{unseen} more have a time; `observatory lead` knows them."] if unseen > 0 else []),
    ]


def _some(said: Sequence[str], most: int = _MOST_NOTES) -> str:
    more = len(said) - most
    return "; ".join([*said[:most], *([f"and {more} more"] if more > 0 else [])])
