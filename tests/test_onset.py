"""Crossings and intervals of replicates, against loops written out."""

from __future__ import annotations

from math import expm1, inf, log1p, nan

import numpy as np
import pytest

from observatory.observation import Array
from observatory.review.judge.onset import crossings, interval

STEPS = np.unique(np.append(0, np.round(np.geomspace(1, 20_000, 60))))


def crossing(steps: Array, curve: Array, threshold: Array) -> float:
    """The definition, word for word; comparisons with nan are false."""
    for i in range(len(steps) - 1):
        if curve[i] > threshold[i] and curve[i + 1] > threshold[i + 1]:
            if i == 0 or np.isnan(curve[i - 1]):
                return float(steps[i])
            low, high = curve[i - 1] - threshold[i - 1], curve[i] - threshold[i]
            x, y = log1p(steps[i - 1]), log1p(steps[i])
            return expm1(x + (y - x) * (0 - low) / (high - low))
    return inf


@pytest.mark.parametrize("first", [0, 1, 7])
def test_crossings_are_those_of_a_loop(first: int) -> None:
    draw = np.random.default_rng(first)
    steps = STEPS[first : first + 12]
    curves = draw.standard_normal((6, 200, 12)).cumsum(-1)
    curves[draw.random(curves.shape) < 0.15] = nan
    levels = draw.standard_normal((6, 200, 12))
    for threshold in (np.float64(0.5), levels[:, :1, 0], levels[..., 0], levels[:1, :1], levels):
        found = crossings(steps, curves, threshold)
        wide = np.broadcast_to(threshold if threshold.ndim == 3 else threshold[..., None], curves.shape)
        expected = [
            [crossing(steps, *pair) for pair in zip(*row, strict=True)] for row in zip(curves, wide, strict=True)
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert np.isinf(found).any()
        assert (found == steps[0]).any()


CROSSINGS = {
    "half-way in log(1 + s)": ([0, 0, 1, 1], 9.0),
    "a single observation above": ([0, 1, 0, 0], inf),
    "the last observation alone": ([0, 0, 0, 1], inf),
    "above from the start": ([1, 1, 0, 0], 0.0),
    "above after a gap, from where it is seen": ([0, nan, 1, 1], 15.0),
    "a gap breaks the pair": ([0, 1, nan, 1], inf),
    "the second rise is the sustained one": ([1, 0, 1, 1], 9.0),
    "at the threshold is not above it": ([0.5, 0.5, 0.5, 0.5], inf),
    "passing exactly at an observation": ([0, 0.5, 1, 1], 5.25),
    "a loss to minus infinity says nothing": ([0, -inf, 1, 1], 15.0),
}


@pytest.mark.parametrize("case", CROSSINGS)
def test_a_crossing_is_sustained_and_interpolated(case: str) -> None:
    curve, expected = CROSSINGS[case]
    found = crossings([0, 5.25, 15, 40], curve, 0.5)
    assert found.shape == ()
    assert found == pytest.approx(expected)


def test_one_observation_is_never_sustained() -> None:
    assert crossings([3], [[9.0]], 0).tolist() == [inf]


def test_a_threshold_that_fits_no_axes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\) fits neither the curves, of shape \(2, 4\), nor their leading"):
        crossings([0, 1, 2, 3], np.zeros((2, 4)), np.zeros(4))


@pytest.mark.parametrize(("count", "tail"), [(1, 0), (39, 0), (40, 1), (400, 10), (500, 12)])
def test_as_many_replicates_lie_outside_on_either_side(count: int, tail: int) -> None:
    low, high, never = interval(np.random.default_rng(0).permutation(count))
    assert (low, high, never) == (tail, count - 1 - tail, 0)


def test_an_interval_is_open_above_as_soon_as_more_than_the_tail_never_emerge() -> None:
    onsets = np.arange(400.0)
    onsets[:10] = inf
    assert interval(onsets) == (20, 399, 0.025)
    onsets[10] = inf
    assert interval(onsets) == (21, inf, 11 / 400)
    assert interval(np.full(9, inf)) == (inf, inf, 1)


def test_the_level_of_an_interval_is_exact_where_its_tail_is_a_whole_number() -> None:
    assert interval(np.arange(200), 0.9)[:2] == (10, 189)  # 200 * (1 - 0.9) / 2 is 9.999... in floating point


@pytest.mark.parametrize(
    ("replicates", "level", "words"),
    [([], 0.95, "got 0"), ([1, nan], 0.95, "of which 1 nan"), ([1], 1.0, "between 0 and 1"), ([1], 95, "got 95")],
)
def test_an_interval_of_nothing_is_refused(replicates: list[float], level: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        interval(replicates, level)
