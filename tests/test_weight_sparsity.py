"""What is said of weight matrices, against numpy and matrices that were planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loop import small_battery, word_tokenizer
from models import LAYERS, NanoGPT, seeded, tiny
from structural import observed
from test_rank import of_known_sizes
from test_sparsity import gini_by_pairs, hoyer_by_hand
from torch import nn

from observatory import Observatory
from observatory.measure.anatomy import anatomy
from observatory.measure.instruments.weights import Weights
from observatory.measure.matrices import matrices

NAMES = ["attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"]


def test_every_matrix_of_every_block_has_its_own_values() -> None:
    model = seeded(NanoGPT)
    seen = observed(model, "weights")
    assert seen.coordinates["matrix"].tolist() == NAMES
    for layer, block in enumerate(model.transformer["h"]):
        for column, name in enumerate(NAMES):
            matrix = block.get_parameter(name).detach().double().numpy()
            sizes = np.linalg.svd(matrix, compute_uv=False)
            share = sizes / sizes.sum()
            near = np.abs(matrix) <= 0.01 * np.sqrt((matrix**2).mean())
            expected = {
                "near_zero": near.mean(),
                "gini": gini_by_pairs(matrix.ravel()),
                "hoyer": hoyer_by_hand(matrix.ravel()),
                "effective_rank": np.exp(-(share * np.log(share)).sum()) / min(matrix.shape),
            }
            for what, value in expected.items():
                assert seen[f"weights_{what}"][layer, column] == pytest.approx(value, rel=1e-5, abs=1e-7), what
    assert seen.variables["weights_gini"].dims == ("layer", "matrix")


def test_gaussian_weights_are_as_sparse_as_gaussian_values_are() -> None:
    model = seeded(NanoGPT, width=64, inner=256)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for own in matrices(anatomy(model)):
            for matrix in own.values():
                matrix.normal_(0, 0.02, generator=generator)
    seen = observed(model, "weights")
    np.testing.assert_allclose(seen["weights_near_zero"], 0.00798, atol=0.004)
    np.testing.assert_allclose(seen["weights_gini"], np.sqrt(2) - 1, atol=0.015)
    np.testing.assert_allclose(seen["weights_hoyer"], 1 - np.sqrt(2 / np.pi), atol=0.015)


def test_planted_zeros_and_a_planted_rank_are_found_where_they_are() -> None:
    model = seeded(NanoGPT)
    plain = observed(model, "weights")
    block = model.transformer["h"][2]
    with torch.no_grad():
        block.mlp.c_fc.weight.view(-1)[::4] = 0
        block.mlp.c_proj.weight.copy_(torch.tensor(of_known_sizes(16, 20, [2.0] * 5)))
        block.attn.c_proj.weight.fill_(torch.nan)
        block.attn.c_attn.weight.zero_()
    seen = observed(model, "weights")
    assert seen["weights_near_zero"][2, 2] == pytest.approx(0.25, abs=0.02)
    assert seen["weights_effective_rank"][2, 3] == pytest.approx(5 / 16, rel=1e-3)
    assert np.isnan(seen["weights_rank"])
    for name in set(plain.variables) - {"weights_rank"}:
        assert np.isnan(seen[name][2, 1])
        np.testing.assert_array_equal(seen[name][:2], plain[name][:2])
    assert seen["weights_near_zero"][2, 0] == 1
    assert np.isnan([seen[f"weights_{name}"][2, 0] for name in ("gini", "hoyer", "effective_rank")]).all()


def test_blocks_may_differ_in_their_matrices_and_share_them() -> None:
    model = seeded(NanoGPT)
    first, second, _ = model.transformer["h"]
    first.gate = nn.Linear(16, 3)
    second.mlp.c_fc = first.mlp.c_fc
    seen = observed(model, "weights")
    assert seen.coordinates["matrix"].tolist() == [*NAMES, "gate.weight"]
    assert np.isfinite(seen["weights_gini"]).tolist() == [
        [True] * 5,
        [True, True, False, True, False],
        [True, True, True, True, False],
    ]
    ranks = seen["weights_effective_rank"]
    assert seen["weights_rank"] == pytest.approx(ranks[np.isfinite(ranks)].mean())  # those that are there


@pytest.mark.parametrize("architecture", ["gpt_neox", "gpt2", "llama"])
def test_half_precision_gives_what_single_gives_but_for_rounding(architecture: str) -> None:
    single, half = observed(tiny(architecture), "weights"), observed(tiny(architecture).bfloat16(), "weights")
    assert len(single["weights_gini"]) == LAYERS
    for name in ("gini", "hoyer", "effective_rank"):
        np.testing.assert_allclose(half[f"weights_{name}"], single[f"weights_{name}"], atol=2e-3)


def test_it_is_due_less_often_than_it_is_observed() -> None:
    watching = Observatory(word_tokenizer(), battery=small_battery(), instruments=["massive", "weights"], twins=0)
    model = seeded(NanoGPT)
    first = watching.observe(model, step=0)
    second = watching.observe(model, step=3, previous=watching.observe(model, step=2, previous=first))
    assert Weights().schedule == "logarithmic 3"
    assert "weights_gini" in first.variables
    assert "weights_gini" not in second.variables
