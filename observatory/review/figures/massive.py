"""Figure: massive activations of each layer over training, and the published curve fitted where they are largest."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.observation import Array
from observatory.review.effects.massive_curve import MassiveCurve, fit_massive
from observatory.review.figures.layer_lines import (
    by_layer,
    depth_key,
    draw_depth,
    draw_twins,
    not_recorded,
    recorded_at,
    shades,
)
from observatory.review.figures.style import INK, SCREEN, Sheet, legend, style
from observatory.review.figures.token_axis import TokenAxis

_RATIO = "massive_ratio"
_LEAST, _HEIGHT = 2.3, 2.1
_FLOOR: dict[str, Any] = {"color": INK, "linewidth": 0.8, "linestyle": ":"}
_CURVE: dict[str, Any] = {"color": INK, "linewidth": 1.0}
_PEAK: dict[str, Any] = {"color": "#D55E00", "linewidth": 0.9, "linestyle": "--"}
_AROUND: dict[str, Any] = {"color": "#D55E00", "alpha": 0.15, "linewidth": 0}
_DIGITS = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 7))
_FEWEST_TICKS = 3

no_massive = not_recorded(_RATIO)


def massive_figure(logbook: xr.Dataset, sheet: Sheet = SCREEN) -> Figure:
    """Two panels: the ratio of every layer with what Gaussian values would give; and one layer with its curve."""
    looked = recorded_at(logbook, _RATIO)
    axis, ratio = TokenAxis.of(looked), by_layer(looked, _RATIO)
    layer = int(np.nanmax(ratio, axis=0, initial=-np.inf, where=np.isfinite(ratio)).argmax())
    curve = fit_massive(looked["step"].values, ratio[:, layer])
    across = sheet.across(2, _LEAST)
    with style(sheet):
        figure = Figure(figsize=(sheet.width, 1), layout="constrained")
        panels = figure.subplots(2 // across, across, sharex=True, squeeze=False)
        every, one = panels.flat
        draw_twins(every, logbook, _RATIO)
        draw_depth(every, axis, ratio)
        floor = float(looked["massive_floor"].max())
        every.axhline(floor, **_FLOOR, label="_floor")
        every.set_title("every layer")
        every.set_ylabel("largest over median\nmagnitude (log scale)")
        _log_scale(every, np.append(ratio[np.isfinite(ratio)], floor))
        _of_layer(one, axis, looked["step"].values, ratio[:, layer], curve, shades(ratio.shape[1])[layer])
        one.set_title(f"layer {layer}")
        one.set_ylabel("largest over median")
        for panel in panels.flat:
            axis.draw_missed(panel)
        for panel in panels[-1]:
            axis.draw(panel)
        entries = {**depth_key(logbook, [_RATIO], ratio.shape[1]), **_key(curve), **axis.key()}
        height = legend(figure, "outside lower left", entries, [_said(looked, layer, curve)])
        figure.set_figheight(_HEIGHT * 2 / across + 0.2 + height)
    return figure


def _of_layer(panel: Axes, axis: TokenAxis, steps: Array, values: Array, curve: MassiveCurve, color: object) -> None:
    if curve.usable:
        panel.axvspan(*axis.at_step(np.clip(curve.peak_interval, steps[0], steps[-1])), **_AROUND, label="_around")
        panel.axvline(float(axis.at_step(curve.peak)), **_PEAK, label="_peak")
    if np.isfinite(curve.explained):
        fine = np.unique(np.append(steps, np.expm1(np.linspace(np.log1p(steps[0]), np.log1p(steps[-1]), 200))))
        panel.plot(axis.at_step(fine), curve.at(fine), **_CURVE, label="_curve")
    panel.plot(axis.positions, values, color=color, marker="o", linestyle="none", label="_measured")


def _log_scale(panel: Axes, values: Array) -> None:
    positive = values[values > 0]
    low, high = 0.8 * positive.min(), 1.25 * positive.max()
    ticks: list[int] = []
    for digits in _DIGITS:
        if len(ticks) < _FEWEST_TICKS:
            ticks = [digit * 10**power for power in range(10) for digit in digits if low <= digit * 10**power <= high]
    panel.set_yscale("log")
    panel.set_ylim(low, high)
    panel.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.set_yticks([], minor=True)


def _key(curve: MassiveCurve) -> dict[str, Artist]:
    made: dict[str, Artist] = {"Gaussian floor": Line2D([], [], **_FLOOR)}
    if np.isfinite(curve.explained):
        made["published curve, fitted"] = Line2D([], [], **_CURVE)
    if curve.usable:
        made["its peak"] = Line2D([], [], **_PEAK)
        made["its 95% interval"] = Patch(**_AROUND)
    return made


def _said(looked: xr.Dataset, layer: int, curve: MassiveCurve) -> str:
    """Of the layer with the largest ratio: the peak, or why none; and where its largest activation is at the end."""
    last = looked.isel(step=-1, layer=layer, largest=0)
    share = float(last["massive_same_place"])
    where = (
        f" At the last step its largest is at position {int(last['massive_position'])}, channel "
        f"{int(last['massive_channel'])} on {share:.0%} of the stimuli."
        if np.isfinite(share)
        else ""
    )
    if not curve.usable:
        return f"Layer {layer}: no peak is told, since {curve.reason}.{where}"
    low, high = curve.peak_interval
    return (
        f"Layer {layer}: the curve's peak is {curve.height:.3g} at step {curve.peak:,.0f} (95% {low:,.0f} to "
        f"{high:,.0f}); it explains {curve.explained:.0%} of the variance.{where}"
    )
