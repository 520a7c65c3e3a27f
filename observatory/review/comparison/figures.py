"""Draws every figure of a comparison that its runs have the data for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from observatory.review.comparison.compare import Comparison
from observatory.review.comparison.curves import comparison_curves
from observatory.review.comparison.levels import comparison_levels
from observatory.review.comparison.orders import comparison_orders
from observatory.review.comparison.pooled_curves import pooled_curves
from observatory.review.comparison.sizes import comparison_sizes, no_sizes
from observatory.review.figures.style import style


def comparison_figures(logbooks: Mapping[str, xr.Dataset], found: Comparison) -> dict[str, Figure]:
    """By the name of the file: curves, levels, and, where several domains or sizes allow them, orders and sizes."""
    delta = next(iter(found.runs.values())).criteria.delta
    curves = comparison_curves(pooled_curves(logbooks, found), found.unit, found.sizes.measure, delta)
    figures = {"curves": curves, "levels": comparison_levels(found)}
    if len(found.domains) > 1:
        figures["orders"] = comparison_orders(found)
    if no_sizes(found) is None:
        figures["sizes"] = comparison_sizes(found)
    return figures


def write_figures(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Each as PNG and SVG."""
    written = []
    for name, figure in figures.items():
        for suffix in (".png", ".svg"):
            written.append(folder / f"{name}{suffix}")
            with style():  # what an SVG makes of text is settled when it is written
                figure.savefig(written[-1])
    return written
