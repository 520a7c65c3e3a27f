"""Effective rank and participation ratio, against singular values by numpy and matrices of known rank."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from models import LAYERS, NanoGPT, seeded
from structural import observed, recorded
from torch import nn

from observatory.measure.instruments.rank import ranks
from observatory.measure.spectrum import effective_rank, participation_ratio, variances


def orthonormal(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((rows, columns)))[0]


def of_known_sizes(rows: int, columns: int, sizes: list[float]) -> np.ndarray:
    """A matrix whose columns have mean 0 and whose singular values are these."""
    centred = np.random.default_rng(0).standard_normal((rows, len(sizes)))
    left = np.linalg.qr(centred - centred.mean(0))[0]
    return left * np.array(sizes) @ orthonormal(columns, len(sizes), 1).T


def by_hand(values: np.ndarray) -> tuple[float, float]:
    values = values.astype(np.float64)
    sizes = np.linalg.svd(values - values.mean(0), compute_uv=False)
    share = sizes / sizes.sum()
    share = share[share > 1e-12]
    most = min(len(values) - 1, values.shape[1])
    return np.exp(-(share * np.log(share)).sum()) / most, (sizes**2).sum() ** 2 / (sizes**4).sum()


@pytest.mark.parametrize(("rows", "columns"), [(30, 50), (50, 30)])
@pytest.mark.parametrize("rank", [1, 4, 12])
def test_equal_directions_are_counted(rows: int, columns: int, rank: int) -> None:
    matrix = of_known_sizes(rows, columns, [3.0] * rank)
    effective, participation = ranks(torch.tensor(matrix + 7.5))  # what all share is no direction
    assert effective * min(rows - 1, columns) == pytest.approx(rank, rel=1e-4)
    assert participation == pytest.approx(rank, rel=1e-6)


def test_unequal_directions_count_by_their_sizes() -> None:
    sizes = [4.0, 2.0, 1.0, 1.0]
    found = variances(torch.tensor(of_known_sizes(20, 9, sizes)))
    np.testing.assert_allclose(found.flip(0)[:4], np.square(sizes))
    share = np.array(sizes) / 8
    assert float(effective_rank(found)) == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-5)
    assert float(participation_ratio(found)) == pytest.approx(22**2 / (256 + 16 + 1 + 1))


@pytest.mark.parametrize(("rows", "columns"), [(30, 50), (50, 30)])
def test_random_activations_have_the_ranks_that_numpy_gives(rows: int, columns: int) -> None:
    values = np.random.default_rng(2).standard_normal((rows, columns)) * np.geomspace(1, 100, columns)
    assert ranks(torch.tensor(values, dtype=torch.float32)) == pytest.approx(by_hand(values), rel=1e-5)


def test_what_does_not_vary_or_is_not_finite_has_no_rank() -> None:
    assert np.isnan(ranks(torch.full((9, 4), 2.0))).all()
    odd = torch.randn(9, 4)
    for value in (torch.nan, torch.inf):
        odd[3, 2] = value
        assert np.isnan(ranks(odd)).all()


def test_the_instrument_takes_the_last_token_of_every_text() -> None:
    model = seeded(NanoGPT)
    seen = observed(model, "rank")
    blocks = list(model.transformer["h"])
    spaces = {
        "mlp": recorded(model, [block.mlp.c_proj for block in blocks], "input"),
        "residual": recorded(model, blocks, "output"),
    }
    for space, layers in spaces.items():
        expected = [by_hand(np.stack([one[-1] for one in outputs])) for outputs in layers]
        np.testing.assert_allclose(seen[f"rank_effective_{space}"], [one for one, _ in expected], rtol=1e-4)
        np.testing.assert_allclose(seen[f"rank_participation_{space}"], [one for _, one in expected], rtol=1e-4)
        assert seen.variables[f"rank_effective_{space}"].dims == ("layer",)


def test_a_model_that_lets_few_directions_through_has_a_low_rank() -> None:
    model = seeded(NanoGPT)
    plain = observed(model, "rank")
    mixed = torch.tensor(orthonormal(16, 3, 0), dtype=torch.float32)
    block = model.transformer["h"][1]
    block.register_forward_hook(lambda _, __, output: output @ mixed @ mixed.T)
    seen = observed(model, "rank")
    assert seen["rank_participation_residual"][1] <= 3 < plain["rank_participation_residual"][1]
    assert seen["rank_effective_residual"][1] * 16 <= 3.001
    np.testing.assert_array_equal(seen["rank_effective_residual"][0], plain["rank_effective_residual"][0])


def test_layers_may_differ_in_width_and_half_precision_rounds_alone() -> None:
    model = seeded(NanoGPT)
    mlp = model.transformer["h"][1].mlp
    torch.manual_seed(0)
    mlp.c_fc, mlp.c_proj = nn.Linear(16, 33), nn.Linear(33, 16)
    seen, half = observed(model, "rank"), observed(model.bfloat16(), "rank")
    assert seen["rank_effective_mlp"].shape == (LAYERS,)
    model.float()
    expected = [by_hand(np.stack([one[-1] for one in outputs])) for outputs in recorded(model, [mlp.c_proj], "input")]
    assert seen["rank_effective_mlp"][1] == pytest.approx(expected[0][0], rel=0.02)  # of weights rounded meanwhile
    for name in seen.variables:
        np.testing.assert_allclose(half[name], seen[name], rtol=0.1)


def test_a_model_that_has_diverged_has_no_rank_from_there_on() -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        model.transformer["h"][1].mlp.c_fc.bias[3] = torch.nan
    seen = observed(model, "rank")
    assert np.isnan(seen["rank_participation"])
    for name in set(seen.variables) - {"rank_participation"}:
        assert np.isfinite(seen[name][0])
        assert np.isnan(seen[name][1:]).all()
