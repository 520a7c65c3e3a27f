"""Figure: how each domain stands at the end of each run, a column a run, those of one size side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.review.comparison.compare import Comparison
from observatory.review.comparison.model_size import size_words
from observatory.review.comparison.run_names import run_names
from observatory.review.figures.style import INK, MUTED, Look, legend, looks, short, style
from observatory.review.judge.evidence import LEVELS
from observatory.review.judge.verdict import UNKNOWN
from observatory.review.judge.wording import ABSENT, LOST, standing

_DOTS: Mapping[str, float] = dict(zip(LEVELS, (3.0, 5.5, 8.0), strict=True))
"""The area grows with the level; in points across."""
_NAMED = 24
"""So many runs have room for their names."""


def comparison_levels(found: Comparison) -> Figure:
    """The larger the dot, the more is shown of the domain's region."""
    look, groups = looks(found.domains), found.sizes.grouped()
    columns = [name for names in groups.values() for name in names]
    names = dict(zip(columns, run_names(columns), strict=True))
    wide = max(3.5, 1.2 + min(0.3, 9.0 / len(columns)) * len(columns))
    height = 0.26 * len(found.domains) + 0.3
    with style():
        figure = Figure(figsize=(wide, height), layout="constrained")
        panel = figure.subplots()
        for x, name in enumerate(columns):
            judged = {verdict.domain: verdict for verdict in found.runs[name].verdicts}
            for y, domain in enumerate(found.domains):
                if domain in judged:
                    _dot(panel, x, y, standing(judged[domain]), look[domain])
        _names(panel, list(found.domains), [names[name] for name in columns])
        at = 0
        for size, members in groups.items() if len(groups) > 1 else ():
            panel.text(at - 0.4, -0.65, size_words(size), size=7, va="bottom", color=INK)
            at += len(members)
            if at < len(columns):
                panel.axvline(at - 0.5, color=MUTED, linewidth=0.6)
        panel.set_title("verdict at the end of each run", pad=16 if len(groups) > 1 else 6)
        above = legend(figure, "outside upper left", _key())
        said = [f"Sizes are {found.sizes.measure}."] if len(groups) > 1 else []
        below = legend(figure, "outside lower left", {}, said)
        lettered = 0.075 * max(map(len, names.values())) if len(columns) <= _NAMED else 0.2
        figure.set_figheight(height + above + below + lettered + 0.5)
    return figure


def _dot(panel: Axes, x: int, y: int, stands: str, look: Look) -> None:
    panel.plot(x, y, **_mark(stands, look.color), label=f"_{stands}")


def _mark(stands: str, color: str) -> dict[str, Any]:
    if stands in _DOTS:
        return {"marker": "o", "markersize": _DOTS[stands], "color": color, "markeredgewidth": 0, "linestyle": ""}
    shape = {LOST: "x", ABSENT: "_", UNKNOWN: "$?$"}[stands]
    drawn = color if stands == LOST else MUTED
    return {"marker": shape, "markersize": 5, "color": drawn, "linestyle": ""}


def _names(panel: Axes, domains: list[str], runs: list[str]) -> None:
    panel.set_xlim(-0.6, len(runs) - 0.4)
    panel.set_ylim(len(domains) - 0.5, -0.5)
    panel.set_yticks(range(len(domains)), [short(domain) for domain in domains])
    if len(runs) <= _NAMED:
        panel.set_xticks(range(len(runs)), runs, rotation=90, size=7)
    else:
        panel.set_xticks([])
        panel.set_xlabel(f"{len(runs)} runs, in the order they were given within each size")
    panel.tick_params(length=0)
    panel.spines["left"].set_visible(False)
    panel.spines["bottom"].set_visible(False)


def _key() -> dict[str, Artist]:
    return {stands: Line2D([], [], **_mark(stands, INK)) for stands in (*LEVELS, LOST, ABSENT, UNKNOWN)}
