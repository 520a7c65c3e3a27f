"""Sparsity of activations: formulas against definitions over pairs, the instrument against numpy and planted units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from models import LAYERS, NanoGPT, seeded
from structural import observed, recorded
from torch import nn

from observatory import Observation
from observatory.measure.sparseness import gini, hoyer

INNER = 20


def blocks_of(model: nn.Module) -> list[nn.Module]:
    return list(model.transformer["h"])


def gini_by_pairs(values: np.ndarray) -> float:
    """Half the mean difference of two entries over their mean."""
    size = np.abs(values)
    return float(np.abs(size[:, None] - size).mean() / (2 * size.mean()))


def hoyer_by_hand(values: np.ndarray) -> float:
    root = np.sqrt(values.size)
    return float((root - np.linalg.norm(values, 1) / np.linalg.norm(values, 2)) / (root - 1))


@pytest.mark.parametrize("seed", range(5))
def test_gini_and_hoyer_are_their_definitions(seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((3, 2 + 9 * seed)) ** 3
    found = gini(torch.tensor(values)), hoyer(torch.tensor(values))
    np.testing.assert_allclose(found[0], [gini_by_pairs(row) for row in values])
    np.testing.assert_allclose(found[1], [hoyer_by_hand(row) for row in values], atol=1e-12)


def test_gini_and_hoyer_of_what_is_known() -> None:
    one, equal = torch.zeros(50), torch.full((50,), -3.0)
    one[7] = -2.0
    assert (float(gini(one)), float(hoyer(one))) == pytest.approx((49 / 50, 1))
    assert (float(gini(equal)), float(hoyer(equal))) == pytest.approx((0, 0), abs=1e-6)
    normal = torch.randn(10**6, generator=torch.Generator().manual_seed(0))
    assert float(gini(normal)) == pytest.approx(np.sqrt(2) - 1, abs=1e-3)
    assert float(hoyer(normal)) == pytest.approx(1 - np.sqrt(2 / np.pi), abs=2e-3)
    for of in (gini, hoyer):
        assert of(torch.zeros(9)).isnan()
        for odd in (torch.nan, torch.inf):
            assert of(torch.tensor([[1.0, 2.0], [odd, 1.0]])).isnan().tolist() == [False, True]


def by_hand(model: nn.Module) -> dict[str, list[float]]:
    """Over all tokens but the first of each text."""
    spaces = {
        "mlp": recorded(model, [block.mlp.c_proj for block in blocks_of(model)], "input"),
        "residual": recorded(model, blocks_of(model), "output"),
    }
    found: dict[str, list[float]] = {}
    for space, layers in spaces.items():
        for outputs in layers:
            tokens = np.concatenate([one[1:] for one in outputs])
            speaking = [token for token in tokens if token.any()]
            found.setdefault(f"gini_{space}", []).append(np.mean([gini_by_pairs(one) for one in speaking]))
            found.setdefault(f"hoyer_{space}", []).append(np.mean([hoyer_by_hand(one) for one in speaking]))
            if space == "mlp":
                active = np.abs(tokens) > 0.1 * np.abs(tokens).mean(1, keepdims=True)
                found.setdefault("active_mlp", []).append(active.mean())
                found.setdefault("dead_mlp", []).append((active.mean(0) < 0.001).mean())
    return found


@pytest.fixture(scope="module")
def seen() -> Observation:
    return observed(seeded(NanoGPT), "sparsity")


def test_the_instrument_takes_means_over_tokens(seen: Observation) -> None:
    expected = by_hand(seeded(NanoGPT))
    assert {name.removeprefix("sparsity_") for name in seen.variables} == {*expected, "gini"}
    assert seen["sparsity_gini"] == pytest.approx(np.mean(expected["gini_mlp"]), rel=1e-5)
    for name, values in expected.items():
        assert seen.variables[f"sparsity_{name}"].dims == ("layer",)
        np.testing.assert_allclose(seen[f"sparsity_{name}"], values, rtol=1e-5, err_msg=name)


def test_neurons_that_say_nothing_are_dead(seen: Observation) -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        for neuron in (3, 8, 11, 19):  # GELU of -3 is -0.004: small, but not zero
            blocks_of(model)[1].mlp.c_fc.weight[neuron] = 0
            blocks_of(model)[1].mlp.c_fc.bias[neuron] = -3.0
        blocks_of(model)[1].mlp.c_fc.bias[4] = 30.0
    planted = observed(model, "sparsity")
    np.testing.assert_allclose(seen["sparsity_dead_mlp"], 0)
    assert planted["sparsity_dead_mlp"][1] == pytest.approx(4 / INNER)
    assert planted["sparsity_active_mlp"][1] <= 16 / INNER
    assert planted["sparsity_gini_mlp"][1] > seen["sparsity_gini_mlp"][1] + 0.1
    assert planted["sparsity_hoyer_mlp"][1] > seen["sparsity_hoyer_mlp"][1] + 0.1
    assert planted["sparsity_dead_mlp"][0] == 0


class Rectified(nn.Module):
    """One that is active on some tokens alone."""

    def __init__(self, width: int, inner: int, level: float) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, inner), nn.Linear(inner, width)
        nn.init.constant_(self.c_fc.bias, level)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.c_proj(torch.relu(self.c_fc(x)))
        return out


@pytest.mark.parametrize("level", [-1.0, -1e6], ids=["some tokens silent", "all tokens silent"])
def test_tokens_on_which_nothing_is_active_count_for_neither_coefficient(level: float) -> None:
    torch.manual_seed(0)
    model = seeded(NanoGPT)
    blocks_of(model)[0].mlp = Rectified(16, INNER, level)
    seen = observed(model, "sparsity")
    if level < -2:
        assert np.isnan(seen["sparsity_gini_mlp"][0])
        assert (seen["sparsity_dead_mlp"][0], seen["sparsity_active_mlp"][0]) == (1, 0)
        assert np.isfinite(seen["sparsity_gini_mlp"][1:]).all()
        return
    (inputs,) = recorded(model, [blocks_of(model)[0].mlp.c_proj], "input")
    tokens = np.concatenate([one[1:] for one in inputs])
    assert 0 < (tokens == 0).all(1).sum() < len(tokens)
    for name, values in by_hand(model).items():
        np.testing.assert_allclose(seen[f"sparsity_{name}"], values, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_leaves_no_number_behind(value: float) -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        blocks_of(model)[1].mlp.c_fc.bias[3] = value
    seen = observed(model, "sparsity")
    assert np.isnan(seen["sparsity_gini"])
    for name in set(seen.variables) - {"sparsity_gini"}:
        assert np.isfinite(seen[name][0])
        assert np.isnan(seen[name][1:]).all(), name


def test_half_precision_gives_what_single_gives_but_for_rounding(seen: Observation) -> None:
    half = observed(seeded(NanoGPT).bfloat16(), "sparsity")
    for name in seen.variables:
        np.testing.assert_allclose(half[name], seen[name], atol=0.02)


def test_layers_may_differ_in_width() -> None:
    model = seeded(NanoGPT)
    blocks_of(model)[1].mlp.c_fc, blocks_of(model)[1].mlp.c_proj = nn.Linear(16, 33), nn.Linear(33, 16)
    seen = observed(model, "sparsity")
    for name, values in by_hand(model).items():
        np.testing.assert_allclose(seen[f"sparsity_{name}"], values, rtol=1e-5, err_msg=name)
    assert seen["sparsity_dead_mlp"].shape == (LAYERS,)
