"""Panels of what is said at other settings: when each domain emerged, and below at which level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import isfinite, log10, nan
from operator import itemgetter
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.observation import Array
from observatory.review.figures.levels import THICKNESS, key
from observatory.review.figures.style import INK, MUTED, Look, short, small
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.evidence import LEVELS, Criteria
from observatory.review.judge.rejudged import Judged, by_criteria
from observatory.review.judge.verdict import UNKNOWN, Episode, Verdict
from observatory.review.judge.wording import LOST, explained, standing

_DELTAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
_ALPHAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_ASIDE = 0.012
"""Of the axis: how far bars of the first and the last domain stand beside their setting."""
_BAR: dict[str, Any] = {"linewidth": 1.6, "solid_capstyle": "butt"}
CHOSEN: dict[str, Any] = {"color": INK, "linewidth": 0.6, "linestyle": (0, (6, 4))}
_UNSAID: dict[str, dict[str, Any]] = {
    UNKNOWN: {"color": MUTED, "marker": "$?$", "markersize": 4, "linestyle": "none"},
    LOST: {"color": MUTED, "marker": "x", "markersize": 3.5, "linestyle": "none"},
}


@dataclass(frozen=True)
class Setting:
    """A threshold that is varied while the other stays as chosen."""

    name: str
    label: str
    ticks: tuple[float, ...]
    log: bool
    chosen: float
    values: list[float]
    judged: list[dict[str, Judged]]

    @property
    def at(self) -> Array:
        return np.array([self.where(value) for value in self.values])

    @property
    def borders(self) -> Array:
        """Half-way between two values."""
        at = self.at
        return np.concatenate((at[:1], (at[1:] + at[:-1]) / 2, at[-1:]))

    def where(self, value: float) -> float:
        return log10(value) if self.log else value


def settings(logbook: xr.Dataset, criteria: Criteria) -> list[Setting]:
    """Delta is shown at sizes of effect from none to a large one, alpha at the usual error rates."""
    deltas, alphas = sorted({*_DELTAS, criteria.delta}), sorted({*_ALPHAS, criteria.alpha})
    return [
        Setting(
            "delta",
            "delta: Hedges' $g$ above the twins",
            (0, 0.2, 0.4, 0.6, 0.8, 1),
            False,
            criteria.delta,
            deltas,
            by_criteria(logbook, [replace(criteria, delta=delta) for delta in deltas]),
        ),
        Setting(
            "alpha",
            "alpha: error rate (log scale)",
            (0.001, 0.01, 0.1),
            True,
            criteria.alpha,
            alphas,
            by_criteria(logbook, [replace(criteria, alpha=alpha) for alpha in alphas]),
        ),
    ]


def draw_onsets(panel: Axes, axis: TokenAxis, setting: Setting, look: Mapping[str, Look]) -> None:
    """When E of each domain passes its floor; full where the domain emerged, with a bar within which observations."""
    edge = axis.limits
    aside = np.linspace(-1, 1, len(look)) * _ASIDE * np.ptp(setting.at)
    for move, (domain, one) in zip(aside, look.items(), strict=True):
        judged = [found[domain] for found in setting.judged]
        at = axis.at_step([each.crossing if isfinite(each.crossing) else nan for each in judged])
        low = axis.at_step([each.interval.low if isfinite(each.interval.low) else nan for each in judged])
        high = axis.at_step([each.interval.high if isfinite(each.interval.high) else nan for each in judged])
        high = np.where(np.isfinite(low) & ~np.isfinite(high), edge[1], high)
        alpha = min(0.2, 1 / len(look))
        panel.fill_between(setting.at, low, high, color=one.color, alpha=alpha, linewidth=0, label="_interval")
        line: dict[str, Any] = {"color": one.color, "marker": one.marker, "markerfacecolor": "white", "linewidth": 0.9}
        panel.plot(setting.at, at, **line, label=domain)
        spans = [_emerged(each.verdict) for each in judged]
        held = np.array([span is not None for span in spans])
        panel.plot(setting.at[held], at[held], one.marker, color=one.color, label="_emerged", zorder=4)
        for x, span in zip(setting.at + move, spans, strict=True):
            if span is not None:
                after = edge[0] if span.after is None else float(axis.at_step(span.after))
                ends = [after, float(axis.at_step(span.by))]
                panel.plot([x, x], ends, color=to_rgba(one.color, 0.3), **_BAR, label="_censoring")
    drawn = [y for line in panel.lines for y in np.asarray(line.get_ydata(), dtype=float) if isfinite(y)]
    axis.draw_upwards(panel, max(edge[0], min([*drawn, edge[1] - 1]) - 0.1))
    _axis(panel, setting)
    panel.tick_params(labelbottom=False)
    panel.set_title(f"onset, by {setting.name}")


def unsaid_at(setting: Setting) -> list[str]:
    """Why nothing can be said, at the setting nearest to the chosen one of those where that is so."""
    unsaid = [
        (abs(setting.where(value) - setting.where(setting.chosen)), value, found)
        for value, found in zip(setting.values, setting.judged, strict=True)
        if any(standing(one.verdict) == UNKNOWN for one in found.values())
    ]
    if not unsaid:
        return []
    _, value, found = min(unsaid, key=itemgetter(0))
    reasons = explained([one.verdict for one in found.values()], [UNKNOWN])
    return [f"{setting.name} = {value:g}: {reason}" for reason in reasons]


def _emerged(judged: Verdict) -> Episode | None:
    """When it emerged and was not lost again."""
    return judged.episodes[LEVELS[0]][-1] if judged.level in LEVELS else None


def draw_verdicts(panel: Axes, setting: Setting, look: Mapping[str, Look]) -> None:
    """A row a domain, as thick as its level."""
    for row, (domain, one) in enumerate(look.items()):
        said = [standing(found[domain].verdict) for found in setting.judged]
        for level, first, last in _runs(said):
            if level in THICKNESS:
                ends = setting.borders[[first, last + 1]]
                bar: dict[str, Any] = {"color": one.color, "linewidth": THICKNESS[level], "solid_capstyle": "butt"}
                panel.plot(ends, [row, row], **bar, label=f"_{level}")
        for unsaid, mark in _UNSAID.items():
            at = setting.at[[level == unsaid for level in said]]
            if at.size:
                panel.plot(at, np.full(at.size, row), **mark, label=f"_{unsaid}")
    panel.set_label("levels")
    panel.set_ylim(len(look) - 0.4, -0.6)
    panel.set_yticks(range(len(look)), [short(domain) for domain in look])
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.set_title("verdict at the end", size=small(), weight="normal", pad=2)
    _axis(panel, setting)
    panel.set_xlabel(setting.label)


def _runs(said: Sequence[str]) -> list[tuple[str, int, int]]:
    """What is said from which place to which."""
    numbered = groupby(enumerate(said), key=itemgetter(1))
    places = [(level, [place for place, _ in run]) for level, run in numbered]
    return [(level, run[0], run[-1]) for level, run in places]


def _axis(panel: Axes, setting: Setting) -> None:
    panel.axvline(setting.where(setting.chosen), **CHOSEN, label="_chosen", zorder=0)
    panel.set_xticks([setting.where(tick) for tick in setting.ticks], [f"{tick:g}" for tick in setting.ticks])
    room = 0.03 * float(np.ptp(setting.at))
    panel.set_xlim(setting.at[0] - room, setting.at[-1] + room)


def settings_key() -> dict[str, Artist]:
    line: dict[str, Any] = {"color": INK, "marker": "o", "linewidth": 0.9}
    return {
        "E passes its floor": Line2D([], [], **line, markerfacecolor="white"),
        "verdict: emerged": Line2D([], [], **{**line, "linewidth": 0}),
        "95% over stimuli": Patch(color=INK, alpha=0.2, linewidth=0),
        "emerged within": Line2D([], [], color=to_rgba(INK, 0.3), **_BAR),
        **{level: mark for level, mark in key().items() if level in LEVELS},
        **{name: Line2D([], [], **mark) for name, mark in _UNSAID.items()},
    }
