"""From scores to regions and from regions to indices, each against its definition written out in loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from observatory.measure import regions
from observatory.measure.statistics import moments, welch_t

NAN = torch.nan


@pytest.mark.parametrize(
    ("share", "units", "count"),
    [
        (0.01, 2048, 21),
        (0.01, 100, 1),
        (0.01, 101, 2),
        (0.01, 5, 1),
        (0.07, 100, 7),  # .07 * 100 is 7.000000000000001
        (0.1, 30, 3),
        (0.5, 3, 2),
        (0.001, 100, 1),
    ],
)
def test_a_region_holds_its_share_rounded_up(share: float, units: int, count: int) -> None:
    assert regions.size(share, units) == count


def test_the_default_share_is_rounded_up_exactly_for_every_number_of_units() -> None:
    assert all(regions.size(0.01, units) == -(-units // 100) for units in range(1, 20_000))


def mask_by_llm_localization(positive: np.ndarray, negative: np.ndarray, count: int) -> np.ndarray:
    """The procedure of AlKhamissi et al. 2025 (llm-localization): (item, layer, unit) -> (layer, unit)."""
    _, layers, units = positive.shape
    values = np.zeros((layers, units))
    for layer in range(layers):
        values[layer], _ = stats.ttest_ind(
            np.abs(positive[:, layer]), np.abs(negative[:, layer]), axis=0, equal_var=False
        )
    threshold = np.sort(values.flatten())[-count]
    return values >= threshold


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_mask_is_the_one_of_llm_localization(share: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    scale = np.exp(draw.normal(size=(1, 4, 60)))
    positive = (scale * (draw.standard_normal((40, 4, 60)) + draw.normal(size=(1, 4, 60)))).astype(np.float32)
    negative = (scale * draw.standard_normal((40, 4, 60))).astype(np.float32)
    count = regions.size(share, 240)
    flat = [torch.from_numpy(np.abs(values).reshape(40, -1)) for values in (positive, negative)]
    mask = regions.top(welch_t(moments(flat[0]), moments(flat[1])), count)
    expected = mask_by_llm_localization(positive.astype(np.float64), negative.astype(np.float64), count)
    assert expected.sum() == count
    assert np.array_equal(mask.numpy().reshape(4, 60), expected)


@pytest.mark.parametrize(
    ("scores", "count", "chosen"),
    [
        ([3.0, 1.0, 2.0], 2, [0, 2]),
        ([1.0, 1.0, 1.0, 1.0], 2, [0, 1]),
        ([0.0, 5.0, 1.0, 1.0, 1.0], 3, [1, 2, 3]),
        ([-3.0, -1.0, -2.0], 1, [1]),
        ([NAN, 1.0, NAN, 2.0], 1, [3]),
        ([NAN, 1.0, NAN, 2.0], 3, [1, 3]),
        ([NAN, -torch.inf, 2.0], 3, [1, 2]),
        ([NAN, NAN], 2, []),
        ([torch.inf, 1.0, torch.inf], 2, [0, 2]),
        ([1.0], 1, [0]),
    ],
    ids=["plain", "ties", "ties at the edge", "negative", "missing", "too few", "-inf", "none", "inf", "one"],
)
def test_the_largest_are_chosen_the_first_of_equals_and_never_a_missing_one(
    scores: list[float], count: int, chosen: list[int]
) -> None:
    assert regions.top(torch.tensor(scores), count).nonzero().flatten().tolist() == chosen


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from([NAN, -2.0, -1.0, 0.0, 0.5, 1.0]), min_size=1, max_size=12).flatmap(
        lambda scores: st.tuples(st.just(scores), st.integers(1, len(scores)))
    )
)
def test_choosing_is_a_stable_sort_cut_short(case: tuple[list[float], int]) -> None:
    scores, count = case
    alive = [unit for unit, score in enumerate(scores) if score == score]
    expected = sorted(sorted(alive, key=lambda unit: -scores[unit])[:count])
    assert regions.top(torch.tensor(scores), count).nonzero().flatten().tolist() == expected


def test_each_row_is_chosen_by_itself() -> None:
    scores = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
    masks = regions.top(scores, 5)
    assert (masks.sum(-1) == 5).all()
    for row in np.ndindex(2, 3):
        assert torch.equal(masks[row], regions.top(scores[row], 5))


def test_a_conjunction_is_the_smallest_of_the_scores_standardised_within_a_family() -> None:
    draw = np.random.default_rng(0)
    scores = draw.normal(2, 3, size=(2, 3, 40)) * np.array([1.0, 10.0, 0.1])[:, None]
    scores[0, 1, 5] = scores[1, 0, 6] = scores[1, 2, 6] = np.nan
    expected = np.full((2, 40), np.inf)
    for pooling in range(2):
        for family in range(3):
            row = scores[pooling, family]
            there = row[~np.isnan(row)]
            for unit in range(40):
                standard = (row[unit] - there.mean()) / there.std()
                expected[pooling, unit] = np.minimum(expected[pooling, unit], standard)  # a NaN stays one
    np.testing.assert_allclose(regions.conjunction(torch.from_numpy(scores)).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[NAN, NAN], [1.0, 2.0]], [NAN, NAN]),
        ([[3.0, NAN], [1.0, 2.0]], [-1.0, NAN]),  # the first family, with one unit alive, says nothing
        ([[2.0, 2.0], [2.0, 2.0]], [0.0, 0.0]),
    ],
    ids=["none alive", "one alive", "all equal"],
)
def test_a_family_without_spread_says_nothing(scores: list[list[float]], expected: list[float]) -> None:
    torch.testing.assert_close(regions.conjunction(torch.tensor(scores)), torch.tensor(expected), equal_nan=True)


def test_no_family_makes_no_conjunction() -> None:
    assert regions.conjunction(torch.empty(2, 0, 5)).isnan().all()


OWNERS = [0, 0, 0, 1, 1, 2, 2]
"""The domain of each family."""


def made_up(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Regions chosen on seven families, and the effect of every unit on each."""
    draw = torch.Generator().manual_seed(seed)
    chosen = regions.top(torch.randn(2, 7, 60, generator=draw), 4)
    return chosen, torch.randn(2, 7, 60, generator=draw, dtype=torch.float64)


