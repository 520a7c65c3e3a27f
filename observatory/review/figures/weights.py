"""Figure: how sparse the weight matrices are, and their rank, layer by layer, over training."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from observatory.review.figures.layer_lines import Depth, depth_figure, not_recorded
from observatory.review.figures.style import SCREEN, Sheet

_PANELS = (
    Depth("weights_gini", "inequality of weights", "Gini"),
    Depth("weights_hoyer", "sparsity of weights", "Hoyer"),
    Depth("weights_near_zero", "weights near zero", "share within 1% of\nthe root mean square"),
    Depth("weights_effective_rank", "rank of weights", "effective rank over\nthe largest possible"),
)

no_weights = not_recorded(_PANELS[0].name)


def weights_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """A line a layer, the mean over its matrices."""
    return depth_figure(logbook, _PANELS, sheet, ["Lines are means over the matrices of a layer."])
