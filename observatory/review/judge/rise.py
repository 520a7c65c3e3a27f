"""How a curve rises: a sigmoid in x = log(1 + s) where one fits, or else a single change of its mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, nan

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from observatory.observation import Array
from observatory.review.judge.onset import log_time, same_steps

FEWEST = 6
"""Finite observations that a sigmoid needs: its four parameters, and two more for the noise."""
_MIDDLES, _WIDTHS = 120, 32
_AT_ONCE = 1000
"""Curves that are compared with the grid together, so that the comparison takes some tens of megabytes."""


@dataclass(frozen=True)
class Sigmoid:
    """y0 + amplitude / (1 + exp((m - x) / w)); every number is nan where nothing could be fitted."""

    y0: float = nan
    amplitude: float = nan
    m: float = nan
    w: float = nan
    midpoint: float = nan
    """The step at which half of the rise is done, e^m - 1."""
    midpoint_interval: tuple[float, float] = (nan, nan)
    """95%, from the covariance of the fit: for independent noise of equal size at every observation."""
    rss: float = nan
    reason: str = ""
    """Why it should not be used; empty where it can be."""

    @property
    def usable(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class ChangePoint:
    """A single change of the mean, up or down, somewhere between two neighbouring observations."""

    between: tuple[float, float]
    midpoint: float
    """The step half-way between the two in x."""
    before: float
    after: float
    rss: float


Shape = Sigmoid | ChangePoint | None


@dataclass(frozen=True)
class Rise:
    """The simplest honest description of a rise."""

    shape: Shape
    reason: str
    """Why it is not a sigmoid, or why it is nothing at all; empty for a sigmoid."""


def fit_sigmoid(steps: ArrayLike, values: ArrayLike) -> Sigmoid:
    """Least squares by variable projection: y0 and amplitude are linear, so only m and w are searched, first on a grid.

    Golub and Pereyra 1973, SIAM J. Numer. Anal. 10, 413-432.
    """
    at, y = _finite(steps, values)
    x = np.log1p(at)
    if x.size < FEWEST:
        return Sigmoid(reason=f"{x.size} finite observations are too few for a sigmoid, which needs {FEWEST}")
    if _constant(y):
        return Sigmoid(reason="the curve is constant")
    middles, widths, designs = _grid(x)
    z, span = _standard(y), x[-1] - x[0]
    width, middle = np.unravel_index(np.abs(designs @ z).argmax(), designs.shape[:2])

    def misfit(shape: Array) -> Array:
        design = _standard(special.expit((x - shape[0]) / np.exp(shape[1])))
        rest: Array = z - (design @ z) * design
        return rest

    narrowest = min(np.diff(x).min() / 20, span / 1000)
    bounds = ([x[0], log(narrowest)], [x[-1], log(span)])
    start = [float(middles[middle]), log(widths[width])]
    tight = 1e-12
    found = optimize.least_squares(misfit, start, "3-point", bounds, ftol=tight, xtol=tight, gtol=tight)
    m, w = float(found.x[0]), float(np.exp(found.x[1]))
    done = special.expit((x - m) / w)
    amplitude = float((done - done.mean()) @ y / ((done - done.mean()) @ (done - done.mean())))
    y0 = float(y.mean() - amplitude * done.mean())
    rss = float(((y - y0 - amplitude * done) ** 2).sum())
    slope = amplitude * done * (1 - done) / w
    half = _half_width(np.stack([slope, slope * (x - m) / w, done, np.ones_like(x)], axis=1), rss)
    reason = ""
    if amplitude <= 0:
        reason = "the sigmoid that fits best falls"
    elif min(m - x[0], x[-1] - m) < 1e-3 * span:
        reason = "half of the rise or more lies outside the observed steps"
    elif w > 0.99 * span:
        reason = "the rise is wider than the observed steps"
    elif (np.abs(x - m) < 3 * w).sum() < 2:  # within 3 w a sigmoid goes from 5% to 95%
        reason = "the rise lies between two observations or at a single one, so that its width cannot be seen"
    elif 2 * half > log(10):
        reason = "the 95% interval of the midpoint is wider than a decade"
    around = (max(float(np.expm1(m - half)), 0.0), float(np.expm1(min(m + half, 700))))
    return Sigmoid(y0, amplitude, m, w, float(np.expm1(m)), around, rss, reason)


def fit_change_point(steps: ArrayLike, values: ArrayLike) -> ChangePoint | None:
    """The split with the smallest sum of squares, two observations or more on each side; none in a constant curve."""
    at, y = _finite(steps, values)
    if y.size < 4 or _constant(y):
        return None
    count = np.arange(2, y.size - 1)
    explained = np.cumsum(y - y.mean())[1:-2] ** 2 * y.size / (count * (y.size - count))
    split = int(count[explained.argmax()])
    before, after = y[:split], y[split:]
    left, right = float(at[split - 1]), float(at[split])
    middle = float(np.expm1((np.log1p(left) + np.log1p(right)) / 2))
    rss = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()
    return ChangePoint((left, right), middle, float(before.mean()), float(after.mean()), float(rss))


def describe_rise(steps: ArrayLike, values: ArrayLike) -> Rise:
    """A sigmoid where it is usable, else a change point that goes up, else nothing."""
    sigmoid = fit_sigmoid(steps, values)
    if sigmoid.usable:
        return Rise(sigmoid, "")
    change = fit_change_point(steps, values)
    if change is None:
        return Rise(None, sigmoid.reason)
    if change.after <= change.before:
        return Rise(None, f"{sigmoid.reason}, and the largest change of the mean is a fall")
    return Rise(change, sigmoid.reason)


def midpoints(steps: ArrayLike, curves: ArrayLike) -> Array:
    """The midpoint, as a step, of the rising sigmoid that fits each curve best; inf for a curve that nowhere rises.

    Only the grid is searched, with a parabola through the best middle and its neighbours.
    """
    x, y = log_time(steps), np.asarray(curves, dtype=float)
    same_steps(x, y)
    flat = y.reshape(-1, x.size)
    told = np.isfinite(flat)
    if (told.any(0) != told.all(0)).any():
        raise ValueError("the curves lack values at different steps; give the curves that lack the same ones together")
    x, flat = x[told.all(0)], flat[:, told.all(0)]
    if x.size < FEWEST:
        raise ValueError(f"a sigmoid needs {FEWEST} finite observations or more; the curves have {x.size}")
    middles, _, designs = _grid(x)
    found = np.empty(len(flat))
    for start in range(0, len(flat), _AT_ONCE):
        block = flat[start : start + _AT_ONCE]
        likeness = np.tensordot(_standard(block), designs, (1, 2))  # curve, width, middle
        best = likeness.reshape(len(block), -1).argmax(1)
        width, middle = np.unravel_index(best, designs.shape[:2])
        curve, inner = np.arange(len(block)), np.clip(middle, 1, _MIDDLES - 2)
        left, top, right = (likeness[curve, width, inner + side] for side in (-1, 0, 1))
        bend = np.minimum(left - 2 * top + right, -1e-12)
        offset = np.where(inner == middle, np.clip((left - right) / (2 * bend), -0.5, 0.5), 0.0)
        at = np.expm1(middles[middle] + offset * (middles[1] - middles[0]))
        rises = (likeness[curve, width, middle] > 0) & ~_constant(block)
        found[start : start + _AT_ONCE] = np.where(rises, at, np.inf)
    return found.reshape(y.shape[:-1])


def _finite(steps: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    """Step and value of the observations that say something."""
    x, y = log_time(steps), np.asarray(values, dtype=float)
    if y.shape != x.shape:
        raise ValueError(f"{x.size} steps need one row of as many values; got values of shape {y.shape}")
    told = np.isfinite(y)
    return np.asarray(steps, dtype=float)[told], y[told]


def _constant(values: Array) -> Array:
    """Up to rounding, along the last axis."""
    flat: Array = np.ptp(values, axis=-1) <= 1e-12 * np.abs(values).max(-1)
    return flat


def _standard(values: Array) -> Array:
    """With mean 0 and length 1 along the last axis, so that products are correlations."""
    centred = values - values.mean(-1, keepdims=True)
    length: Array = np.linalg.norm(centred, axis=-1, keepdims=True)
    standard: Array = centred / np.where(length > 0, length, 1.0)
    return standard


def _grid(x: Array) -> tuple[Array, Array, Array]:
    """Middles, widths, and the standardised sigmoid of each: width, middle, observation."""
    middles = np.linspace(x[0], x[-1], _MIDDLES)
    widths = np.geomspace((x[-1] - x[0]) / 250, x[-1] - x[0], _WIDTHS)
    return middles, widths, _standard(special.expit((x - middles[:, None]) / widths[:, None, None]))


def _half_width(slopes: Array, rss: float) -> float:
    """Half of the 95% interval of the first parameter, given what each parameter does to each observation."""
    scale = np.maximum(np.linalg.norm(slopes, axis=0), 1e-300)
    _, sizes, axes = np.linalg.svd(slopes / scale, full_matrices=False)
    spread = (
        np.linalg.norm(axes[:, 0] / np.maximum(sizes, 1e-15)) / scale[0]
    )  # what cannot be told apart spreads widely
    freedom = slopes.shape[0] - slopes.shape[1]
    return float(stats.t.ppf(0.975, freedom) * spread * np.sqrt(rss / freedom))
