"""In which forms a lesion may be asked for, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from models import HEADS, Block, NanoGPT, Wrapped, seeded
from test_lesion import ITEMS, LENGTH, logits, untouched
from torch import Tensor, nn

from observatory.measure.anatomy import anatomy
from observatory.measure.lesion import ZERO, Replacement, lesion


def ragged() -> nn.Module:
    """A narrower layer between two others."""
    model = seeded(NanoGPT)
    model.transformer["h"][1] = Block(16, 12, HEADS, 0.0)
    return model.eval()


def test_a_mask_may_be_flat_or_by_layer_and_of_numpy_or_torch_and_a_model_wrapped() -> None:
    model = ragged()
    flat = torch.rand(52, generator=torch.Generator().manual_seed(0)) < 0.4
    by_layer = torch.zeros(3, 20, dtype=torch.bool)
    by_layer[0], by_layer[1, :12], by_layer[2] = flat[:20], flat[20:32], flat[32:]
    read_only = by_layer.numpy().copy()
    read_only.flags.writeable = False
    values = torch.randn(52)
    found = []
    for owner in (model, Wrapped(model), anatomy(model)):
        for mask in (flat, by_layer, flat.numpy(), read_only):
            with lesion(owner, {"mlp": mask}, Replacement({"mlp": values})):
                found.append(logits(model))
    assert not torch.equal(found[0], logits(model))
    assert all(torch.equal(found[0], other) for other in found)
    seen: list[Tensor] = []
    with lesion(model, {"mlp": flat}, Replacement({"mlp": values})):
        middle = model.transformer["h"][1].mlp.c_proj
        middle.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        logits(model)
    put = torch.where(flat, values, torch.nan)[20:32]
    assert torch.equal(seen[0][:, 1:, flat[20:32]], put[flat[20:32]].expand(ITEMS, LENGTH - 1, -1))


def flags(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


def wrong_requests() -> Iterator[tuple[dict[str, Any], Replacement, str]]:
    mlp = {"mlp": flags(52)}
    yield {"neurons": flags(52)}, ZERO, "no units called 'neurons'; a mask can be given for mlp, residual, heads"
    yield {"mlp": flags(51)}, ZERO, r"shape \(51,\); this model has 52 units in 3 layers, so .* \(52,\) or \(3, 20\)"
    yield {"mlp": flags(2, 20)}, ZERO, r"shape \(2, 20\)"
    yield {"mlp": flags(1, 52)}, ZERO, r"shape \(1, 52\)"
    yield {"mlp": flags(3, 20)}, ZERO, "True where its layer has no unit; .* 20, 12, 20 units"
    yield {"mlp": flags(52).float()}, ZERO, "must be boolean, True for units to replace; got torch.float32"
    yield {"mlp": np.arange(52)}, ZERO, "must be boolean, True for units to replace; got int64"
    yield mlp, Replacement({"heads": torch.zeros(12, 4)}), "a mask for 'mlp' but no values .* has values for heads"
    yield (
        mlp,
        Replacement({"mlp": torch.zeros(51)}),
        r"shape \(51,\); in this model they must be \(52,\), or \(items, 52\)",
    )
    yield mlp, Replacement({"mlp": torch.zeros(2, 3, 52)}), r"shape \(2, 3, 52\)"
    yield mlp, Replacement({"mlp": torch.zeros(())}), r"shape \(\)"
    heads = {"heads": flags(12)}
    yield heads, Replacement({"heads": torch.zeros(12)}), r"must be \(12, 4\), or \(items, 12, 4\)"
    yield heads, Replacement({"heads": torch.zeros(3, 12)}), r"shape \(3, 12\)"


@pytest.mark.parametrize(("masks", "to", "message"), list(wrong_requests()))
def test_a_wrong_request_is_refused_before_the_model_is_touched(
    masks: dict[str, Any], to: Replacement, message: str
) -> None:
    model = ragged()
    with untouched(model), pytest.raises(ValueError, match=message), lesion(model, masks, to):
        pass


@pytest.mark.parametrize("at", [0, -1])
def test_position_0_cannot_be_asked_for(at: int) -> None:
    with pytest.raises(ValueError, match=f"position 0 is never touched.* at={at}"):
        Replacement(at=at)


def test_a_block_run_by_itself_does_not_guess_its_positions() -> None:
    model = seeded(NanoGPT)
    with lesion(model, {"residual": flags(48)}), pytest.raises(RuntimeError, match="run NanoGPT or the whole model"):
        model.transformer["h"][0](torch.zeros(1, 2, 16))
