"""A model that cannot be read says what was looked for, what was found, and how to tell it."""

from __future__ import annotations

import re

import pytest
import torch
from models import HEADS, MLP, VOCABULARY, Block, FlatGPT, NanoGPT, random_tokens, seeded, tiny
from torch import Tensor, nn

from observatory.measure.anatomy import anatomy
from observatory.measure.layout import Layout, find_layout
from observatory.measure.pooling import last_and_mean_magnitude
from observatory.measure.reading import Reading, SharedPass

HOW_TO_TELL = "layout=Layout(blocks='transformer.h', mlp='mlp.c_proj', attention='attn.c_proj', heads=12)"
NANO = Layout("transformer.h", "mlp.c_proj", "attn.c_proj", HEADS)


class Odd(nn.Module):
    """Its names tell nothing: no 'attn' anywhere, the down projection first, the heads nowhere."""

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.wide = nn.Linear(20, 16), nn.Linear(16, 20)
            self.out, self.mix = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.out(self.mix(x).cumsum(1))
            out: Tensor = x + self.down(self.wide(x).relu())
            return out

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 16)
        self.stack = nn.ModuleList([Odd.Layer() for _ in range(2)])

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids)
        for layer in self.stack:
            x = layer(x)
        out: Tensor = x
        return out


class Experts(nn.Module):
    """An old-style mixture: each expert is a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList([MLP(16, 20, 0.0) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([expert(x) for expert in self.experts]).sum(0)


def with_old_style_experts() -> nn.Module:
    model = seeded(NanoGPT)
    for block in model.transformer["h"]:
        block.mlp = Experts()
    return model


def without_a_head_count() -> nn.Module:
    model = seeded(NanoGPT)
    for block in model.transformer["h"]:
        block.attn.heads = block.attn.__dict__.pop("n_head")
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            nn.Linear(3, 3),
            "no transformer blocks were found in Linear: looked for a ModuleList whose members all have a linear layer "
            "under a name with 'attn' or 'attention', found no ModuleList. ",
        ),
        (Odd(), "no transformer blocks were found in Odd: .* found stack of 2 Layer. "),
        (tiny("mamba"), "no transformer blocks were found in MambaForCausalLM: .* found backbone.layers of 3 "),
        (
            with_old_style_experts(),
            "the MLP of NanoGPT could not be read: looked in transformer.h for one linear layer a block, outside the "
            r"attention, that writes to the residual stream \(16 values\), found mlp.experts.0.c_proj, "
            "mlp.experts.1.c_proj. ",
        ),
        (tiny("mixtral"), "the MLP of Mixtral.* found 0.mlp.experts.gate_up_proj of 4 experts. "),
        (  # its shared expert alone would pass for an MLP
            tiny("qwen2_moe"),
            "the MLP of Qwen2Moe.* found mlp.shared_expert.down_proj, 0.mlp.experts.gate_up_proj of 4 experts. ",
        ),
        (  # its first block is like any other
            tiny("deepseek_v3"),
            "the MLP of Deepseek.* found mlp.down_proj, 1.mlp.experts.gate_up_proj of 8 experts. ",
        ),
        (
            without_a_head_count(),
            "the number of attention heads of NanoGPT could not be read: looked for num_heads, num_attention_heads, "
            "n_head, n_heads, num_head on SelfAttention and on the model's config. ",
        ),
    ],
    ids=["no list", "odd names", "mamba", "experts", "mixtral", "shared expert", "late experts", "no head count"],
)
def test_what_was_looked_for_and_found_is_said_in_one_line(model: nn.Module, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        find_layout(model)
    assert HOW_TO_TELL in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (
            Layout("transformer.blocks", "mlp.c_proj", "attn.c_proj", HEADS),
            "the layout puts blocks at 'transformer.blocks', which NanoGPT does not have; its children are "
            "transformer, lm_head",
        ),
        (
            Layout("transformer.h", "mlp.down", "attn.c_proj", HEADS),
            "the layout puts mlp at 'mlp.down', which Block does not have; its children are ln_1, ln_2, attn, mlp",
        ),
        (
            Layout("transformer.h", "mlp.c_proj", "attn", HEADS),
            "the layout puts attention at 'attn', where a linear layer was looked for, one with in_features and "
            "out_features, and a SelfAttention was found",
        ),
        (
            Layout("transformer.wte", "mlp.c_proj", "attn.c_proj", HEADS),
            "'transformer.wte' should hold one block a layer; that Embedding has 0 layers and 0 blocks of their own",
        ),
        (
            Layout("transformer.h", "mlp.c_proj", "attn.c_proj", 5),
            "the attention output projection reads 16 values, which 5 heads do not divide; give the right number in "
            "layout=Layout(..., heads=...)",
        ),
    ],
    ids=["no such blocks", "no such projection", "not a projection", "no blocks there", "heads that do not divide"],
)
def test_a_layout_that_does_not_fit_says_where(layout: Layout, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        anatomy(seeded(NanoGPT), layout)


def test_a_layout_needs_a_head() -> None:
    with pytest.raises(ValueError, match="at least 1; got 0"):
        Layout("h", "mlp", "attn", 0)


def test_blocks_that_several_layers_share_are_refused() -> None:
    model = seeded(NanoGPT)
    model.transformer["h"] = nn.ModuleList([model.transformer["h"][0]] * 3)
    with pytest.raises(ValueError, match=r"that ModuleList has 3 layers and 1 blocks of their own"):
        anatomy(model)


def test_blocks_without_a_module_that_takes_token_ids_are_refused() -> None:
    blocks = nn.ModuleDict({"h": nn.ModuleList([Block(16, 20, HEADS, 0.0) for _ in range(2)])})
    with pytest.raises(ValueError, match=r"no module of ModuleDict above 'h' takes token ids: .* pass the module"):
        anatomy(blocks)


def test_an_odd_module_is_read_with_the_layout_it_is_given() -> None:
    torch.manual_seed(0)
    model, tokens = Odd(), random_tokens(5, 5)
    found = anatomy(model, Layout("stack", "down", "out", 2))
    assert {space: found.widths(space) for space in found.sites} == {
        "mlp": (20, 20),
        "residual": (16, 16),
        "heads": (2, 2),
    }
    reading = Reading("mlp", last_and_mean_magnitude, 2)
    with torch.no_grad():
        (block,) = SharedPass(found, tokens, [reading], batch_tokens=100, memory=2**30).blocks(reading)
        values = block[reading]
        layer = model.stack[0]
        x = model.table(torch.tensor(tokens))
        neurons = layer.wide(x + layer.out(layer.mix(x).cumsum(1))).relu()
    torch.testing.assert_close(values[0, :, :20], neurons[:, -1])
    torch.testing.assert_close(values[1, :, :20], neurons[:, 1:].mean(1))


def test_a_head_count_that_only_a_parent_knows_is_found() -> None:
    model = without_a_head_count()
    model.n_heads = HEADS
    assert find_layout(model) == NANO
    parent = nn.ModuleDict({"model": without_a_head_count()})
    parent.config = type("Config", (), {"n_head": HEADS})()
    assert find_layout(parent).heads == HEADS


def test_an_attention_output_that_is_registered_before_the_rest_is_found() -> None:
    """Phi-3 registers its output projection first: the last linear layer of its attention writes q, k and v."""
    assert find_layout(tiny("phi3")).attention == "self_attn.o_proj"


def test_the_innermost_of_equal_containers_holds_the_blocks() -> None:
    model = seeded(FlatGPT)
    model.body.blocks = nn.Sequential(nn.Sequential(*model.body.blocks))
    assert find_layout(model).blocks == "body.blocks.0"
