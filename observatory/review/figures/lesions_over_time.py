"""Figure: what the lesion of each region costs its own domain and the others, over training."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.review.effects.lesion_effects import MEASURES, LesionCriteria, lesion_effects, lesion_steps
from observatory.review.effects.lesion_table import UNITS
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
    wrapped,
)
from observatory.review.figures.token_axis import TokenAxis, between_gaps

_LABELS = {"margin": "margin", "loss": "held-out loss"}
_LETTERS = 24
"""Of a domain's name."""


def lesions_over_time(
    logbook: xr.Dataset, criteria: LesionCriteria | None = None, name: str = "lesions", sheet: Sheet = SCREEN
) -> Figure:
    """A row a domain, a column a measure; grey is where random masks in the place of the region would lie."""
    found = lesion_effects(logbook, criteria, name)
    axis = TokenAxis.of(lesion_steps(logbook, name))
    domains = [str(domain) for domain in found["lesioned"].values]
    look = looks(domains)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        panels = figure.subplots(len(domains), len(MEASURES), sharex=True, sharey="col", squeeze=False)
        for domain, row in zip(domains, panels, strict=True):
            for measure, panel in zip(MEASURES, row, strict=True):
                _effects(panel, axis, found.sel(measure=measure, lesioned=domain), look[domain], 0.38 * sheet.width)
            row[0].set_title(short(domain, _LETTERS), color=look[domain].color)
        for measure, column in zip(MEASURES, panels.T, strict=True):
            least = 1.2 * found.attrs[measure]
            low, high = column[0].get_ylim()
            column[0].set_ylim(min(low, -least), max(high, least))
            for panel in column:
                panel.set_ylabel(f"{_LABELS[measure]}\n({UNITS[measure]})")
            axis.draw(column[-1])
        for panel in panels[0]:
            axis.draw_missed(panel)
        entries = {**_key(found, look[domains[0]]), **axis.key()}
        below = legend(figure, "outside lower left", entries, _said(found))
        figure.set_figheight(1.05 * len(domains) + 0.5 + below)
    return figure


def _effects(panel: Axes, axis: TokenAxis, here: xr.Dataset, look: Look, width: float) -> None:
    """`width` is that of the panel, about, in inches."""
    at, domain = axis.positions, str(here["lesioned"].item())
    matched = here.sel(against="matched")
    band = here["of_masks"].sel(domain=domain).values
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    _band(panel, axis, -band, band, "#CFCFCF", 1.0, "_masks")
    for name, color, style_ in (("others", INK, "--"), ("own", look.color, "-")):
        values, low, high = (matched[f"{name}{end}"].transpose("step").values for end in ("", "_low", "_high"))
        _band(panel, axis, low, high, color, 0.12 if name == "others" else 0.3, f"_{name} interval")
        marker = look.marker if name == "own" else "."
        panel.plot(
            at,
            values,
            style_,
            color=color,
            marker=marker,
            markerfacecolor="white",
            markevery=axis.marked(values),
            linewidth=1.1,
            markersize=3.8,
            label=f"_{name}",
        )
    counts = here["counts"].sel(domain=domain).values
    own = matched["own"].values
    counted = [place for place in axis.marked(own) if counts[place]]
    panel.plot(at[counted], own[counted], look.marker, color=look.color, markersize=3.8, zorder=4, label="_counts")
    if not np.isfinite(own).any():
        panel.text(
            0.5,
            0.75,
            wrapped(_why(here), letters(width)),
            transform=panel.transAxes,
            ha="center",
            va="center",
            fontsize=small(),
            color=MUTED,
        )


def _band(
    panel: Axes, axis: TokenAxis, low: np.ndarray, high: np.ndarray, color: str, alpha: float, label: str
) -> None:
    """Observations that stand alone, which no area shows, have a bar."""
    known, at = np.isfinite(low), axis.positions
    look: dict[str, Any] = {"color": color, "alpha": alpha, "linewidth": 0, "zorder": 0.5, "rasterized": axis.dense}
    panel.fill_between(at, low, high, **look, label=label)
    alone = between_gaps(np.where(known, low, np.nan))
    wide = 6 if label == "_masks" else 2
    panel.vlines(at[alone], low[alone], high[alone], color=color, alpha=min(1, 2 * alpha), linewidth=wide, zorder=0.6)


def _why(here: xr.Dataset) -> str:
    reasons = {str(reason) for reason in here["unsaid"].values} - {""}
    return "can't say" if len(reasons) != 1 else f"can't say: {reasons.pop()}".replace("this step", "any step")


def _key(found: xr.Dataset, look: Look) -> dict[str, Artist]:
    made: dict[str, Artist] = {
        "on its own domain, 95%": Line2D([], [], color=look.color, marker=look.marker, markerfacecolor="white"),
        "on the others, mean, 95%": Line2D([], [], color=INK, linestyle="--", marker=".", markerfacecolor="white"),
        "random masks, 95%": Patch(color="#CFCFCF", linewidth=0),
    }
    if found["counts"].any():
        made["counts"] = Line2D([], [], color=INK, marker="o", linewidth=0)
    return made


def _said(found: xr.Dataset) -> list[str]:
    own = [bool(found["counts"].sel(lesioned=name, domain=name).any()) for name in found["lesioned"].values]
    none = "At no step does a region's effect on its own domain count. " if not any(own) else ""
    return [
        f"{none}Mean of random masks in the same layers less the region: above 0 the region's lesion hurts more. Grey: "
        "where one more random mask would lie. Intervals are over templates, or texts, and over masks."
    ]