def effect_by_hand(chosen: Tensor, g: Tensor, source: int, family: int) -> float:
    """The mean over the units of R_f of d_g(u)."""
    members = [unit for unit in range(g.shape[-1]) if chosen[source, unit]]
    there = [g[family, unit].item() for unit in members if not g[family, unit].isnan()]
    return sum(there) / len(there) if there else float("nan")


def test_effects_are_the_mean_over_the_region() -> None:
    chosen, g = made_up()
    g[0, 2, chosen[0, 1].nonzero()[0]] = NAN
    chosen[1, 3] = False
    found = regions.effects(chosen, g)
    assert found.shape == (2, 7, 7)
    expected = [[[effect_by_hand(chosen[p], g[p], f, h) for h in range(7)] for f in range(7)] for p in range(2)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    assert found[1, 3].isnan().all()


def test_indices_are_those_of_the_definitions() -> None:
    chosen, g = made_up()
    found = regions.indices(regions.effects(chosen, g), OWNERS, 3)
    for pooling in range(2):

        def effect(source: int, family: int, pooling: int = pooling) -> float:
            return effect_by_hand(chosen[pooling], g[pooling], source, family)

        for domain in range(3):
            own = [family for family, owner in enumerate(OWNERS) if owner == domain]
            other = [family for family, owner in enumerate(OWNERS) if owner != domain]
            index = float(np.mean([effect(f, h) for f in own for h in own if f != h]))
            foreign = float(np.mean([effect(f, h) for f in other for h in own]))
            smallest = min(float(np.mean([effect(f, h) for f in own if f != h])) for h in own)
            assert found.emergence[pooling, domain].item() == pytest.approx(index)
            assert found.specificity[pooling, domain].item() == pytest.approx(index - foreign)
            assert found.generality[pooling, domain].item() == pytest.approx(smallest)


@pytest.mark.parametrize(
    ("owners", "domains", "known"),
    [
        ([0, 0], 1, {"emergence": [True], "specificity": [False], "generality": [True]}),
        ([0, 1, 1], 2, {"emergence": [False, True], "specificity": [False, True], "generality": [False, True]}),
        ([0, 0, 2], 3, {"emergence": [True, False, False], "specificity": [True, False, False]}),
    ],
    ids=["one domain alone", "a domain of one family", "a domain without families"],
)
def test_what_has_nothing_to_be_compared_with_is_missing(
    owners: list[int], domains: int, known: dict[str, list[bool]]
) -> None:
    draw = torch.Generator().manual_seed(0)
    found = regions.indices(torch.randn(len(owners), len(owners), generator=draw), owners, domains)
    for name, finite in known.items():
        assert getattr(found, name).isfinite().tolist() == finite


def test_a_missing_effect_is_missing_in_the_indices_that_need_it_and_in_no_other() -> None:
    chosen, g = made_up()
    effect = regions.effects(chosen, g)
    whole = regions.indices(effect, OWNERS, 3)
    effect[:, 0, 1] = NAN
    found = regions.indices(effect, OWNERS, 3)
    assert found.emergence.isnan().tolist() == [[True, False, False]] * 2
    assert torch.equal(found.specificity[:, 1:], whole.specificity[:, 1:])
    assert torch.equal(found.generality[:, 1:], whole.generality[:, 1:])


def test_the_effect_of_a_region_on_the_family_that_chose_it_is_in_no_index() -> None:
    chosen, g = made_up()
    effect = regions.effects(chosen, g)
    circular = effect.clone()
    circular[:, range(7), range(7)] = 1e9
    one, other = regions.indices(effect, OWNERS, 3), regions.indices(circular, OWNERS, 3)
    assert torch.equal(one.emergence, other.emergence)
    assert torch.equal(one.specificity, other.specificity)
    assert torch.equal(one.generality, other.generality)


def masks(count: int, members: int, units: int = 200, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return regions.top(torch.rand(count, units, generator=draw), members)


def test_equal_regions_overlap_wholly() -> None:
    for members in (1, 20, 199):
        mask = masks(3, members)
        torch.testing.assert_close(regions.corrected_jaccard(mask, mask), torch.ones(3).double())


@pytest.mark.parametrize("members", [5, 20, 100])
def test_random_regions_overlap_by_nothing_on_average(members: int) -> None:
    overlap = regions.corrected_jaccard(masks(2000, members, seed=1), masks(2000, members, seed=2))
    assert abs(overlap.mean().item()) < 0.01
    plain = members / 200 / (2 - members / 200)  # what the Jaccard index itself would be
    assert plain > 0.01


def test_regions_apart_overlap_by_less_than_nothing() -> None:
    one, other = torch.arange(200) < 50, torch.arange(200) >= 150
    chance = (50 * 50 / 200) / (100 - 50 * 50 / 200)
    assert regions.corrected_jaccard(one, other).item() == pytest.approx(-chance / (1 - chance))


def test_the_overlap_of_empty_regions_is_missing() -> None:
    empty = torch.zeros(10, dtype=torch.bool)
    assert regions.corrected_jaccard(empty, empty).isnan()
    assert regions.corrected_jaccard(empty, masks(1, 3, units=10)[0]).isnan()


def test_overlaps_of_all_pairs_are_taken_at_once() -> None:
    mask = masks(3, 20)
    pairs = regions.corrected_jaccard(mask[:, None], mask[None])
    assert pairs.shape == (3, 3)
    assert torch.equal(pairs, pairs.T)
    assert pairs[0, 1] == regions.corrected_jaccard(mask[0], mask[1])
