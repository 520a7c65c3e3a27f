"""The published curve of massive activations: its parameters found again, its peak, and when none is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structure import published
from scipy import optimize

from observatory.observation import Array
from observatory.review.effects.massive_curve import FEWEST, MassiveCurve, fit_massive

PYTHIA = np.array([0, *(2**power for power in range(10)), *range(1000, 144_000, 1000)])
STEPS = np.unique(np.append(0, np.round(np.geomspace(1, 20_000, 40))))
OF_410M = MassiveCurve(amplitude=0.1991, decay=0.1245, pace=1.124e-4, start=0.6212, level=0.1219)
"""As published, of the median at layer 0 (arXiv:2508.03616)."""


def noisy(curve: MassiveCurve, steps: Array = STEPS, noise: float = 0.0, seed: int = 0) -> Array:
    values = curve.at(steps)
    return values + noise * np.ptp(values) * np.random.default_rng(seed).standard_normal(steps.size)


def top_of(curve: MassiveCurve) -> float:
    """The step of the largest value, by search."""
    steps = np.arange(200_000)
    return float(steps[curve.at(steps).argmax()])


def test_the_published_parameters_are_found_again_with_their_peak() -> None:
    found = fit_massive(PYTHIA, OF_410M.at(PYTHIA))
    for name in ("amplitude", "decay", "pace", "start", "level"):
        assert getattr(found, name) == pytest.approx(getattr(OF_410M, name), rel=1e-4), name
    assert found.usable
    assert found.peak == pytest.approx(top_of(OF_410M), rel=2e-3)
    assert 30_000 < found.peak < 50_000
    assert found.height == pytest.approx(float(OF_410M.at(found.peak)))
    assert found.explained == pytest.approx(1)


@pytest.mark.parametrize("seed", range(6))
def test_the_fit_is_that_of_curve_fit_from_the_truth(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth = replace(published(peak=np.exp(draw.uniform(np.log(300), np.log(8000)))), level=draw.uniform(5, 20))
    values = noisy(truth, noise=0.03, seed=seed)
    found = fit_massive(STEPS, values)

    def curve(t: Array, *p: float) -> Array:
        x = np.exp(p[2]) * t + np.exp(p[3])
        return p[0] * np.exp(-np.exp(p[1]) * x) * np.log(x) + p[4]

    start = (truth.amplitude, np.log(truth.decay), np.log(truth.pace), np.log(truth.start), truth.level)
    best, _ = optimize.curve_fit(curve, STEPS, values, start, maxfev=20_000)
    least = ((values - curve(STEPS, *best)) ** 2).sum()
    assert ((values - found.at(STEPS)) ** 2).sum() <= least * (1 + 1e-6)
    assert found.peak == pytest.approx(top_of(found), rel=2e-3)
    assert found.explained == pytest.approx(1 - ((values - found.at(STEPS)) ** 2).sum() / values.var() / values.size)


def test_the_interval_of_the_peak_covers_the_truth_19_times_in_20() -> None:
    draw = np.random.default_rng(0)
    covered = 0
    for seed in range(60):
        peak = np.exp(draw.uniform(np.log(300), np.log(8000)))
        low, high = fit_massive(STEPS, noisy(published(peak), noise=0.05, seed=seed)).peak_interval
        covered += low <= peak <= high
    assert 51 <= covered <= 60  # of a binomial of 60 and 0.95, all but two in a thousand


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_fit_does_not_depend_on_the_unit(scale: float) -> None:
    plain = noisy(published(), noise=0.03)
    one, other = fit_massive(STEPS, plain), fit_massive(STEPS, scale * plain)
    assert other.peak == pytest.approx(one.peak, rel=1e-4)
    assert other.height == pytest.approx(scale * one.height, rel=1e-4)


REFUSED = {
    "too few": (STEPS[-FEWEST + 1 :], noisy(published())[-FEWEST + 1 :], "7 finite observations are too few"),
    "constant": (STEPS, np.full(STEPS.size, 6.0), "the values are constant"),
    "rising to the end": (STEPS, noisy(published(peak=120_000)), "still rises at the last observation"),
    "a trough": (STEPS, -noisy(published(), noise=0.02), "from a trough to a level and has no peak"),
    "falling from the start": (STEPS, 30 - 10 * (STEPS > 3), "from the first observations on"),
    "noise": (STEPS, np.random.default_rng(3).standard_normal(STEPS.size), ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_peak_is_told_where_none_is_seen(case: str) -> None:
    steps, values, words = REFUSED[case]
    found = fit_massive(steps, values)
    assert not found.usable
    assert words in found.reason


def test_a_peak_that_few_observations_surround_is_not_told() -> None:
    steps = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 300, 20_000])
    found = fit_massive(steps, noisy(published(peak=250), steps, noise=0.01))
    assert not found.usable
    assert found.reason


def test_what_is_not_finite_says_nothing() -> None:
    values = noisy(published(), noise=0.02)
    holes = np.insert(values, [3, 9], [np.nan, np.inf])
    steps = np.insert(STEPS, [3, 9], [STEPS[2] + 0.5, STEPS[8] + 0.5])
    assert fit_massive(steps, holes) == fit_massive(STEPS, values)
    assert fit_massive(STEPS, np.full(STEPS.size, np.nan)).reason.startswith("0 finite")


def test_a_curve_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="39 steps need one row of as many values"):
        fit_massive(STEPS, [1.0, 2.0])
