"""Figure: sinks and induction heads of each layer, over training."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from observatory.review.figures.layer_lines import Depth, depth_figure, not_recorded
from observatory.review.figures.style import SCREEN, Sheet

_PANELS = (
    Depth("attention_sink", "sinks at the first token", "share of heads and texts", share=True),
    Depth("attention_secondary", "sinks behind it", "share of heads and texts", share=True),
    Depth("strongest_induction", "induction, the strongest head", "attention to what\nfollowed last time", share=True),
    Depth("strongest_previous", "previous token, the strongest head", "attention to the\ntoken before", share=True),
)

no_attention = not_recorded("attention_sink")


def attention_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """A line a layer; of induction, that of the head in it that has most."""
    strongest = {f"strongest_{name}": logbook[f"attention_{name}"].max("head") for name in ("induction", "previous")}
    return depth_figure(logbook.assign(strongest), _PANELS, sheet)
