"""How tests look at figures: their texts, their panels, their lines; and logbooks with verdicts to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from planted_run import DOMAINS, HOSTILE, THOUSAND, rise, rises
from verdicts import planted

STEPS = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120]
LOGARITHMIC = sorted({0, *(round(10 ** (k / 12)) for k in range(39))})
JUDGED: dict[str, Callable[[], xr.Dataset]] = {
    "four domains that emerge": lambda: planted(LOGARITHMIC, rises(LOGARITHMIC, DOMAINS[:4]), loss=True),
    "ten domains and gaps": lambda: planted(LOGARITHMIC, rises(LOGARITHMIC, DOMAINS), gaps=[700, 800]),
    "one domain": lambda: planted(LOGARITHMIC, rises(LOGARITHMIC, ["math"]), tokens=0),
    "hostile names": lambda: planted(LOGARITHMIC, rises(LOGARITHMIC, HOSTILE, 3.0)),
    "two observations": lambda: planted([0, 1000], rises([0, 1000], DOMAINS[:4])),
    "one observation": lambda: planted([1000], rises([1000], DOMAINS[:4])),
    "a thousand observations": lambda: planted(THOUSAND, rises(THOUSAND, DOMAINS[:2])),
    "nothing but gaps": lambda: planted([0, 10, 100], dict.fromkeys(DOMAINS[:4], [np.nan] * 3)),
    "diverged": lambda: planted(
        LOGARITHMIC, {"math": np.where(np.array(LOGARITHMIC) < 90, rise(LOGARITHMIC, 20), np.nan)}
    ),
    "lost and found": lambda: planted(STEPS, {"math": [0, 1, 1, 0, 0, 0, 1, 1, 1, 1], "social": [1] * 10}),
}
"""Logbooks with the nulls that a verdict takes."""


def panels(figure: Figure) -> list[Axes]:
    """Those of curves and of layers, without the strips between them."""
    return [axes for axes in figure.axes if axes.axison and axes.get_label() not in ("<colorbar>", "levels")]


def strips(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() == "levels"]


def named(panel: Axes, label: str) -> list[Line2D]:
    """The lines that a figure calls so; they are in no legend."""
    return [line for line in panel.lines if line.get_label() == label]


def said(figure: Figure) -> str:
    """The sentences under a figure, as one line."""
    return " ".join(legend.get_title().get_text() for legend in figure.legends).replace("\n", " ")


def shown(figure: Figure) -> Iterator[tuple[Text, Any]]:
    """Every text with the box that it is drawn in."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    for axes in figure.axes:
        if not axes.axison:
            continue
        ticks = [
            label
            for axis in (axes.xaxis, axes.yaxis)
            for tick in axis.get_major_ticks()
            if min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
            for label in (tick.label1, tick.label2)  # a colour bar has its own on the right
        ]
        for text in [axes.xaxis.label, axes.yaxis.label, axes._left_title, *ticks]:  # type: ignore[attr-defined]
            if text.get_visible() and text.get_text():
                yield text, text.get_window_extent(renderer)
        for text in axes.texts:
            yield text, text.get_window_extent(renderer)
    for legend in figure.legends:
        for text in [*legend.get_texts(), legend.get_title()]:
            if text.get_text():
                yield text, text.get_window_extent(renderer)


def across(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xdata())


def assert_legible(figure: Figure, boxes: Sequence[tuple[Text, Any]]) -> None:
    for text, box in boxes:
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= figure.bbox.x1 + 1, text
        assert box.y1 <= figure.bbox.y1 + 1, text
    for (one, here), (other, there) in combinations(boxes, 2):
        assert not here.overlaps(there), (one, other)


@cache
def judged(case: str) -> xr.Dataset:
    return JUDGED[case]()


@cache
def of_verdicts(case: str, draw: Callable[[xr.Dataset], Figure]) -> tuple[Figure, list[tuple[Text, Any]]]:
    figure = draw(judged(case))
    return figure, list(shown(figure))
