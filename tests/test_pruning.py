"""Essential sparsity, against weights sorted and removed by hand, on a model that has learnt its texts."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from loop import small_battery
from models import LAYERS, NanoGPT, seeded, tiny
from structural import observed, shown
from torch import nn

from observatory import Observation
from observatory.measure.anatomy import anatomy
from observatory.measure.instruments.pruning import Pruning
from observatory.measure.magnitude import Magnitudes, pruned
from observatory.measure.matrices import matrices
from observatory.measure.scene import contrasts

TEXTS = 4


def trained() -> nn.Module:
    """Knows the texts that it is shown by heart, nearly."""
    model = seeded(NanoGPT, width=32, inner=64, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batches = [torch.tensor([ids for ids in shown() if len(ids) == length]) for length in (5, 6)]
    for _ in range(60):
        for ids in batches:
            optimizer.zero_grad()
            model(ids[:, :-1], ids[:, 1:]).backward()
            optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def learnt() -> nn.Module:
    return trained()


@pytest.fixture(scope="module")
def seen(learnt: nn.Module) -> Observation:
    return observed(learnt, Pruning(texts=TEXTS))


def parameters_of(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for own in matrices(anatomy(model)) for parameter in own.values()]


def without_smallest(model: nn.Module, count: int) -> nn.Module:
    """A copy, with so many weights of the blocks sorted out."""
    other = copy.deepcopy(model)
    own = parameters_of(other)
    flat = torch.cat([one.detach().flatten() for one in own])
    flat[flat.abs().argsort()[:count]] = 0
    with torch.no_grad():
        for one, part in zip(own, flat.split([one.numel() for one in own]), strict=True):
            one.copy_(part.view_as(one))
    return other


def loss_of(model: nn.Module) -> float:
    """On the first targets of each family, a text at a time."""
    tokens, found = shown(), []
    with torch.no_grad():
        for one in contrasts(small_battery()):
            for ids in tokens[one.targets][:TEXTS]:
                given = torch.tensor([ids])
                found.append(float(model(given[:, :-1], given[:, 1:])))
    return float(np.mean(found))


def total(model: nn.Module) -> int:
    return sum(one.numel() for one in parameters_of(model))


def test_the_blocks_matrices_are_what_is_pruned_and_nothing_else() -> None:
    model = seeded(NanoGPT)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    own = {names[id(one)] for one in parameters_of(model)}
    kinds = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert own == {f"transformer.h.{layer}.{kind}.weight" for layer in range(LAYERS) for kind in kinds}


def test_what_can_go_can_go_and_one_step_of_the_grid_more_cannot(seen: Observation, learnt: nn.Module) -> None:
    removed, loss, intact = (float(seen[f"pruning_{name}"]) for name in ("removed", "loss_pruned", "loss"))
    assert intact == pytest.approx(loss_of(learnt), rel=1e-5)
    assert intact < 2.5 < float(seen["pruning_loss_emptied"])
    assert 0.02 < removed < 0.9
    count = round(removed * total(learnt))
    assert loss == pytest.approx(loss_of(without_smallest(learnt, count)), rel=1e-5)
    magnitudes = Magnitudes.of([parameters_of(learnt)])
    more, _ = magnitudes.removed(magnitudes.least((np.floor(100 * removed) + 1) / 100))
    assert removed < more < removed + 0.02
    assert loss <= 1.01 * intact < loss_of(without_smallest(learnt, round(more * total(learnt))))
    emptied = loss_of(without_smallest(learnt, total(learnt)))
    assert float(seen["pruning_loss_emptied"]) == pytest.approx(emptied, rel=1e-5)


def test_the_share_of_each_layer_is_of_the_same_weights(seen: Observation, learnt: nn.Module) -> None:
    count = round(float(seen["pruning_removed"]) * total(learnt))
    other = without_smallest(learnt, count)
    expected = [
        sum(int((one == 0).sum()) for one in own.values()) / sum(one.numel() for one in own.values())
        for own in matrices(anatomy(other))
    ]
    np.testing.assert_allclose(seen["pruning_removed_by_layer"], expected, rtol=1e-6)
    assert len(set(expected)) == LAYERS


def test_a_wider_allowance_lets_more_go(seen: Observation, learnt: nn.Module) -> None:
    half = observed(learnt, Pruning(rise=0.5, texts=TEXTS))
    assert float(half["pruning_removed"]) > float(seen["pruning_removed"]) + 0.05
    assert float(half["pruning_loss_pruned"]) <= 1.5 * float(seen["pruning_loss"])
    coarse = observed(learnt, Pruning(grid=4, texts=TEXTS))
    assert float(coarse["pruning_removed"]) == pytest.approx(np.floor(4 * float(seen["pruning_removed"])) / 4, abs=0.02)


def test_weights_that_do_next_to_nothing_can_go(learnt: nn.Module) -> None:
    model = copy.deepcopy(learnt)
    with torch.no_grad():
        for one in parameters_of(model):
            one.copy_(torch.where(torch.arange(one.numel()).view_as(one) % 2 == 0, 1e-7 * one.sign(), one))
    assert float(observed(model, Pruning(texts=TEXTS))["pruning_removed"]) >= 0.5


def bits(model: nn.Module) -> list[tuple[str, int, bytes]]:
    """Of all weights, and where they lie."""
    return [
        (name, value.data_ptr(), value.detach().flatten().view(torch.uint8).numpy().tobytes())
        for name, value in model.named_parameters()
    ]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_the_weights_are_put_back_bit_for_bit(kind: torch.dtype) -> None:
    model = tiny("gpt_neox").to(kind)
    model.gpt_neox.layers[0].mlp.dense_4h_to_h.weight.data[0, :2] = torch.tensor([-0.0, 1e-8]).to(kind)
    before = bits(model)
    gradients = [one.requires_grad for one in model.parameters()]
    seen = observed(model, "pruning")
    assert 0 <= float(seen["pruning_removed"]) <= 1
    assert bits(model) == before
    assert [one.requires_grad for one in model.parameters()] == gradients
    assert all(one.grad is None for one in model.parameters())


def test_the_weights_are_put_back_when_it_fails_midway() -> None:
    model = seeded(NanoGPT)
    before = bits(model)
    runs = 0

    def fail(*_: Any) -> None:
        nonlocal runs
        runs += 1
        zeros = sum(int((one == 0).sum()) for one in parameters_of(model))
        if zeros:
            raise ZeroDivisionError("all is lost")

    model.transformer["h"][0].register_forward_pre_hook(fail)
    with pytest.raises(ZeroDivisionError):
        observed(model, "pruning")
    assert runs > 1
    assert bits(model) == before


def test_a_failure_while_weights_are_set_aside_puts_them_back() -> None:
    model = seeded(NanoGPT)
    before = bits(model)
    unreadable = nn.Parameter(torch.eye(3).to_sparse())
    with pytest.raises((RuntimeError, NotImplementedError)), pruned([*parameters_of(model), unreadable], 2**14):
        pass
    assert bits(model) == before


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_the_smallest_magnitudes_go_first_and_not_more_than_a_bit_too_many(kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    groups = [[nn.Parameter(torch.randn(40, 50, generator=generator).mul(scale).to(kind))] for scale in (1, 0.1)]
    flat = torch.cat([one.detach().flatten().abs().double() for (one,) in groups]).numpy()
    magnitudes = Magnitudes.of(groups)
    for share in (0.0, 0.1, 0.37, 0.5, 0.9, 1.0):
        least = magnitudes.least(share)
        removed, by_group = magnitudes.removed(least)
        assert share <= removed <= share + 0.01
        with pruned([one for (one,) in groups], least):
            gone = np.concatenate([(one.detach() == 0).flatten().numpy() for (one,) in groups])
        assert gone.mean() == removed
        assert by_group == pytest.approx([gone[:2000].mean(), gone[2000:].mean()], rel=1e-6)
        assert not gone.any() or gone.all() or flat[gone].max() < flat[~gone].min()


def test_zeros_go_together() -> None:
    weights = nn.Parameter(torch.tensor([[0.0, -0.0, 0.0, 1.0], [2.0, -3.0, 4.0, 5.0]]))
    magnitudes = Magnitudes.of([[weights]])
    assert magnitudes.removed(magnitudes.least(0.01))[0] == 3 / 8
    assert magnitudes.removed(magnitudes.least(0.376))[0] == 4 / 8
    with pytest.raises(ValueError, match=r"from 0 to 1; got 1\.5"):
        magnitudes.least(1.5)


def test_a_model_that_has_learnt_nothing_can_do_without_all() -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    seen = observed(model, "pruning")
    assert float(seen["pruning_removed"]) == 1
    np.testing.assert_array_equal(seen["pruning_removed_by_layer"], 1)
    assert float(seen["pruning_loss"]) == float(seen["pruning_loss_pruned"]) == float(seen["pruning_loss_emptied"])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_model_that_has_diverged_has_no_essential_sparsity(value: float) -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        model.transformer["h"][1].mlp.c_fc.weight[3, 2] = value
    seen = observed(model, "pruning")
    for name in seen.variables:
        assert np.isnan(seen[name]).all()
    assert seen["pruning_removed_by_layer"].shape == (LAYERS,)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"above 0; got 0\.0"):
        Pruning(rise=0.0)
    for wrong in ({"grid": 0}, {"texts": 0}):
        with pytest.raises(ValueError, match="counts, 1 or more"):
            Pruning(**wrong)
