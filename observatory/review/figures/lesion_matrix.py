"""Figure: what the lesion of each domain's region does for every domain, at a few steps."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.review.effects.lesion_effects import MEASURES, LesionCriteria, lesion_effects, lesion_steps
from observatory.review.figures.style import INK, MUTED, PALE, SCREEN, Sheet, breadth, legend, short, small, style
from observatory.review.figures.token_axis import TokenAxis, count_of, flag_note

_MOST = 5
_LEAST = 0.75
"""Inches across for a matrix, under the number of tokens."""
_APART = 0.1
_BAR = 0.8
_COLORS = "RdBu_r"
LABELS = {
    "margin": "effect on the margins\nof tasks (nats)",
    "loss": "effect on held-out\nloss (nats/token)",
}


def lesion_matrix(
    logbook: xr.Dataset, criteria: LesionCriteria | None = None, name: str = "lesions", sheet: Sheet = SCREEN
) -> Figure:
    """A row a measure and a column a step, up to five of those at which something is known, the last among them."""
    found = lesion_effects(logbook, criteria, name)
    domains, axis = [str(domain) for domain in found["domain"].values], TokenAxis.of(lesion_steps(logbook, name))
    beside = 0.35 + 0.0107 * sheet.small * max(breadth(short(domain)) for domain in domains)
    room = sheet.width - beside - (_BAR if sheet.bar == "right" else 0.1)
    least = 0.0175 * sheet.small * len(domains)
    shown = _shown(found, max(1, min(_MOST, int(room / max(least + _APART, _LEAST)))))
    found = found.isel(step=shown)
    measures = [measure for measure in MEASURES if np.isfinite(found["effect"].sel(measure=measure)).any()]
    measures = measures or list(MEASURES)[:1]
    side = max(least, min(1.35, room / len(shown) - _APART))
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout=ConstrainedLayoutEngine(compress=True))
        panels = figure.subplots(len(measures), len(shown), squeeze=False)
        for row, measure in zip(panels, measures, strict=True):
            lowest = measure == measures[-1]
            here = found.sel(measure=measure)
            effect = here["effect"].sel(against="matched").transpose("step", "lesioned", "domain").values
            largest = float(np.abs(effect[np.isfinite(effect)]).max(initial=0)) or 1.0
            norm = TwoSlopeNorm(0.0, -largest, largest)
            for place, panel in enumerate(row):
                _matrix(panel, effect[place], here["counts"].transpose("step", ...).values[place], norm)
                _names(panel, domains, left=not place, below=lowest)
            row[0].set_ylabel("region of")
            figure.colorbar(
                ScalarMappable(norm, _COLORS),
                ax=list(row),
                label=LABELS[measure],
                location=sheet.bar,
                aspect=12 if sheet.bar == "right" else 25,
                pad=0.02,
            )
        titles = [_when(axis, place) for place in shown]
        for panel, title in zip(panels[0], titles, strict=True):
            panel.set_title(title, fontsize=sheet.text)
        for panel in panels[-1]:
            panel.set_xlabel("felt by")
        below = legend(
            figure, "outside lower left", _key(found), [*_said(found, criteria or LesionCriteria()), *flag_note(titles)]
        )
        bars = 0.0 if sheet.bar == "right" else 0.6 * len(measures)
        figure.set_figheight((side + 0.3) * len(measures) + beside + 0.5 + bars + below)
    return figure


def _shown(found: xr.Dataset, most: int) -> list[int]:
    """Evenly among the steps at which an effect is known; where there is none, the last."""
    known = np.isfinite(found["effect"].sel(against="matched").transpose("step", ...).values)
    places = np.flatnonzero(known.reshape(len(known), -1).any(1))
    if not places.size:
        return [found.sizes["step"] - 1]
    at = np.linspace(places.size - 1, 0, min(places.size, most))  # the last, if there is room for one alone
    chosen = np.unique(np.round(at).astype(int))
    return [int(place) for place in places[chosen]]


def _matrix(panel: Axes, effect: np.ndarray, counts: np.ndarray, norm: TwoSlopeNorm) -> None:
    panel.imshow(np.ma.masked_invalid(effect), norm=norm, cmap=_COLORS, interpolation="none")
    panel.set_facecolor(PALE)
    count = len(effect)
    for place in np.flatnonzero(~np.isfinite(effect).any(1)).tolist():
        panel.axhspan(place - 0.5, place + 0.5, facecolor=PALE, edgecolor="white", hatch="////", linewidth=0)
    rows, columns = np.nonzero(counts)
    panel.plot(columns, rows, "o", color="white", markeredgecolor=INK, markersize=4, linestyle="none", label="_counts")
    panel.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
    for spine in panel.spines.values():
        spine.set(visible=True, color=INK, linewidth=0.5)


def _names(panel: Axes, domains: list[str], left: bool, below: bool) -> None:
    names = [short(domain) for domain in domains]
    places = range(len(domains))
    panel.set_xticks(places, names if below else [], rotation=90)
    panel.set_yticks(places, names if left else [])
    panel.tick_params(length=0, labelsize=small())


def _when(axis: TokenAxis, place: int) -> str:
    count = count_of(int(axis.counts[place]))
    return f"{f'{count} tokens' if axis.label == 'training tokens' else f'step {count}'}{axis.flag(place)}"


def _key(found: xr.Dataset) -> dict[str, Artist]:
    made: dict[str, Artist] = {}
    if found["counts"].any():
        made["counts"] = Line2D([], [], color="white", marker="o", markeredgecolor=INK, markersize=4, linewidth=0)
    if (found["unsaid"] != "").any():
        made["can't say"] = Patch(facecolor=PALE, edgecolor=MUTED, hatch="////", linewidth=0)
    return made


def _said(found: xr.Dataset, criteria: LesionCriteria) -> list[str]:
    if found["counts"].any():
        none = ""
    elif found["beyond_masks"].any():
        none = "No effect counts. "
    elif np.isfinite(found["p"]).any():
        none = "The lesion of no region can be told from those of random units. "
    else:
        none = "No domain has a region with random masks to hold it against. "
    return [
        f"{none}Mean of random masks in the same layers less the region; red where the region's lesion hurts more. An "
        f"effect counts that is surely above {criteria.margin:g} nats, or {criteria.loss:g} nats/token, and beyond "
        f"what random masks do (alpha {criteria.alpha:g} over a matrix)."
    ]
