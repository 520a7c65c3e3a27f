"""Figure: the overlap of every two tasks, at steps spread over training and on untrained twins."""

from __future__ import annotations

from math import ceil
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from observatory.observation import Array
from observatory.record.console import human
from observatory.review.figures.style import INK, MUTED, PALE, SCREEN, Sheet, legend, looks, plain, short, style
from observatory.review.figures.token_axis import TokenAxis, flag_note
from observatory.review.sharing.circuit_record import Choice, circuit_record, looked
from observatory.review.sharing.overlap import Tasks, present

_MOST = 5
_SIDE = 1.95
"""Inches of a matrix, at most."""
_LEAST = 1.3
_NAMES = 0.75
"""Inches for the names of domains."""
_BAR = 0.6


def overlaps(logbook: xr.Dataset, choice: Choice | None = None, sheet: Sheet = SCREEN) -> Figure:
    """A panel a step, from the first with two tasks done; formats are marked beside, and order each domain's tasks.

    The mean of the twins is shown for the tasks done at the last step. The scale is a square root.
    """
    choice = choice or Choice()
    record, axis = circuit_record(logbook, choice), TokenAxis.of(looked(logbook))
    done, share = record.done(choice.alpha), record.place(choice.share)
    shown: dict[str, Array] = {}
    told = np.flatnonzero(done.sum(1) > 1)  # before two tasks are done there is nothing to show
    told = told if told.size else np.arange(len(done))
    for place in told[spread(axis.positions[told])]:
        shown[_title(axis, place)] = record.overlaps(place, share, done[place])[0].corrected
    if len(record.twins):
        shown["untrained twins"] = record.overlaps(-1, share, done[-1])[1].corrected.mean(0)
    order = _order(record.tasks)
    values = {title: _off_diagonal(matrix)[np.ix_(order, order)] for title, matrix in shown.items()}
    most = max(float(np.nanmax(matrix, initial=0.0)) for matrix in values.values()) or 1.0
    norm, colors = PowerNorm(0.5, 0.0, most), mpl.colormaps["magma_r"]
    room = sheet.width - _NAMES - (_BAR if sheet.bar == "right" else 0)
    columns = max(1, min(len(values), 3, int(room / _LEAST)))
    side = min(_SIDE, room / columns)
    rows = ceil(len(values) / columns)
    with style(sheet):
        below = 0.0 if sheet.bar == "right" else _BAR
        figure = Figure(
            figsize=(sheet.width, (side + 0.3) * rows + below), layout=ConstrainedLayoutEngine(compress=True)
        )
        panels = figure.subplots(rows, columns, squeeze=False)
        for panel in list(panels.flat)[len(values) :]:
            panel.set_axis_off()
        for panel, (title, matrix) in zip(panels.flat, values.items(), strict=False):
            panel.imshow(np.ma.masked_invalid(matrix.clip(0)), norm=norm, cmap=colors, interpolation="none")
            _missing(panel, ~present(matrix))
            _labels(panel, record.tasks, order, side, panel in panels[:, 0])
            panel.set_title(title)
        label = f"overlap above chance, {choice.share:g} of\nthe {choice.space} units (square-root scale)"
        figure.colorbar(ScalarMappable(norm, colors), ax=panels, label=label, location=sheet.bar, shrink=0.8, aspect=20)
        figure.set_figheight(
            figure.get_figheight() + legend(figure, "outside lower left", _entries(record.tasks), flag_note(values))
        )
    return figure


def spread(positions: Array, most: int = _MOST) -> list[int]:
    """The first, the last, and those nearest to even distances between them."""
    wanted = np.linspace(positions[0], positions[-1], most)
    return sorted({int(np.abs(positions - at).argmin()) for at in wanted})


def _title(axis: TokenAxis, place: int) -> str:
    if axis.label == "training tokens":
        return f"{human(int(axis.counts[place]))} tokens{axis.flag(place)}"
    return f"step {axis.counts[place]}{axis.flag(place)}"


def _order(tasks: Tasks) -> Array:
    """Domain by domain as they come, in each format by format."""
    domains, formats = list(dict.fromkeys(tasks.domains)), list(dict.fromkeys(tasks.formats))
    return np.lexsort(
        ([formats.index(form) for form in tasks.formats], [domains.index(domain) for domain in tasks.domains])
    )


def _off_diagonal(matrix: Array) -> Array:
    """Each overlaps itself, which is no news."""
    return np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)


def _missing(panel: Axes, gone: Array) -> None:
    """Rows and columns of tasks not done, hatched; the diagonal pale."""
    count = len(gone)
    look: dict[str, Any] = {"facecolor": PALE, "edgecolor": "white", "linewidth": 0}
    for place in np.flatnonzero(gone).tolist():
        for corner, width, height in (((place - 0.5, -0.5), 1, count), ((-0.5, place - 0.5), count, 1)):
            panel.add_patch(Rectangle(corner, width, height, hatch="//////", label="_missing", **look))
    for place in np.flatnonzero(~gone).tolist():
        panel.add_patch(Rectangle((place - 0.5, place - 0.5), 1, 1, **look))


def _labels(panel: Axes, tasks: Tasks, order: Array, side: float, named: bool) -> None:
    """Domains by squares, and by name beside the first panel of a row; formats by marks between."""
    count, row = len(order), side * 72 / len(order)
    domains, formats = ([labels[i] for i in order] for labels in (tasks.domains, tasks.formats))
    middles = []
    for domain in dict.fromkeys(domains):
        first, last = domains.index(domain) - 0.5, domains.index(domain) + domains.count(domain) - 0.5
        panel.add_patch(Rectangle((first, first), last - first, last - first, fill=False, edgecolor=INK, linewidth=0.9))
        for line in (panel.axhline, panel.axvline):
            line(last, color=INK, linewidth=0.4)
        middles.append((first + last) / 2)
    for form, look in looks(tuple(dict.fromkeys(tasks.formats))).items():
        at = [place for place, own in enumerate(formats) if own == form]
        beside = panel.get_yaxis_transform()
        size = min(3.0, 0.8 * row)
        panel.plot(
            np.full(len(at), -0.025), at, look.marker, color=look.color, ms=size, clip_on=False, transform=beside
        )
    panel.set_xticks([])
    names = [short(domain, 12) if named else "" for domain in dict.fromkeys(domains)]
    panel.set_yticks(middles, names)
    panel.tick_params(length=0, pad=8)
    panel.set_xlim(-0.5, count - 0.5)
    panel.set_ylim(count - 0.5, -0.5)
    for spine in panel.spines.values():
        spine.set(visible=True, color=INK, linewidth=0.5)


def _entries(tasks: Tasks) -> dict[str, Artist]:
    made: dict[str, Artist] = {
        plain(form): Line2D([], [], color=look.color, marker=look.marker, linewidth=0)
        for form, look in looks(tuple(dict.fromkeys(tasks.formats))).items()
    }
    return {**made, "task not done": Patch(facecolor=PALE, edgecolor=MUTED, hatch="////", linewidth=0)}
