"""Leads and lags, against planted ones: how far off they are, and how often their intervals hold the truth."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from scipy import special

from observatory.observation import Array
from observatory.review.effects.change import Series
from observatory.review.effects.lead import Estimate, lead

COARSE = np.unique(np.append(0, np.round(np.geomspace(1, 20_000, 40))))
FINE = np.unique(np.round(np.geomspace(2, 60_000, 70)))


def rise(steps: Array, middle: float = 5.0, width: float = 0.6) -> Array:
    return special.expit((np.log1p(steps) - middle) / width)


def noisy(
    name: str, steps: Array, middle: float, noise: float, draw: np.random.Generator, scale: float = 1.0
) -> Series:
    """A rise of the given height (a fall, where it is negative) with noise that is known."""
    errors = np.full(steps.size, abs(scale) * noise)
    return Series(name, steps, scale * rise(steps, middle) + errors * draw.standard_normal(steps.size), errors=errors)


def both(first: Series, second: Series, draws: int = 100) -> tuple[Estimate, Estimate]:
    found = lead(first, second, draws)
    assert found.halfway is not None
    assert found.shift is not None
    return found.halfway, found.shift


@pytest.mark.parametrize(("second", "truth"), [(COARSE, 0.0), (FINE, 1.0)])
def test_the_interval_holds_the_truth_about_19_times_in_20(second: Array, truth: float) -> None:
    """Replicates of a noisy curve are noisier than it is, so the interval is rather too wide than too narrow."""
    draw = np.random.default_rng(0)
    held = np.zeros(2)
    widths, lags = [], []
    for _ in range(200):
        a, b = noisy("a", COARSE, 5.0, 0.05, draw), noisy("b", second, 5.0 + truth, 0.05, draw, -3.0)
        estimates = both(a, b, draws=80)
        for place, estimate in enumerate(estimates):
            assert estimate.interval is not None
            held[place] += estimate.interval[0] <= truth <= estimate.interval[1]
        widths.append([estimate.interval[1] - estimate.interval[0] for estimate in estimates if estimate.interval])
        lags.append([estimate.lag for estimate in estimates])
    assert (held >= 179).all()  # of a binomial of 200 and 0.95, all but one in a thousand
    assert (np.mean(widths, 0) < 1.5 * 2 * 1.96 * np.std(lags, 0)).all()  # not by being so wide that it says nothing
    np.testing.assert_allclose(np.mean(lags, 0), truth, atol=0.1)


@pytest.mark.parametrize("truth", [-2.0, -0.5, 0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1.0, -7.0])
def test_a_planted_shift_is_recovered_whatever_the_grids_heights_and_directions(truth: float, scale: float) -> None:
    a, b = Series("a", COARSE, rise(COARSE, 5.0, 0.4)), Series("b", FINE, 3 + scale * rise(FINE, 5.0 + truth, 0.4))
    halfway, shift = both(a, b)
    assert halfway.lag == pytest.approx(truth, abs=0.05)
    assert shift.lag == pytest.approx(truth, abs=0.02)  # a cell of the grid is 0.1
    assert shift.ratio == pytest.approx(exp(shift.lag))
    back, back_shift = both(b, a)
    assert (back.lag, back_shift.lag) == pytest.approx((-halfway.lag, -shift.lag), abs=0.01)


def test_the_ratio_is_that_of_one_more_than_the_steps() -> None:
    halfway, _ = both(Series("a", COARSE, rise(COARSE, np.log1p(99))), Series("b", COARSE, rise(COARSE, np.log1p(299))))
    assert halfway.ratio == pytest.approx(3.0, rel=0.05)


def test_the_first_comes_first_with_the_probability_of_the_replicates() -> None:
    draw = np.random.default_rng(0)
    a, b = noisy("a", COARSE, 5.0, 0.03, draw), noisy("b", COARSE, 6.0, 0.03, draw)
    for there, back in zip(both(a, b), both(b, a), strict=True):
        assert there.before == 1.0
        assert back.before == 0.0
        assert there.interval is not None
        assert there.interval[0] > 0
        assert there.ratio_interval == pytest.approx((exp(there.interval[0]), exp(there.interval[1])))


def test_replicates_of_equal_count_are_paired() -> None:
    """Both series move together from replicate to replicate, so their lag is known far better than either."""
    draw = np.random.default_rng(0)
    middles = 5 + draw.normal(0, 0.7, 60)
    tables = [np.array([rise(COARSE, middle + lag) for middle in middles]) for lag in (0.0, 0.5)]
    a, b, cut = (
        Series(name, COARSE, rise(COARSE, middle), replicates=table)
        for name, middle, table in (("a", 5, tables[0]), ("b", 5.5, tables[1]), ("b", 5.5, tables[1][:50]))
    )
    for paired, unpaired in zip(both(a, b), both(a, cut, draws=400), strict=True):
        assert paired.before == 1.0
        assert paired.interval is not None
        assert unpaired.interval is not None
        assert np.ptp(paired.interval) < 0.15
        assert np.ptp(unpaired.interval) > 2
        assert unpaired.before is not None
        assert unpaired.before < 0.9


def test_series_that_are_the_same_tie() -> None:
    series = Series("a", COARSE, rise(COARSE), replicates=np.stack([rise(COARSE, 4 + k / 40) for k in range(80)]))
    for estimate in both(series, series):
        assert (estimate.lag, estimate.interval, estimate.before) == (0.0, (0.0, 0.0), 0.5)


def test_a_replicate_that_falls_where_the_series_rises_is_read_in_its_own_direction() -> None:
    table = np.stack([rise(COARSE)] * 100)
    table[0] = 1 - table[0]
    plain = np.stack([rise(COARSE)] * 100)
    a, b = (Series(name, COARSE, rise(COARSE), replicates=rows) for name, rows in (("a", plain), ("b", table)))
    found = lead(a, b).halfway
    assert found is not None
    assert found.interval == pytest.approx((0.0, 0.0), abs=1e-9)
    assert found.before == pytest.approx(0.5, abs=0.01)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    a, b = (noisy(name, COARSE, 5.0, 0.05, np.random.default_rng(0)) for name in "ab")
    assert lead(a, b, seed=3) == lead(a, b, seed=3)
    assert lead(a, b, seed=3) != lead(a, b, seed=4)


def test_half_way_is_not_moved_by_a_wild_observation_an_overshoot_or_a_gap() -> None:
    plain = Series("plain", FINE, rise(FINE))
    x = np.log1p(FINE)
    wild, over, gaps = rise(FINE), rise(FINE) + 0.8 * np.exp(-((x - 7.5) ** 2)), rise(FINE)
    wild[[1, -1]] = 50, -50
    gaps[30:33] = np.nan
    for values in (wild, over, gaps):
        assert both(plain, Series("other", FINE, values))[0].lag == pytest.approx(0, abs=0.12)


def test_levels_are_of_a_tenth_of_log_time_where_observations_are_evenly_spaced() -> None:
    """A tenth of 150 such observations would be 15 at the start, which reach past the rise."""
    even = np.append(2 ** np.arange(10) - 1, np.arange(1000, 144_000, 1000))
    a, b = (Series(name, even, rise(even, middle, 0.3)) for name, middle in (("a", 6.0), ("b", 7.0)))
    assert both(a, b)[0].lag == pytest.approx(1.0, abs=0.1)


def test_a_shift_beyond_the_overlap_is_marked() -> None:
    a, b = (Series(name, COARSE, rise(COARSE, middle, 0.2)) for name, middle in (("a", 1.5), ("b", 8.5)))
    halfway, shift = both(a, b)
    assert halfway.lag == pytest.approx(7.0, abs=0.1)
    assert not halfway.at_bound
    assert shift.at_bound
    assert shift.lag == shift.bound[1] == pytest.approx(np.log1p(20_000) / 2, rel=0.02)
    assert not both(a, a)[1].at_bound


def test_of_shifts_that_are_equally_good_the_smallest_is_taken() -> None:
    line = Series("line", COARSE, np.log1p(COARSE))  # is like itself wherever it is moved to
    assert both(line, line)[1].lag == pytest.approx(0, abs=0.1)


def test_an_interval_that_ends_at_the_bound_is_marked() -> None:
    assert Estimate(1.0, (0.5, 3.0), 1.0, (-3.0, 3.0)).at_bound
    assert not Estimate(1.0, (0.5, 2.9), 1.0, (-3.0, 3.0)).at_bound


@pytest.mark.parametrize("known", ["neither", "first", "second"])
def test_without_the_noise_of_both_there_is_no_interval(known: str) -> None:
    errors = np.full(COARSE.size, 0.01)
    a = Series("loss", COARSE, -rise(COARSE), errors=errors if known == "first" else None)
    b = Series("E", COARSE, rise(COARSE), errors=errors if known == "second" else None)
    found = lead(a, b)
    missing = "E" if known == "first" else "loss"
    assert found.reason == f"there is no interval, because {missing} has neither replicates nor errors"
    for estimate in both(a, b):
        assert (estimate.interval, estimate.ratio_interval, estimate.before) == (None, None, None)


SILENT = {
    "few": (np.where(np.arange(COARSE.size) < 5, COARSE, np.nan), "has 5 finite observations, and a lead needs 6"),
    "constant": (np.full(COARSE.size, 0.3), "is constant"),
    "back where it was": (np.exp(-((np.log1p(COARSE) - 5) ** 2)), "has no net change"),
    "up and half down": (
        rise(COARSE, 4.0) - 0.6 * rise(COARSE, 7.0),
        "goes up and down: from 0.004",
    ),
}


@pytest.mark.parametrize("case", SILENT)
def test_a_series_that_says_nothing_gives_a_sentence_and_no_number(case: str) -> None:
    values, words = SILENT[case]
    plain, silent = Series("plain", COARSE, rise(COARSE)), Series("silent", COARSE, values, errors=values * 0 + 0.05)
    for pair in ((plain, silent), (silent, plain)):
        found = lead(*pair)
        assert (found.first, found.second) == (pair[0].name, pair[1].name)
        assert (found.halfway, found.shift) == (None, None)
        assert found.reason.startswith(f"silent {words}")


@pytest.mark.parametrize("known", [True, False])
def test_noise_about_a_level_is_no_net_change(known: bool) -> None:
    draw = np.random.default_rng(0)
    errors = np.full(COARSE.size, 0.2) if known else None
    said = 0
    for _ in range(200):
        found = lead(
            Series("noise", COARSE, 0.2 * draw.standard_normal(COARSE.size), errors=errors),
            noisy("a", COARSE, 5, 0.01, draw),
            40,
        )
        said += found.halfway is not None
    assert said <= 8  # 1% of 200, of a binomial all but one in a thousand


def test_a_change_of_many_standard_errors_is_seen_without_their_being_given() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        values = rise(COARSE) + 0.05 * draw.standard_normal(COARSE.size)
        assert lead(Series("a", COARSE, values), Series("b", COARSE, values)).halfway is not None


def test_series_of_too_different_a_length_have_no_shift() -> None:
    short = np.arange(1000, 1500, 10)
    a, b = Series("a", short, rise(short, 7.1, 0.01)), Series("b", FINE, rise(FINE))
    found = lead(a, b)
    assert found.shift is None
    assert found.halfway is not None
    assert found.halfway.lag == pytest.approx(-2.1, abs=0.1)
    assert "less than a tenth of the other's log(1 + step)" in found.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": [0, 2, 1, 3]}, "2 is followed by 1"),
        ({"values": [0, 1]}, r"loss has 4 steps and needs as many values; got shape \(2,\)"),
        ({"errors": [0, 1, 1]}, "finite error of 0 or more for each of its 4 steps"),
        ({"errors": [0, 1, 1, -1]}, "finite error of 0 or more"),
        ({"errors": [0, 1, 1, np.nan]}, "finite error of 0 or more"),
        ({"replicates": np.zeros((39, 4))}, r"40 or more rows of 4 values; got shape \(39, 4\)"),
        ({"replicates": np.zeros((50, 3))}, r"got shape \(50, 3\)"),
        ({"replicates": np.zeros((50, 4)), "errors": np.ones(4)}, "replicates and errors; give the one"),
    ],
)
def test_a_series_that_contradicts_itself_is_refused(change: dict[str, Array], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Series(**{"name": "loss", "steps": np.arange(4), "values": np.arange(4.0), **change})


def test_too_few_draws_are_refused() -> None:
    series = Series("a", COARSE, rise(COARSE))
    with pytest.raises(ValueError, match="needs 40 draws or more; got 39"):
        lead(series, series, draws=39)
