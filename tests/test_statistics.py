"""The unit statistics, against scipy and against the formulas of their papers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from observatory.measure.statistics import Moments, hedges_g, join, moments, welch_t

CASES = {
    # items of the target, items of the control, mean, spread
    "equal counts": (32, 32, 0.0, 1.0),
    "unequal counts": (7, 40, 0.3, 2.0),
    "the fewest": (2, 2, 0.0, 1.0),
    "large offset": (32, 32, 1e4, 1e-1),
    "larger offset": (32, 20, 1e4, 1e-2),
    "large values": (16, 16, 0.0, 1e15),
    "small values": (16, 16, 0.0, 1e-15),
}


def samples(case: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two conditions of unequal spread; some units differ, some do not."""
    first, second, mean, spread = CASES[case]
    draw = np.random.default_rng(seed)
    shift = spread * np.linspace(-1, 1, 50)
    target = mean + shift + spread * draw.standard_normal((2, first, 50))
    control = mean + 3 * spread * draw.standard_normal((2, second, 50))
    return torch.from_numpy(target), torch.from_numpy(control)


@pytest.mark.parametrize("case", CASES)
def test_welch_t_is_scipys(case: str) -> None:
    target, control = samples(case)
    t = welch_t(moments(target), moments(control))
    expected = stats.ttest_ind(target.numpy(), control.numpy(), axis=1, equal_var=False).statistic
    assert t.shape == (2, 50)
    np.testing.assert_allclose(t.numpy(), expected, rtol=1e-6)


def test_welch_t_of_single_precision_activations_is_scipys_on_the_same_values() -> None:
    target, control = (values.float() for values in samples("equal counts"))
    t = welch_t(moments(target + 100), moments(control + 100))
    wide = [(values + 100).double().numpy() for values in (target, control)]
    np.testing.assert_allclose(t.numpy(), stats.ttest_ind(*wide, axis=1, equal_var=False).statistic, rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_hedges_g_is_the_standardised_difference_with_the_exact_correction(case: str) -> None:
    target, control = (values.numpy() for values in samples(case))
    n, m = target.shape[1], control.shape[1]
    pooled = np.sqrt(((n - 1) * target.var(1, ddof=1) + (m - 1) * control.var(1, ddof=1)) / (n + m - 2))
    freedom = n + m - 2
    correction = special.gamma(freedom / 2) / (np.sqrt(freedom / 2) * special.gamma((freedom - 1) / 2))
    expected = correction * (target.mean(1) - control.mean(1)) / pooled
    g = hedges_g(*(moments(torch.from_numpy(values)) for values in (target, control)))
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-6)


def test_hedges_g_is_unbiased_in_small_samples() -> None:
    draw = torch.Generator().manual_seed(0)
    true, units = 0.8, 400_000
    target = true + torch.randn(4, units, generator=draw)
    control = torch.randn(4, units, generator=draw)
    assert hedges_g(moments(target), moments(control)).mean().item() == pytest.approx(true, abs=0.01)


def test_hedges_g_can_be_taken_of_a_thousand_stimuli() -> None:
    """The gamma function itself overflows from 171 on."""
    draw = torch.Generator().manual_seed(0)
    target, control = torch.randn(1000, 3, generator=draw) + 1, torch.randn(1000, 3, generator=draw)
    pooled = ((target.double().var(0) + control.double().var(0)) / 2).sqrt()
    plain = (target.double().mean(0) - control.double().mean(0)) / pooled
    torch.testing.assert_close(hedges_g(moments(target), moments(control)), plain * (1 - 3 / (4 * 1998 - 1)))


DEAD = {
    "silent": (torch.zeros(8), torch.zeros(8)),
    "constant": (torch.full((8,), 3.7), torch.full((8,), 3.7)),
    "constant and apart": (torch.full((8,), 3.7), torch.full((8,), 2.5)),
    "rounding noise": (1e3 + 6e-5 * torch.randn(8, generator=torch.Generator().manual_seed(0)), torch.full((8,), 1e3)),
    "not a number": (torch.tensor([1.0, 2.0, torch.nan, 3.0]), torch.arange(4.0)),
    "not a number in the control": (torch.arange(4.0), torch.tensor([torch.nan] * 4)),
    "infinite": (torch.tensor([1.0, 2.0, torch.inf, 3.0]), torch.arange(4.0)),
    "infinite everywhere": (torch.full((4,), torch.inf), torch.full((4,), -torch.inf)),
}


@pytest.mark.parametrize("statistic", [welch_t, hedges_g])
@pytest.mark.parametrize("case", DEAD)
def test_a_unit_that_tells_nothing_has_no_score(case: str, statistic: type) -> None:
    target, control = (moments(values[:, None]) for values in DEAD[case])
    assert torch.isnan(statistic(target, control)).all()


@pytest.mark.parametrize("statistic", [welch_t, hedges_g])
def test_a_unit_that_is_silent_in_one_condition_only_has_a_score(statistic: type) -> None:
    target, control = moments(torch.tensor([[1.0], [1.2], [0.9]])), moments(torch.zeros(3, 1))
    assert statistic(target, control).item() > 3


def test_a_dead_unit_does_not_touch_its_neighbours() -> None:
    target, control = samples("equal counts")
    whole = welch_t(moments(target), moments(control))
    target[..., 7], control[..., 7], target[0, 3, 9] = 0.0, 0.0, torch.nan
    t = welch_t(moments(target), moments(control))
    assert t.isnan().nonzero().tolist() == [[0, 7], [0, 9], [1, 7]]
    assert torch.equal(t[~t.isnan()], whole[~t.isnan()])


def test_moments_of_blocks_join_to_the_moments_of_the_whole() -> None:
    target, _ = samples("unequal counts")
    joined, whole = join([moments(target[..., :20]), moments(target[..., 20:])]), moments(target)
    assert joined.count == whole.count == 7
    assert torch.equal(joined.mean, whole.mean)
    assert torch.equal(joined.variance, whole.variance)


@pytest.mark.parametrize("items", [5, 12, 32, 100, 257])
def test_moments_of_a_unit_do_not_depend_on_its_neighbours(items: int) -> None:
    """torch sums a column in another order when there are few beside it, so a small memory changed the last bits."""
    values = torch.randn(2, items, 203, generator=torch.Generator().manual_seed(0))
    whole = moments(values)
    for start, stop in [(0, 1), (0, 2), (3, 5), (0, 16), (5, 25), (0, 31), (100, 203), (1, 65)]:
        for block in (values[..., start:stop], values[..., start:stop].contiguous()):
            assert torch.equal(moments(block).mean, whole.mean[..., start:stop])
            assert torch.equal(moments(block).variance, whole.variance[..., start:stop])


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_taking_moments_leaves_the_values_alone(kind: torch.dtype) -> None:
    values = torch.randn(4, 3).to(kind)
    before = values.clone()
    moments(values)
    assert torch.equal(values, before)


def test_a_single_stimulus_has_no_spread() -> None:
    with pytest.raises(ValueError, match="needs 2 stimuli or more to have a spread; got 1"):
        moments(torch.ones(1, 3))


def test_moments_are_taken_in_double_precision() -> None:
    values = torch.tensor([[16_777_216.0], [16_777_218.0]])
    taken = moments(values)
    assert isinstance(taken, Moments)
    assert taken.mean.item() == 16_777_217.0
    assert taken.variance.item() == 2.0
