"""Figure: in how many directions activations differ between stimuli, layer by layer, over training."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from observatory.review.figures.layer_lines import Depth, depth_figure, not_recorded
from observatory.review.figures.style import SCREEN, Sheet

_PANELS = (
    Depth("rank_effective_mlp", "MLP neurons", "effective rank over\nthe largest possible"),
    Depth("rank_effective_residual", "residual stream", "effective rank over\nthe largest possible"),
    Depth("rank_participation_mlp", "MLP neurons, by variance", "participation ratio\n(directions)"),
    Depth("rank_participation_residual", "residual stream, by variance", "participation ratio\n(directions)"),
)

no_rank = not_recorded(_PANELS[0].name)


def rank_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """A line a layer."""
    return depth_figure(logbook, _PANELS, sheet)
