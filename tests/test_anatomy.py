"""The unit spaces of each architecture, against the same quantities worked out from its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from models import CONFIGS, HEADS, LAYERS, Block, FlatGPT, NanoGPT, Wrapped, random_tokens, seeded, tiny
from torch import Tensor, nn
from torch.nn import functional

from observatory.measure.anatomy import anatomy
from observatory.measure.layout import Layout
from observatory.measure.reading import Reading, SharedPass

LENGTH = 7
TOKENS = random_tokens(LENGTH, LENGTH)
gelu_tanh = partial(functional.gelu, approximate="tanh")


@dataclass(frozen=True)
class Case:
    """What an architecture is written to be, read off its source by a person."""

    architecture: str
    blocks: str
    mlp: str
    attention: str
    body: str
    up: str
    """The MLP's first projection; a second path, parted by a comma, is what a gated one multiplies with."""
    act: Callable[[Tensor], Tensor]
    values: str
    """The projection that writes the attention's values."""
    layout_of_values: str
    finish: str
    """What the body does after its last block."""
    neurons: int = 20
    head_size: int = 4
    kv_heads: int = HEADS


_LLAMA = Case(
    architecture="",
    blocks="model.layers",
    mlp="mlp.down_proj",
    attention="self_attn.o_proj",
    body="model",
    up="mlp.gate_proj,mlp.up_proj",
    act=functional.silu,
    values="self_attn.v_proj",
    layout_of_values="alone",
    finish="model.norm",
    kv_heads=2,
)
CASES = [
    Case(
        "gpt_neox",
        "gpt_neox.layers",
        "mlp.dense_4h_to_h",
        "attention.dense",
        "gpt_neox",
        "mlp.dense_h_to_4h",
        functional.gelu,
        "attention.query_key_value",
        "head by head",
        "gpt_neox.final_layer_norm",
    ),
    Case(
        "gpt2",
        "transformer.h",
        "mlp.c_proj",
        "attn.c_proj",
        "transformer",
        "mlp.c_fc",
        gelu_tanh,
        "attn.c_attn",
        "last",
        "transformer.ln_f",
    ),
    replace(_LLAMA, architecture="llama", head_size=6),
    replace(_LLAMA, architecture="mistral", head_size=6),
    replace(_LLAMA, architecture="qwen2"),
    replace(_LLAMA, architecture="qwen3", head_size=6),
    replace(_LLAMA, architecture="olmo"),
    replace(_LLAMA, architecture="olmo2"),
    replace(_LLAMA, architecture="gemma", head_size=6, kv_heads=1, act=gelu_tanh),
    replace(_LLAMA, architecture="gemma3_text", head_size=6, act=gelu_tanh),
    replace(
        _LLAMA,
        architecture="phi",
        mlp="mlp.fc2",
        attention="self_attn.dense",
        up="mlp.fc1",
        act=gelu_tanh,
        kv_heads=HEADS,
        finish="model.final_layernorm",
    ),
    replace(
        _LLAMA,
        architecture="phi3",
        up="mlp.gate_up_proj",
        values="self_attn.qkv_proj",
        layout_of_values="last",
    ),
    Case(
        "falcon",
        "transformer.h",
        "mlp.dense_4h_to_h",
        "self_attention.dense",
        "transformer",
        "mlp.dense_h_to_4h",
        functional.gelu,
        "self_attention.query_key_value",
        "last",
        "transformer.ln_f",
        kv_heads=1,
    ),
    Case(
        "opt",
        "model.decoder.layers",
        "fc2",
        "self_attn.out_proj",
        "model.decoder",
        "fc1",
        functional.relu,
        "self_attn.v_proj",
        "alone",
        "model.decoder.final_layer_norm,model.decoder.project_out",
    ),
]
by_architecture = pytest.mark.parametrize("case", CASES, ids=lambda case: case.architecture)


def taken(model: nn.Module, space: str, layout: Layout | None = None) -> list[Tensor]:
    """What the shared pass reads, layer by layer: (item, token, unit), or (item, token, head, component)."""
    found = anatomy(model, layout)
    grouped = found.sites[space][0].grouped

    def every_token(activations: Tensor) -> Tensor:
        kept = activations.transpose(2, 3) if grouped else activations.unsqueeze(2)  # (item, token, component, unit)
        return kept.flatten(1, 2).transpose(0, 1)

    size = found.sites["heads"][0].module
    components = size.weight.numel() // found.widths("residual")[0] // found.layout.heads if grouped else 1
    reading = Reading(space, every_token, values=LENGTH * components)
    with torch.no_grad():
        shared = SharedPass(found, TOKENS, [reading], batch_tokens=LENGTH, memory=2**30)
        ((values,),) = (block.values() for block in shared.blocks(reading))
    parts = values.unflatten(0, (LENGTH, components)).split(found.widths(space), dim=-1)
    by_item = [part.permute(2, 0, 3, 1) for part in parts]  # (item, token, unit, component)
    return by_item if grouped else [part.squeeze(-1) for part in by_item]


