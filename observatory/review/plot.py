"""Draws every figure that a logbook has the data for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from observatory.review.layers import layers
from observatory.review.strength import strength
from observatory.review.style import style

FIGURES: Mapping[str, tuple[Callable[[xr.Dataset], Figure], str]] = {
    "strength": (strength, "contrast_index"),
    "layers": (layers, "contrast_index_by_layer"),
}
"""Name of the file -> the figure, and the variable that it cannot do without."""


def plot(logbook: xr.Dataset, folder: str | Path) -> list[Path]:
    """Writes each figure as PNG and SVG and returns the files."""
    if not logbook.sizes.get("step"):
        raise ValueError("the logbook holds no observation yet, so there is nothing to draw")
    drawable = {name: draw for name, (draw, needed) in FIGURES.items() if needed in logbook}
    if not drawable:
        needed = ", ".join(needed for _, needed in FIGURES.values())
        raise ValueError(f"the figures need one of {needed}; the logbook has {', '.join(map(str, logbook.data_vars))}")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give a folder for the figures")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in drawable.items():
        figure = draw(logbook)
        for suffix in (".png", ".svg"):
            written.append(folder / f"{name}{suffix}")
            with style():  # what an SVG makes of text is settled when it is written
                figure.savefig(written[-1])
    return written
