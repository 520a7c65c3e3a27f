"""Figure: how much of what is said hangs on the settings it was judged by; the chosen ones are marked."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.review.figures.setting_panels import (
    CHOSEN,
    draw_onsets,
    draw_verdicts,
    settings,
    settings_key,
    unsaid_at,
)
from observatory.review.figures.sharing_by_share import EFFECTS, sharing_by_share, sharing_key
from observatory.review.figures.style import SCREEN, Sheet, legend, looks, style
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.evidence import Criteria, lacking, observations
from observatory.review.judge.rejudged import by_share
from observatory.review.sharing.circuit_record import Choice, no_circuits

_LEAST = 2.5
"""Inches across for a panel with its share of the labels."""


def no_robustness(logbook: xr.Dataset) -> str | None:
    """Why there is nothing to judge by other settings, if so."""
    return _no_verdict(logbook) if no_circuits(logbook) else None


def robustness(
    logbook: xr.Dataset, criteria: Criteria | None = None, choice: Choice | None = None, sheet: Sheet = SCREEN
) -> Figure:
    """By delta and by alpha, when each domain's region emerged and at which level; by share, what circuits share."""
    criteria, choice = criteria or Criteria(), choice or Choice()
    if reason := no_robustness(logbook):
        raise ValueError(f"there is nothing to judge by other settings: {reason}")
    look = looks([str(name) for name in logbook["domain"].values])
    varied = [] if _no_verdict(logbook) else settings(logbook, criteria)
    effects = () if no_circuits(logbook, choice) else EFFECTS
    blocks = [[1.6, 0.25 + 0.14 * len(look)]] * len(varied) + [[1.4]] * len(effects)
    across = sheet.across(2, _LEAST)
    heights = [height for block in blocks[::across] for height in block]
    entries: dict[str, Artist] = {}
    said: list[str] = []
    with style(sheet):
        figure = Figure(figsize=(sheet.width, sum(heights)), layout="constrained")
        panels = iter(
            _blocks(figure.subplots(len(heights), across, squeeze=False, height_ratios=heights), blocks, across)
        )
        for setting in varied:
            above, below = next(panels)
            draw_onsets(above, TokenAxis.of(observations(logbook)[0]), setting, look)
            draw_verdicts(below, setting, look)
            said += unsaid_at(setting)
            entries |= settings_key()
        if effects:
            found, why = by_share(logbook, choice)
            for effect in effects:
                sharing_by_share(next(panels)[0], effect, found, choice.share)
            entries |= sharing_key()
            said += [f"Circuits at the last step: can't say; {why}"] if why else []
        names: dict[str, Artist] = {
            domain: Line2D([], [], color=one.color, marker=one.marker) for domain, one in look.items()
        }
        upper = legend(figure, "outside upper left", names if varied else {})
        lower = legend(figure, "outside lower left", {**entries, "as chosen": Line2D([], [], **CHOSEN)}, said)
        figure.set_figheight(sum(heights) + 0.22 * len(heights) + upper + lower)
    return figure


def _no_verdict(logbook: xr.Dataset) -> str | None:
    if "contrast_index" not in logbook:
        return "contrast_index was not recorded"
    return lacking(observations(logbook)[0])


def _blocks(panels: np.ndarray, blocks: list[list[float]], across: int) -> list[list[Axes]]:
    """The panels of each block, which stand below one another; as many blocks as there is room for in a row."""
    found, row = [], 0
    for first in range(0, len(blocks), across):
        down = len(blocks[first])
        found += [list(panels[row : row + down, column]) for column in range(across)]
        row += down
    return found
