"""Figure: how sparse activations are in each layer, over training."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from observatory.review.figures.layer_lines import Depth, depth_figure, not_recorded
from observatory.review.figures.style import SCREEN, Sheet

_PANELS = (
    Depth("sparsity_gini_mlp", "MLP neurons", "Gini of a token's\nactivations", share=True),
    Depth("sparsity_gini_residual", "residual stream", "Gini of a token's\nactivations", share=True),
    Depth("sparsity_active_mlp", "active neurons", "share active\non a token", share=True),
    Depth("sparsity_dead_mlp", "dead neurons", "share active on less\nthan 0.1% of tokens", share=True),
)

no_sparsity = not_recorded(_PANELS[0].name)


def sparsity_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """A line a layer."""
    return depth_figure(logbook, _PANELS, sheet)
