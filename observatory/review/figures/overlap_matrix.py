"""Figure: the overlap of every two tasks, domain by domain."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike

from observatory.observation import Array
from observatory.review.figures.style import INK, MUTED, PALE, legend, looks, plain, short, style
from observatory.review.sharing.overlap import Tasks, present, refuse_misfit

_ROW = 0.125
"""Inches."""
_NAMES = 1.75
"""Inches for the names of tasks, beside and below."""
_LETTERS = 30
"""Of a task's name."""
_MARK = 5.0
"""Points from the edge to the mark of a format."""


def overlap_matrix(matrix: ArrayLike, tasks: Tasks) -> Figure:
    """Squares along the diagonal are domains; dark off them is overlap across domains, and format may be the reason.

    The scale is a square root, so that the small overlaps across domains can be told from none.
    """
    values = np.array(matrix, dtype=float)
    refuse_misfit(values, tasks)
    np.fill_diagonal(values, np.nan)
    order = _order(tasks)
    values, tasks = values[np.ix_(order, order)], _ordered(tasks, order)
    gone = ~present(values)
    count = len(order)
    norm = PowerNorm(0.5, 0.0, float(np.nanmax(values, initial=0.0)) or 1.0)
    colors = mpl.colormaps["magma_r"]
    side = max(_ROW * count, 2.4)
    with style():
        entries = _entries(tasks, bool(gone.any()))
        figure = Figure(
            figsize=(side + _NAMES + 1.1, side + _NAMES + 0.5), layout=ConstrainedLayoutEngine(h_pad=0.1, compress=True)
        )
        figure.set_figheight(figure.get_figheight() + legend(figure, "outside lower left", entries))
        panel = figure.add_subplot()
        panel.imshow(np.ma.masked_invalid(values), norm=norm, cmap=colors, interpolation="none")
        panel.set_facecolor("white")
        _missing(panel, gone)
        _domains(panel, tasks)
        _names(panel, tasks, side / count)
        figure.colorbar(
            ScalarMappable(norm, colors), ax=panel, label="overlap (square-root scale)", shrink=0.5, aspect=18, pad=0.02
        )
    return figure


def _order(tasks: Tasks) -> Array:
    """Domain by domain as they come, in each format by format, in each as they come."""
    domains, formats = list(dict.fromkeys(tasks.domains)), list(dict.fromkeys(tasks.formats))
    forms = [formats.index(form) for form in tasks.formats] or [0] * len(tasks.names)
    return np.lexsort((forms, [domains.index(domain) for domain in tasks.domains]))


def _ordered(tasks: Tasks, order: Array) -> Tasks:
    return Tasks(
        *([labels[i] for i in order] if labels else () for labels in (tasks.names, tasks.domains, tasks.formats))
    )


def _missing(panel: Axes, gone: Array) -> None:
    """Rows and columns of tasks without a region, hatched; the diagonal, on which each overlaps itself, pale."""
    count = len(gone)
    for place in np.flatnonzero(gone).tolist():
        for corner, width, height in (((place - 0.5, -0.5), 1, count), ((-0.5, place - 0.5), count, 1)):
            panel.add_patch(Rectangle(corner, width, height, facecolor=PALE, edgecolor="white", hatch="////", lw=0))
    for place in np.flatnonzero(~gone).tolist():
        panel.add_patch(Rectangle((place - 0.5, place - 0.5), 1, 1, facecolor=PALE, lw=0))


def _domains(panel: Axes, tasks: Tasks) -> None:
    count = len(tasks.names)
    middles, names = [], []
    for domain in dict.fromkeys(tasks.domains):
        places = [place for place, own in enumerate(tasks.domains) if own == domain]
        first, last = places[0] - 0.5, places[-1] + 0.5
        panel.add_patch(Rectangle((first, first), last - first, last - first, fill=False, edgecolor=INK, lw=1.1))
        for line in (panel.axhline, panel.axvline):
            if last < count - 0.5:
                line(last, color=INK, lw=0.5)
        middles.append((first + last) / 2)
        names.append(short(domain, max(4, round(1.7 * len(places)))))
    top = panel.secondary_xaxis("top")
    top.set_xticks(middles, names, weight="bold", fontsize=8)
    top.tick_params(length=0, pad=3)
    top.spines["top"].set_visible(False)


def _names(panel: Axes, tasks: Tasks, row: float) -> None:
    count = len(tasks.names)
    names = [short(name.replace("_", " "), _LETTERS) for name in tasks.names]
    size = min(7.0, 60 * row)
    panel.set_xticks(range(count), names, rotation=90, fontsize=size)
    panel.set_yticks(range(count), names, fontsize=size)
    panel.tick_params(length=0, pad=2 * _MARK if tasks.formats else 3)
    for spine in panel.spines.values():
        spine.set(visible=True, color=INK, linewidth=0.5)
    look = looks(tuple(dict.fromkeys(tasks.formats)))
    inches = panel.figure.dpi_scale_trans
    beside = panel.get_yaxis_transform() + ScaledTranslation(-_MARK / 72, 0, inches)
    under = panel.get_xaxis_transform() + ScaledTranslation(0, -_MARK / 72, inches)
    for place, form in enumerate(tasks.formats):
        for x, y, where in ((0, place, beside), (place, 0, under)):
            panel.plot(x, y, look[form].marker, color=look[form].color, ms=3.4, clip_on=False, transform=where)
    panel.set_xlim(-0.5, count - 0.5)
    panel.set_ylim(count - 0.5, -0.5)


def _entries(tasks: Tasks, gone: bool) -> dict[str, Artist]:
    """What the marks of formats mean, and the hatching."""
    made: dict[str, Artist] = {}
    for form, look in looks(tuple(dict.fromkeys(tasks.formats))).items():
        made[plain(form)] = Line2D([], [], color=look.color, marker=look.marker, lw=0, markersize=4)
    if gone:
        made["no region"] = Patch(facecolor=PALE, edgecolor=MUTED, hatch="////", lw=0)
    return made


def write_overlap_matrix(matrix: ArrayLike, tasks: Tasks, folder: Path) -> list[Path]:
    """As overlap.png and overlap.svg in a folder, which is made if it is missing."""
    figure = overlap_matrix(matrix, tasks)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "overlap.png", folder / "overlap.svg"]
    for path in written:
        with style():  # what an SVG makes of text is settled when it is written
            figure.savefig(path)
    return written
