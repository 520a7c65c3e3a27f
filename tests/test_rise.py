"""Sigmoids, change points and midpoints, against scipy's curve_fit and a search written out."""

from __future__ import annotations

from math import expm1, inf, log1p, nan

import numpy as np
import pytest
from scipy import optimize, special, stats

from observatory.observation import Array
from observatory.review.judge.onset import crossings
from observatory.review.judge.rise import ChangePoint, Sigmoid, describe_rise, fit_change_point, fit_sigmoid, midpoints

STEPS = np.unique(np.append(0, np.round(np.geomspace(1, 20_000, 60))))
X = np.log1p(STEPS)


def sigmoid(m: float, w: float, noise: float = 0.0, seed: int = 0, y0: float = 0.1, amplitude: float = 2.0) -> Array:
    draw = np.random.default_rng(seed)
    return y0 + amplitude * special.expit((X - m) / w) + noise * draw.standard_normal(X.size)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([0, 1, 5, 3], "5 is followed by 3; sort the observations by step"),
        ([0, 1, 1, 3], "1 is followed by 1"),
        ([-1, 0, 1, 3], "numbers from 0 up; got"),
        ([0, nan, 1, 3], "numbers from 0 up; got"),
        ([[0, 1, 2, 3]], "one row of numbers"),
    ],
)
def test_steps_that_are_no_time_are_refused(steps: list[float], words: str) -> None:
    for take in (fit_sigmoid, fit_change_point, midpoints, describe_rise, lambda s, y: crossings(s, y, 0)):
        with pytest.raises(ValueError, match=words):
            take(steps, [0.0, 1.0, 2.0, 3.0])


@pytest.mark.parametrize("take", [fit_sigmoid, fit_change_point, midpoints, lambda s, y: crossings(s, y, 0)])
def test_a_curve_of_another_length_is_refused(take: object) -> None:
    with pytest.raises(ValueError, match="4 steps need"):
        take([0, 1, 2, 3], [0.0, 1.0, 2.0])  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(12))
