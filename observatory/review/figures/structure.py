"""Figure: do tasks share units by domain or by format, over training, beside untrained twins and relabellings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from observatory.observation import Array
from observatory.review.figures.style import INK, MUTED, PALE, SCREEN, Sheet, legend, looks, style
from observatory.review.figures.token_axis import TokenAxis, between_gaps
from observatory.review.judge.verdict import UNKNOWN
from observatory.review.sharing.circuit_record import Choice, looked
from observatory.review.sharing.circuits import CircuitReport, circuits
from observatory.review.sharing.relabelling import Chance
from observatory.review.sharing.sharing_verdict import BY_DOMAIN, BY_FORMAT
from observatory.review.sharing.task_sharing import Clustering, Effect, Sharing

_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_PANEL = 2.5
"""Inches across for a panel with its share of the labels."""
_POWERS = (0.01, 0.1, 1, 10, 100, 1000)
_WIDE = 20
"""The largest over the smallest of an axis, from which on only powers of ten have room."""
_P_TICKS = (1, 0.1, 0.01, 0.001, 0.0001)
_DOMAIN: dict[str, Any] = {"color": INK, "marker": "o", "linestyle": "-"}
_FORMAT: dict[str, Any] = {"color": "#8C6D31", "marker": "s", "linestyle": (0, (4, 1.5))}
_ALPHA: dict[str, Any] = {"color": INK, "linewidth": 0.6, "linestyle": (0, (6, 4))}
_LEAST: dict[str, Any] = {"color": MUTED, "linewidth": 0.7, "linestyle": ":"}
_UNKNOWN: dict[str, Any] = {"color": MUTED, "marker": "$?$", "markersize": 4, "linestyle": "none"}


@dataclass(frozen=True)
class _Effect:
    """One of the upper panels."""

    name: str
    title: str
    look: dict[str, Any]
    verdict: str


_EFFECTS = (
    _Effect("index", "domain index", _DOMAIN, BY_DOMAIN),
    _Effect("format_effect", "effect of format", _FORMAT, BY_FORMAT),
)


def structure(logbook: xr.Dataset, choice: Choice | None = None, sheet: Sheet = SCREEN) -> Figure:
    """Six panels: both effects, how likely by chance, clusters, how much there is to compare, the published ratio."""
    report = circuits(logbook, choice, sweep=False)
    axis = TokenAxis.of(looked(logbook))
    found = [report.sharing(step) for step in report.steps]
    across = sheet.across(2, _PANEL)
    height = 4.6 if across > 1 else 7.2
    with style(sheet):
        figure = Figure(figsize=(sheet.width, height), layout="constrained")
        panels = figure.subplots(6 // across, across, sharex=True, squeeze=False)
        effect, by_format, chance, clustered, done, ratio = panels.flat
        for panel, one in zip((effect, by_format), _EFFECTS, strict=True):
            _effect(panel, axis, report, found, one)
            axis.draw_missed(panel)
        _chance(chance, axis, found, report.choice.alpha)
        _clusters(clustered, axis, found)
        _done(done, axis, report)
        _ratio(ratio, axis, found)
        for panel in panels[-1]:
            axis.draw(panel)
        look = looks(report.record.domains)
        marks: dict[str, Artist] = {
            domain: Patch(color=one.color, alpha=0.8, linewidth=0) for domain, one in look.items()
        }
        above = legend(figure, "outside upper left", marks)
        below = legend(figure, "outside lower left", _key(report, axis), [_said(report)])
        figure.set_figheight(height + above + below)
    return figure


def _effect(panel: Axes, axis: TokenAxis, report: CircuitReport, found: list[Sharing | None], one: _Effect) -> None:
    """Markers are full at the steps whose verdict is this; question marks below those that allow none."""
    effects = [sharing.effects[one.name] if sharing else None for sharing in found]
    values = _values(effects, lambda effect: effect.value)
    _band(panel, axis, _values(effects, lambda e: e.band()[0]), _values(effects, lambda e: e.band()[1]), PALE, "_twins")
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    _line(panel, axis, values, one.look, one.name)
    said = np.array([step.verdict.said for step in report.steps])
    full = [place for place in axis.marked(values) if said[place] == one.verdict]
    panel.plot(
        axis.positions[full], values[full], one.look["marker"], color=one.look["color"], label="_holds", zorder=4
    )
    at = axis.positions[said == UNKNOWN]
    if at.size:
        edge = panel.get_xaxis_transform()
        panel.plot(at, np.full(at.size, 0.06), **_UNKNOWN, transform=edge, label="_unknown")
    if not np.isfinite(values).any():
        panel.set_ylim(-0.1, 0.1)
    panel.set_title(one.title)
    panel.set_ylabel("overlap above chance")


def _chance(panel: Axes, axis: TokenAxis, found: list[Sharing | None], alpha: float) -> None:
    for one in _EFFECTS:
        chances = [_dealt(sharing.effects[one.name]) if sharing else None for sharing in found]
        _line(panel, axis, _values(chances, lambda chance: chance.p), one.look, one.name)
        least = _values(chances, lambda chance: chance.least)
        panel.plot(axis.positions, least, **{**_LEAST, "color": one.look["color"]}, label="_least")
    panel.axhline(alpha, **_ALPHA, label="_alpha")
    panel.set_yscale("log")
    panel.set_ylim(min(0.6 * panel.get_ylim()[0], alpha / 2), 1.4)
    low = panel.get_ylim()[0]
    panel.set_yticks([tick for tick in _P_TICKS if tick >= low], [f"{tick:g}" for tick in _P_TICKS if tick >= low])
    panel.set_yticks([], minor=True)
    panel.set_title("labels dealt anew")
    panel.set_ylabel("p (log scale)")


def _dealt(effect: Effect) -> Chance | None:
    """None where there was nothing to deal, such as the formats of kinds that are done in one format."""
    return effect.chance if effect.chance and effect.chance.least < 1 else None


def _clusters(panel: Axes, axis: TokenAxis, found: list[Sharing | None]) -> None:
    kinds: dict[str, tuple[dict[str, Any], list[Clustering | None]]] = {
        "domains": (_DOMAIN, [sharing.domains if sharing else None for sharing in found]),
        "formats": (_FORMAT, [sharing.formats if sharing else None for sharing in found]),
    }
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    for name, (look, ones) in kinds.items():
        swept = [one if one and one.swept else None for one in ones]
        low, high = _values(swept, lambda one: one.swept[0]), _values(swept, lambda one: one.swept[-1])
        _band(panel, axis, low, high, look["color"], "_swept", 0.15)
        valid = [one if one and one.found == one.clusters else None for one in ones]
        _line(panel, axis, _values(valid, lambda one: one.agreement.value), look, name)
    panel.set_ylim(min(-0.2, panel.get_ylim()[0]), 1.05)
    panel.set_title("clusters of tasks")
    panel.set_ylabel("adjusted Rand index")


def _done(panel: Axes, axis: TokenAxis, report: CircuitReport) -> None:
    """Stacked, the first domain lowest; up to the line all would be done."""
    below = np.zeros(len(report.steps))
    for domain, look in looks(report.record.domains).items():
        above = below + [step.domains[domain].done for step in report.steps]
        panel.stairs(above, axis.edges, baseline=below, color=look.color, fill=True, alpha=0.8, label=domain)
        below = above
    asked = len(report.record.tasks.names)
    panel.axhline(asked, **_LEAST)
    panel.set_ylim(0, 1.08 * asked)
    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.set_title("tasks that the model does")
    panel.set_ylabel("tasks, stacked")


def _ratio(panel: Axes, axis: TokenAxis, found: list[Sharing | None]) -> None:
    ratios = [sharing.ratio if sharing else None for sharing in found]
    values = _values(ratios, lambda ratio: ratio.value)
    values = np.where(values > 0, values, np.nan)
    panel.set_yscale("log")
    low, high = _values(ratios, lambda ratio: ratio.band()[0]), _values(ratios, lambda ratio: ratio.band()[1])
    _band(panel, axis, np.maximum(low, _TICKS[0]), high, PALE, "_twins")
    panel.axhline(1, color=MUTED, linewidth=0.8, zorder=1)
    _line(panel, axis, values, _DOMAIN, "ratio")
    known = values[np.isfinite(values)]
    bottom, top = 0.7 * min([0.7, *known]), 1.4 * max([1.5, *known])
    ticks = [tick for tick in (_TICKS if top < _WIDE * bottom else _POWERS) if bottom <= tick <= top]
    panel.set_ylim(bottom, top)
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_yticks([], minor=True)
    panel.set_title("the published ratio, blind to format")
    panel.set_ylabel("within / across\n(log scale)")


def _line(panel: Axes, axis: TokenAxis, values: Array, look: dict[str, Any], label: str) -> None:
    marked = axis.marked(values)
    panel.plot(axis.positions, values, **look, markerfacecolor="white", markevery=marked, label=label, zorder=3)


def _band(
    panel: Axes, axis: TokenAxis, low: Array, high: Array, color: str, label: str, alpha: float | None = None
) -> None:
    """A bar stands for an observation between two without a value, where no band is."""
    look: dict[str, Any] = {"color": color, "alpha": alpha, "zorder": 0}
    panel.fill_between(axis.positions, low, high, **look, linewidth=0, label=label, rasterized=axis.dense)
    alone = between_gaps(low)
    panel.vlines(axis.positions[alone], low[alone], high[alone], **look, linewidth=5)


def _values(of: list[Any], value: Callable[[Any], float]) -> Array:
    """Missing (NaN) where there is none."""
    return np.array([np.nan if one is None else value(one) for one in of])


def _key(report: CircuitReport, axis: TokenAxis) -> dict[str, Artist]:
    made: dict[str, Artist] = {
        "of domains": Line2D([], [], **_DOMAIN, markerfacecolor="white"),
        "of formats": Line2D([], [], **_FORMAT, markerfacecolor="white"),
        "verdict: shared by it": Line2D([], [], color=INK, marker="o", linewidth=0),
        "verdict: can't say": Line2D([], [], **_UNKNOWN),
        "untrained twins, 95%": Patch(color=PALE, linewidth=0),
        "clustered in other ways": Patch(color=INK, alpha=0.15, linewidth=0),
        f"alpha = {report.choice.alpha:g}": Line2D([], [], **_ALPHA),
        "least p possible; all tasks asked": Line2D([], [], **_LEAST),
    }
    return {**made, **axis.key()}


def _said(report: CircuitReport) -> str:
    """The verdict of the last step."""
    step, choice = report.steps[-1], report.choice
    chosen = f"Circuits: {choice.share:g} of the {choice.space} units."
    return f"{chosen} Step {step.step}: {step.verdict.said}; {'; '.join(step.verdict.reasons)}"
