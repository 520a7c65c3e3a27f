"""How massive activations come and go: a curve of five parameters over training, with its peak where it is seen.

f(t) = A exp(-lambda x) ln x + K with x = gamma t + t0, of Gallego-Feliciano et al. 2025 (arXiv:2508.03616). Its peak is
where x ln x = 1 / lambda. So gamma and t0 follow from the step of the peak, and from how far on its way to the peak x
is at step 0, which are what is searched here: every such curve has a peak, before, within or after what is observed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from observatory.observation import Array
from observatory.review.judge.onset import log_time

FEWEST = 8
"""Finite observations that the curve needs: its five parameters, and three more for the noise."""
_DECAYS = np.geomspace(1e-4, 30, 16)
_BEGINNINGS = special.expit(np.linspace(-7, 3, 14))
_PEAKS = 40
_BEYOND = 10.0
"""Peaks are sought up to so many times the last step."""
_REST = ([float(np.log(_DECAYS[0])) - 1, -9.0], [float(np.log(_DECAYS[-1])) + 1, 5.0])
_TIGHT = 1e-12


@dataclass(frozen=True)
class MassiveCurve:
    """The curve that fits best; every number is nan where nothing could be fitted."""

    amplitude: float = nan
    """A."""
    decay: float = nan
    """lambda."""
    pace: float = nan
    """gamma, a step."""
    start: float = nan
    """t0: what x is at step 0."""
    level: float = nan
    """K."""
    peak: float = nan
    """The step of the peak, (exp(W(1 / lambda)) - t0) / gamma."""
    peak_interval: tuple[float, float] = (nan, nan)
    """95%, for independent noise of equal size at every observation; from 0, or to infinity, where it has no end."""
    height: float = nan
    """Of the curve at its peak."""
    explained: float = nan
    """R^2."""
    reason: str = ""
    """Why the peak should not be used; empty where it can be."""

    @property
    def usable(self) -> bool:
        return not self.reason

    def at(self, steps: ArrayLike) -> Array:
        """The curve at any steps from 0 up."""
        x = self.pace * np.asarray(steps, dtype=float) + self.start
        values: Array = self.amplitude * np.exp(-self.decay * x) * np.log(x) + self.level
        return values


def fit_massive(steps: ArrayLike, values: ArrayLike) -> MassiveCurve:
    """Least squares by variable projection: A and K are linear, so three numbers are searched, first on a grid.

    Golub and Pereyra 1973, SIAM J. Numer. Anal. 10, 413-432.
    """
    every, y = np.expm1(log_time(steps)), np.asarray(values, dtype=float)
    if y.shape != every.shape:
        raise ValueError(f"{every.size} steps need one row of as many values; got values of shape {y.shape}")
    told = np.isfinite(y)
    at, y = np.asarray(steps, dtype=float)[told], y[told]
    if y.size < FEWEST:
        return MassiveCurve(reason=f"{y.size} finite observations are too few for the curve, which needs {FEWEST}")
    if np.ptp(y) <= 1e-12 * np.abs(y).max():
        return MassiveCurve(reason="the values are constant")
    z = _standard(y)
    sought = (float(np.log(at[at > 0][0] / 2)), float(np.log(_BEYOND * at[-1])))
    bounds = ([sought[0], *_REST[0]], [sought[1], *_REST[1]])

    def misfit(shape: Array) -> Array:
        return _misfit(at, z, shape)

    start = _best_of_grid(at, z)
    found = optimize.least_squares(
        misfit, start, "3-point", bounds, ftol=_TIGHT, xtol=_TIGHT, gtol=_TIGHT, x_scale="jac"
    ).x
    return _judged(at, y, found, _interval(at, z, found, sought))


def _judged(at: Array, y: Array, found: Array, ends: tuple[float, float]) -> MassiveCurve:
    """With its linear parameters, and what speaks against its peak."""
    peak, decay, done = np.exp(found[0]), np.exp(found[1]), special.expit(found[2])
    top = _top(decay)
    shape = _shape(at, peak, decay, done)
    design = np.stack([shape, np.ones_like(shape)], axis=1)
    (amplitude, level), *_ = np.linalg.lstsq(design, y, rcond=None)
    rss = float(((y - design @ [amplitude, level]) ** 2).sum())
    # The shape is 1 at its peak; the published amplitude is of exp(-lambda x) ln x as it stands.
    published = float(amplitude / (np.exp(-decay * top) * np.log(top)))
    reason = ""
    if amplitude <= 0:
        reason = "the curve that fits best rises from a trough to a level and has no peak"
    elif found[0] > np.log(at[-1]):
        reason = "it still rises at the last observation, so that its peak is not seen"
    elif peak < at[1]:
        reason = "it falls from the first observations on, so that its peak is not seen"
    elif ((at > 0) & (np.abs(np.log(np.maximum(at, 1) / peak)) < np.log(10))).sum() < 3:
        reason = "fewer than three observations lie within a decade of the peak"
    elif ends[1] - ends[0] > np.log(10):
        reason = "the 95% interval of the peak is wider than a decade"
    return MassiveCurve(
        amplitude=published,
        decay=float(decay),
        pace=float(top * (1 - done) / peak),
        start=float(top * done),
        level=float(level),
        peak=float(peak),
        peak_interval=(float(np.exp(ends[0])), float(np.exp(ends[1]))),
        height=float(amplitude + level),
        explained=1 - rss / float(((y - y.mean()) ** 2).sum()),
        reason=reason,
    )


def _top(decay: Array | float) -> Array:
    """x at the peak, where x ln x = 1 / lambda."""
    top: Array = np.exp(special.lambertw(1 / np.asarray(decay), 0).real)
    return top


def _shape(at: Array, peak: ArrayLike, decay: ArrayLike, done: ArrayLike) -> Array:
    """exp(-lambda x) ln x over what it is at the peak, to which x has gone `done` of its way at step 0."""
    top = _top(np.asarray(decay))
    x = top * (done + (1 - np.asarray(done)) * at / np.asarray(peak))
    shape: Array = np.exp(np.maximum(-np.asarray(decay) * (x - top), -700)) * np.log(x) / np.log(top)
    return shape


def _best_of_grid(at: Array, z: Array) -> Array:
    peaks = np.geomspace(at[at > 0][0], _BEYOND * at[-1] * 0.99, _PEAKS)
    peak, decay, done = (one[..., None] for one in np.meshgrid(peaks, _DECAYS, _BEGINNINGS, indexing="ij"))
    likeness = np.abs(_standard(_shape(at, peak, decay, done)) @ z)
    best = np.unravel_index(likeness.argmax(), likeness.shape)
    return np.array([np.log(peaks[best[0]]), np.log(_DECAYS[best[1]]), special.logit(_BEGINNINGS[best[2]])])


def _interval(at: Array, z: Array, found: Array, sought: tuple[float, float]) -> tuple[float, float]:
    """The logarithms of the peaks between which, the rest fitted anew, the misfit stays within what noise explains.

    Infinite on a side where it does so to the end of what is sought, which the covariance at the best fit cannot tell.
    """
    freedom = at.size - 5
    rest = _misfit(at, z, found)
    allowed = float(rest @ rest * (1 + stats.f.ppf(0.95, 1, freedom) / freedom))

    def end(direction: float, limit: float) -> float:
        inside, rest, step = float(found[0]), found[1:], 0.02
        while True:
            there = float(np.clip(inside + direction * step, *sought))
            cost, rest = _anew(at, z, there, rest)
            if cost > allowed:
                break
            if there == limit:
                return direction * float("inf")
            inside, step = there, 1.6 * step
        outside = there
        for _ in range(7):
            middle = (inside + outside) / 2
            cost, rest = _anew(at, z, middle, rest)
            inside, outside = (middle, outside) if cost <= allowed else (inside, middle)
        return (inside + outside) / 2

    return end(-1, sought[0]), end(1, sought[1])


def _anew(at: Array, z: Array, peak: float, start: Array) -> tuple[float, Array]:
    """The least misfit of a curve with its peak there, and its other two numbers."""

    def misfit(rest: Array) -> Array:
        return _misfit(at, z, np.array([peak, *rest]))

    made = optimize.least_squares(misfit, start, bounds=_REST)
    return 2 * float(made.cost), made.x


def _misfit(at: Array, z: Array, shape: Array) -> Array:
    design = _standard(_shape(at, np.exp(shape[0]), np.exp(shape[1]), special.expit(shape[2])))
    rest: Array = z - (design @ z) * design
    return rest


def _standard(values: Array) -> Array:
    """With mean 0 and length 1 along the last axis."""
    centred = values - values.mean(-1, keepdims=True)
    length: Array = np.linalg.norm(centred, axis=-1, keepdims=True)
    standard: Array = centred / np.where(length > 0, length, 1.0)
    return standard