def test_the_sigmoid_and_its_interval_are_those_of_curve_fit(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth = (draw.uniform(-1, 1), draw.uniform(0.5, 3), draw.uniform(3, 7), draw.uniform(0.2, 1))
    values = sigmoid(truth[2], truth[3], 0.05, seed, truth[0], truth[1])
    values[draw.integers(X.size, size=5)] = nan
    told = np.isfinite(values)
    best, spread = optimize.curve_fit(
        lambda x, y0, a, m, w: y0 + a * special.expit((x - m) / w), X[told], values[told], truth
    )
    half = stats.t.ppf(0.975, told.sum() - 4) * np.sqrt(spread[2, 2])
    found = fit_sigmoid(STEPS, values)
    assert found.usable
    np.testing.assert_allclose([found.y0, found.amplitude, found.m, found.w], best, rtol=1e-4)
    np.testing.assert_allclose(np.log1p(found.midpoint_interval), [best[2] - half, best[2] + half], rtol=1e-4)
    fitted = best[0] + best[1] * special.expit((X[told] - best[2]) / best[3])
    assert found.rss == pytest.approx(((values[told] - fitted) ** 2).sum(), rel=1e-6)
    assert found.midpoint == pytest.approx(expm1(best[2]), rel=1e-3)


def test_the_interval_of_the_midpoint_covers_the_truth_19_times_in_20() -> None:
    draw = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        m = draw.uniform(3, 7)
        low, high = fit_sigmoid(STEPS, sigmoid(m, draw.uniform(0.3, 1), 0.15, seed)).midpoint_interval
        covered += low <= expm1(m) <= high
    assert 179 <= covered <= 199  # of a binomial of 200 and 0.95, all but two in a thousand


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_fit_does_not_depend_on_the_unit_of_the_curve(scale: float) -> None:
    found, plain = fit_sigmoid(STEPS, scale * sigmoid(5, 0.5, 0.1)), fit_sigmoid(STEPS, sigmoid(5, 0.5, 0.1))
    assert found.midpoint == pytest.approx(plain.midpoint, rel=1e-6)
    assert found.amplitude == pytest.approx(scale * plain.amplitude, rel=1e-6)


def test_a_curve_without_noise_is_found_exactly() -> None:
    found = fit_sigmoid(STEPS, sigmoid(5, 0.5))
    assert (found.y0, found.amplitude, found.m, found.w) == pytest.approx((0.1, 2, 5, 0.5), rel=1e-6)
    assert found.usable


UNUSABLE = {
    "few": (np.where(np.arange(X.size) < 5, X, nan), "5 finite observations are too few for a sigmoid, which needs 6"),
    "constant": (np.full(X.size, 0.3), "the curve is constant"),
    "falling": (-sigmoid(5, 0.5, 0.1), "falls"),
    "one step": (np.where(X > 5, 1.0, 0.0), "lies between two observations"),
    "one step, with noise": (sigmoid(5, 1e-4, 0.05), "lies between two observations"),
    "straight": (X, "wider than the observed steps"),
    "ends before its middle": (np.exp(X), "half of the rise or more lies outside"),
    "begins after its middle": (-np.exp(-X), "half of the rise or more lies outside"),
    "drowned": (sigmoid(5, 1.5, 1.0, 0), "interval of the midpoint is wider than a decade"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_sigmoid_that_the_curve_does_not_show_is_not_usable(case: str) -> None:
    values, words = UNUSABLE[case]
    found = fit_sigmoid(STEPS, values)
    assert not found.usable
    assert words in found.reason
    assert repr(found) == repr(fit_sigmoid(STEPS, values))


def test_six_observations_are_enough() -> None:
    steps = np.array([0, 10, 100, 1000, 10_000, 100_000])
    values = [0.0, 0.01, 0.1, 0.9, 1.0, 1.01]
    assert fit_sigmoid(steps, values).usable
    assert not fit_sigmoid(steps, [*values[:5], nan]).usable


def change_point(values: Array) -> tuple[int, float]:
    """The last observation before the best split, and its sum of squares."""
    told = values[np.isfinite(values)]
    sums = [told[:k].var() * k + told[k:].var() * (told.size - k) for k in range(2, told.size - 1)]
    return int(np.argmin(sums)) + 1, min(sums)


@pytest.mark.parametrize("count", [4, 5, 9, 40])
def test_the_change_point_is_the_best_of_all_splits(count: int) -> None:
    draw = np.random.default_rng(count)
    for _ in range(50):
        values = draw.standard_normal(count) + 2 * (np.arange(count) > draw.integers(count))
        values = np.insert(values, draw.integers(count), nan)
        steps = STEPS[: count + 1]
        place, rss = change_point(values)
        told = steps[np.isfinite(values)]
        found = fit_change_point(steps, values)
        assert found is not None
        assert found.between == (told[place], told[place + 1])
        assert found.rss == pytest.approx(rss)
        assert log1p(found.midpoint) == pytest.approx((log1p(told[place]) + log1p(told[place + 1])) / 2)
        kept = values[np.isfinite(values)]
        assert (found.before, found.after) == pytest.approx((kept[: place + 1].mean(), kept[place + 1 :].mean()))


@pytest.mark.parametrize("values", [[0, 1, 1], [1, 1, 1, 1, 1], [nan, 0, 1, nan, 1]])
def test_a_curve_without_two_sides_has_no_change_point(values: list[float]) -> None:
    assert fit_change_point(range(len(values)), values) is None  # type: ignore[arg-type]


def test_a_rise_is_described_by_the_simplest_shape_that_it_shows() -> None:
    smooth, sudden = describe_rise(STEPS, sigmoid(5, 0.5, 0.1)), describe_rise(STEPS, np.where(X > 5, 1.0, 0.0))
    assert isinstance(smooth.shape, Sigmoid)
    assert smooth.reason == ""
    assert isinstance(sudden.shape, ChangePoint)
    assert "between two observations" in sudden.reason
    low, high = sudden.shape.between
    assert log1p(low) <= 5 < log1p(high)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full(X.size, 0.3), "the curve is constant"),
        (np.where(np.arange(X.size) < 3, X, nan), "3 finite observations are too few"),
        (-sigmoid(5, 0.5, 0.1), "largest change of the mean is a fall"),
    ],
)
def test_what_does_not_rise_has_no_shape(values: Array, words: str) -> None:
    found = describe_rise(STEPS, values)
    assert found.shape is None
    assert words in found.reason


def test_midpoints_of_many_curves_are_those_of_their_fits() -> None:
    draw = np.random.default_rng(0)
    curves = np.array([sigmoid(draw.uniform(3, 7), draw.uniform(0.3, 1), 0.05, seed) for seed in range(60)])
    curves[:, [4, 20]] = nan
    expected = [fit_sigmoid(STEPS, curve).m for curve in curves]
    found = midpoints(STEPS, curves.reshape(3, 20, -1))
    assert found.shape == (3, 20)
    off = np.abs(np.log1p(found.ravel()) - expected)
    assert off.max() < 0.1  # in log(1 + s): one cell of the grid is 0.08
    assert np.median(off) < 0.01


def test_midpoints_do_not_depend_on_the_curves_beside_them() -> None:
    curves = np.array([sigmoid(3 + seed / 700, 0.5, 0.2, seed) for seed in range(2100)])
    whole = midpoints(STEPS, curves)
    np.testing.assert_allclose(whole[[0, 999, 1000, 2099]], [midpoints(STEPS, curves[k]) for k in (0, 999, 1000, 2099)])


def test_a_replicate_that_nowhere_rises_has_its_midpoint_at_infinity() -> None:
    assert midpoints(STEPS, [np.full(X.size, 0.1), -X, X])[:2].tolist() == [inf, inf]


def test_midpoints_refuse_curves_that_lack_different_steps_or_too_many() -> None:
    curves = np.array([sigmoid(5, 0.5), sigmoid(5, 0.5)])
    curves[0, 3] = nan
    with pytest.raises(ValueError, match="lack values at different steps"):
        midpoints(STEPS, curves)
    with pytest.raises(ValueError, match="needs 6 finite observations or more; the curves have 5"):
        midpoints(STEPS[:5], curves[1:, :5])
