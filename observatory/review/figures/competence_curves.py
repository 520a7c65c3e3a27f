"""Figure: what the model can do in each domain, over training, beside untrained twins and chance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.review.effects.competence import CHANCE, MEASURES, competence, competence_steps
from observatory.review.figures.style import INK, PALE, SCREEN, Look, Sheet, legend, looks, style
from observatory.review.figures.token_axis import TokenAxis, between_gaps

_LABELS = {
    "margin": "margin of tasks (nats)",
    "accuracy": "both prompts answered right\n(share of pairs)",
    "loss": "held-out loss (nats/token)",
}

_LEAST = 2.0
"""Inches across for a panel with its label."""


def competence_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """A panel a measure, a line a domain; the means of a domain's tasks, or of its texts."""
    found = competence(logbook)
    axis = TokenAxis.of(competence_steps(logbook))
    domains = [str(domain) for domain in found["domain"].values]
    look = looks(domains)
    across = len(MEASURES) if sheet.across(len(MEASURES), _LEAST) == len(MEASURES) else 1
    height = 2.2 if across > 1 else 1.6 * len(MEASURES)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        panels = figure.subplots(len(MEASURES) // across, across, sharex=True, squeeze=False)
        for panel, measure in zip(panels.flat, MEASURES, strict=True):
            _panel(panel, axis, found, measure, look)
            panel.set_ylabel(_LABELS[measure])
            axis.draw_missed(panel)
        for panel in panels[-1]:
            axis.draw(panel)
        marks: dict[str, Artist] = {
            domain: Line2D([], [], color=look[domain].color, marker=look[domain].marker) for domain in domains
        }
        above = legend(figure, "outside upper left", marks)
        below = legend(figure, "outside lower left", _key(found, axis, look[domains[0]]))
        figure.set_figheight(height + above + below)
    return figure


def _panel(panel: Axes, axis: TokenAxis, found: xr.Dataset, measure: str, look: Mapping[str, Look]) -> None:
    at, name = axis.positions, f"domain_{measure}"
    if f"{name}_twins_low" in found and np.isfinite(found[f"{name}_twins_low"]).any():
        least, most = float(found[f"{name}_twins_low"].min()), float(found[f"{name}_twins_high"].max())
        least, most = (max(least, 0.0), min(most, 1.0)) if measure == "accuracy" else (least, most)
        panel.axhspan(least, most, color=PALE, linewidth=0, zorder=0, label="_twins")
    if measure in CHANCE:
        panel.axhline(CHANCE[measure], color=INK, linewidth=0.7, linestyle=":", zorder=1, label="_chance")
    for domain, drawn in look.items():
        here = found.sel(domain=domain)
        values, low, high = (here[f"{name}{end}"].values for end in ("", "_low", "_high"))
        alpha = min(0.2, 1 / len(look))
        panel.fill_between(
            at, low, high, color=drawn.color, alpha=alpha, linewidth=0, label="_interval", rasterized=axis.dense
        )
        alone = between_gaps(values)
        panel.vlines(at[alone], low[alone], high[alone], color=drawn.color, alpha=0.4, linewidth=2)
        panel.plot(
            at,
            values,
            color=drawn.color,
            marker=drawn.marker,
            markevery=axis.marked(values),
            markerfacecolor="white",
            label="_domain",
        )
    if measure == "accuracy":
        panel.set_ylim(-0.02, 1.02)


def _key(found: xr.Dataset, axis: TokenAxis, look: Look) -> dict[str, Artist]:
    made: dict[str, Artist] = {"95% over templates, or texts": Patch(color=look.color, alpha=0.2, linewidth=0)}
    if "domain_margin_twins_low" in found:
        made["untrained twins, 95%"] = Patch(color=PALE, linewidth=0)
    made["guessing at each prompt anew"] = Line2D([], [], color=INK, linewidth=0.7, linestyle=":")
    return {**made, **axis.key()}
