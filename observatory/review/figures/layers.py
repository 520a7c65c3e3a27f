"""Figure: in which layers each domain is told apart, over training."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from observatory.review.figures.layer_maps import Scale, layer_maps
from observatory.review.figures.style import SCREEN, Sheet
from observatory.review.figures.token_axis import TokenAxis


def layers(logbook: xr.Dataset, space: str = "mlp", pooling: str = "mean", sheet: Sheet = SCREEN) -> Figure:
    """The emergence index of regions chosen within one layer."""
    index = logbook["contrast_index_by_layer"].sel(space=space, pooling=pooling)
    largest = float(np.abs(index.values[np.isfinite(index.values)]).max(initial=0)) or 1.0
    label = f"emergence index $E$\nwithin the layer\n({space} units, {pooling} pooling)"
    return layer_maps(index, TokenAxis.of(logbook), Scale(TwoSlopeNorm(0.0, -largest, largest), "RdBu_r", label), sheet)