@dataclass
class Seen:
    """What hooks of the test's own saw in one plain forward pass."""

    hidden: tuple[Tensor, ...]
    attentions: tuple[Tensor, ...]
    inputs: dict[str, Tensor]


def look(model: nn.Module, *paths: str) -> Seen:
    """Runs the whole model on the tokens, and keeps the inputs of the modules at the paths."""
    inputs: dict[str, Tensor] = {}

    def keep(path: str, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        inputs[path] = args[0].detach()

    handles = [model.get_submodule(path).register_forward_pre_hook(partial(keep, path)) for path in paths]
    with torch.no_grad():
        out = model(torch.tensor(TOKENS), output_hidden_states=True, output_attentions=True)
    for handle in handles:
        handle.remove()
    return Seen(out.hidden_states, out.attentions, inputs)


def projected(model: nn.Module, path: str, x: Tensor) -> Tensor:
    """x W + b written out, for both ways in which libraries lay out W."""
    module = model.get_submodule(path)
    weight = module.weight.T if module.weight.shape[0] == x.shape[-1] != module.weight.shape[1] else module.weight
    bias = getattr(module, "bias", None)
    return (x @ weight.T + (0 if bias is None else bias)).detach()


def test_the_table_holds_only_architectures_of_the_tiny_models() -> None:
    assert {case.architecture for case in CASES} <= set(CONFIGS)


@by_architecture
def test_the_layout_is_the_one_that_a_person_reads_off_the_source(case: Case) -> None:
    model = tiny(case.architecture)
    found = anatomy(model)
    assert found.layout == Layout(case.blocks, case.mlp, case.attention, HEADS)
    assert found.body is model.get_submodule(case.body)
    assert found.widths("mlp") == (case.neurons,) * LAYERS
    assert found.widths("residual") == (16,) * LAYERS
    assert found.widths("heads") == (HEADS,) * LAYERS
    assert found.layers == LAYERS
    if case.architecture != "falcon":  # it keeps the default
        assert found.context == 32


@by_architecture
def test_the_residual_stream_is_what_transformers_calls_the_hidden_states(case: Case) -> None:
    model = tiny(case.architecture).eval()
    read, hidden = taken(model, "residual"), look(model).hidden
    assert len(hidden) == LAYERS + 1
    for layer in range(LAYERS - 1):
        torch.testing.assert_close(read[layer], hidden[layer + 1])
    last = read[-1]
    for path in case.finish.split(","):
        last = model.get_submodule(path)(last).detach()
    torch.testing.assert_close(last, hidden[-1])


@by_architecture
def test_mlp_neurons_are_the_activation_of_the_projected_input(case: Case) -> None:
    model = tiny(case.architecture).eval()
    ups = case.up.split(",")
    paths = [f"{case.blocks}.{layer}.{ups[0]}" for layer in range(LAYERS)]
    seen, read = look(model, *paths), taken(model, "mlp")
    for layer, path in enumerate(paths):
        x = seen.inputs[path].reshape(len(TOKENS), LENGTH, -1)
        gate = projected(model, path, x)
        if len(ups) == 2:
            expected = case.act(gate) * projected(model, f"{case.blocks}.{layer}.{ups[1]}", x)
        elif gate.shape[-1] == 2 * case.neurons:
            expected = case.act(gate[..., : case.neurons]) * gate[..., case.neurons :]
        else:
            expected = case.act(gate)
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(read[layer], expected)


@by_architecture
def test_a_head_is_its_attention_pattern_times_its_values(case: Case) -> None:
    model = tiny(case.architecture).eval()
    paths = [f"{case.blocks}.{layer}.{case.values}" for layer in range(LAYERS)]
    seen, read = look(model, *paths), taken(model, "heads")
    for layer, path in enumerate(paths):
        out = projected(model, path, seen.inputs[path])
        if case.layout_of_values == "head by head":
            values = out.unflatten(-1, (HEADS, 3 * case.head_size))[..., -case.head_size :]
        else:  # alone, or queries, keys and values one after the other
            values = out[..., -case.kv_heads * case.head_size :].unflatten(-1, (case.kv_heads, case.head_size))
        shared = values.repeat_interleave(HEADS // values.shape[2], dim=2)  # (item, token, head, component)
        expected = torch.einsum("iaqk,ikac->iqac", seen.attentions[layer], shared)
        assert expected.shape == (len(TOKENS), LENGTH, HEADS, case.head_size)
        torch.testing.assert_close(read[layer], expected)


@pytest.mark.parametrize(
    ("model", "layout"),
    [
        (seeded(NanoGPT), Layout("transformer.h", "mlp.c_proj", "attn.c_proj", HEADS)),
        (Wrapped(seeded(NanoGPT)), Layout("model.transformer.h", "mlp.c_proj", "attn.c_proj", HEADS)),
        (seeded(FlatGPT), Layout("body.blocks", "mlp.c_proj", "attn.c_proj", HEADS)),
        (Wrapped(seeded(FlatGPT)), Layout("model.body.blocks", "mlp.c_proj", "attn.c_proj", HEADS)),
        (Wrapped(tiny("gpt_neox")), Layout("model.gpt_neox.layers", "mlp.dense_4h_to_h", "attention.dense", HEADS)),
        (
            nn.ModuleDict({"models": nn.ModuleList([seeded(NanoGPT)])}),
            Layout("models.0.transformer.h", "mlp.c_proj", "attn.c_proj", HEADS),
        ),
        (tiny("gpt2", n_inner=16), None),
        (seeded(NanoGPT, inner=16), None),
        (seeded(NanoGPT, layers=1), Layout("transformer.h", "mlp.c_proj", "attn.c_proj", HEADS)),
    ],
    ids=[
        "nanoGPT",
        "wrapped nanoGPT",
        "flat",
        "wrapped flat",
        "wrapped transformers",
        "list of models",
        "MLP as wide as the stream (transformers)",
        "MLP as wide as the stream",
        "one layer",
    ],
)
def test_hand_written_and_wrapped_models_are_found_or_refused(model: nn.Module, layout: Layout | None) -> None:
    if layout is None:  # two projections write to a stream of that width, and nothing tells which is which
        with pytest.raises(ValueError, match=r"mlp\.c_fc, mlp\.c_proj"):
            anatomy(model)
    else:
        assert anatomy(model).layout == layout


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped], ids=["bare", "wrapped"])
@pytest.mark.parametrize("build", [NanoGPT, FlatGPT])
def test_hand_written_models_are_read_as_their_formulas_say(
    build: type[nn.Module], wrap: Callable[[nn.Module], nn.Module]
) -> None:
    model = seeded(build).eval()
    read = {space: taken(wrap(model), space) for space in ("mlp", "residual", "heads")}
    ids = torch.tensor(TOKENS)
    with torch.no_grad():
        if isinstance(model, NanoGPT):
            parts = model.transformer
            x = parts["wte"](ids) + parts["wpe"](torch.arange(LENGTH))
            blocks = parts["h"]
        else:
            x, blocks = model.body.embed(ids), model.body.blocks
        for layer, block in enumerate(blocks):
            assert isinstance(block, Block)
            queries, keys, values = block.attn.c_attn(block.ln_1(x)).split(16, dim=-1)
            heads = []
            for head in range(HEADS):
                own = slice(4 * head, 4 * head + 4)
                score = queries[..., own] @ keys[..., own].mT / 2.0
                score = score.masked_fill(torch.ones(LENGTH, LENGTH).triu(1).bool(), -torch.inf)
                heads.append(score.softmax(-1) @ values[..., own])
            torch.testing.assert_close(read["heads"][layer], torch.stack(heads, dim=2))
            x = x + block.attn.c_proj(torch.cat(heads, dim=-1))
            neurons = functional.gelu(block.mlp.c_fc(block.ln_2(x)))
            torch.testing.assert_close(read["mlp"][layer], neurons)
            x = x + block.mlp.c_proj(neurons)
            torch.testing.assert_close(read["residual"][layer], x)


def test_the_context_is_unknown_where_the_model_does_not_say() -> None:
    assert anatomy(seeded(FlatGPT)).context is None
    assert anatomy(seeded(NanoGPT)).context == 32


def test_a_compiled_model_is_read_through_its_original() -> None:
    model = seeded(NanoGPT).eval()
    compiled = torch.compile(model, backend="eager")
    assert anatomy(compiled).layout == anatomy(model).layout
    for one, other in zip(taken(compiled, "mlp"), taken(model, "mlp"), strict=True):
        assert torch.equal(one, other)
