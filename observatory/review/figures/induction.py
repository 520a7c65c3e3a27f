"""Figure: what the context is good for, over training, told from losses alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy import stats

from observatory.observation import Array
from observatory.review.figures.layer_lines import not_recorded, recorded_at
from observatory.review.figures.style import INK, MUTED, SCREEN, Look, Sheet, legend, looks, style
from observatory.review.figures.token_axis import TokenAxis

_LEAST, _HEIGHT = 2.0, 1.9
_FIRST: dict[str, Any] = {"color": MUTED, "linestyle": "--"}
_SECOND: dict[str, Any] = {"color": INK, "marker": "o", "markerfacecolor": "white"}
_NOTHING: dict[str, Any] = {"color": INK, "linewidth": 0.7, "linestyle": ":"}
_BAND: dict[str, Any] = {"color": INK, "alpha": 0.2, "linewidth": 0}

no_induction = not_recorded("induction_score")


def induction_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """Random tokens for the first and the second time; how much the second is easier; running text of each domain."""
    looked = recorded_at(logbook, "induction_score")
    axis = TokenAxis.of(looked)
    look = looks([str(name) for name in looked["domain"].values])
    across = 3 if sheet.across(3, _LEAST) == 3 else 1
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        losses, score, texts = figure.subplots(3 // across, across, sharex=True, squeeze=False).flat
        _draw_losses(losses, axis, looked)
        _draw_score(score, axis, looked)
        _draw_texts(texts, axis, looked, look)
        for panel in (losses, score, texts):
            axis.draw_missed(panel)
        for panel in (losses, score, texts)[-across:]:
            axis.draw(panel)
        marks: dict[str, Artist] = {
            name: Line2D([], [], color=one.color, marker=one.marker, markerfacecolor="white")
            for name, one in look.items()
        }
        kinds: dict[str, Artist] = {
            "random tokens": Line2D([], [], **_FIRST),
            "the same again": Line2D([], [], **_SECOND),
            "95% over sequences": Patch(**_BAND),
            "no use of the context": Line2D([], [], **_NOTHING),
        }
        above = legend(figure, "outside upper left", marks)
        below = legend(figure, "outside lower left", {**kinds, **axis.key()})
        figure.set_figheight(_HEIGHT * 3 / across + 0.4 + above + below)
    return figure


def _draw_losses(panel: Axes, axis: TokenAxis, looked: xr.Dataset) -> None:
    """Without the first of the tokens, which the second time cannot be foreseen."""
    loss = looked["induction_loss"].isel(period_position=slice(1, None)).mean("period_position")
    first, second = (loss.sel(showing=name).values for name in ("first", "second"))
    panel.plot(axis.positions, first, **_FIRST, label="_first")
    panel.plot(axis.positions, second, **_SECOND, markevery=axis.marked(second), label="_second")
    panel.set_title("random tokens")
    panel.set_ylabel("loss (nats/token)")


def _draw_score(panel: Axes, axis: TokenAxis, looked: xr.Dataset) -> None:
    score, (low, high) = looked["induction_score"].values, _interval(looked["induction_drop"])
    panel.axhline(0, **_NOTHING, label="_nothing")
    panel.fill_between(axis.positions, low, high, **_BAND, label="_interval", rasterized=axis.dense)
    panel.plot(axis.positions, score, **_SECOND, markevery=axis.marked(score), label="_score")
    panel.set_title("induction")
    panel.set_ylabel("first loss less second\n(nats/token)")


def _draw_texts(panel: Axes, axis: TokenAxis, looked: xr.Dataset, look: Mapping[str, Look]) -> None:
    panel.axhline(0, **_NOTHING, label="_nothing")
    for name, one in look.items():
        values = looked["induction_in_context"].sel(domain=name).values
        panel.plot(
            axis.positions,
            values,
            color=one.color,
            marker=one.marker,
            markevery=axis.marked(values),
            markerfacecolor="white",
            label="_domain",
        )
    panel.set_title("running text")
    panel.set_ylabel("loss after long context\nless after short (nats/token)")


def _interval(drop: xr.DataArray) -> tuple[Array, Array]:
    """Student's t over sequences."""
    values = drop.transpose("step", ...).values.astype(float)
    count = values.shape[1]
    half = stats.t.ppf(0.975, count - 1) * values.std(1, ddof=1) / np.sqrt(count)
    return values.mean(1) - half, values.mean(1) + half
