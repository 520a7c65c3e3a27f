"""Lesions, against the same models with weights taken out by hand and against forward passes written out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from models import HEADS, LAYERS, FlatGPT, NanoGPT, random_tokens, seeded, tiny
from test_undisturbed import partly_frozen, trained, unchanged
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from observatory.measure.anatomy import anatomy
from observatory.measure.lesion import ZERO, Replacement, lesion

ITEMS, LENGTH, AT = 3, 7, 4
IDS = torch.tensor(random_tokens(*[LENGTH] * ITEMS))
SPACES = ("mlp", "residual", "heads")
BUILD: dict[str, Callable[[], nn.Module]] = {
    **{name: (lambda name=name: tiny(name).eval()) for name in ("gpt_neox", "gpt2", "llama", "gemma3_text")},
    **{name: (lambda name=name: tiny(name).eval()) for name in ("falcon", "opt", "qwen3")},
    "nanoGPT": lambda: seeded(NanoGPT).eval(),
    "flat": lambda: seeded(FlatGPT).eval(),
}
each_model = pytest.mark.parametrize("build", BUILD.values(), ids=BUILD)
each_space = pytest.mark.parametrize("space", SPACES)


def logits(model: nn.Module, ids: Tensor = IDS, **arguments: Any) -> Tensor:
    out = model(ids, **arguments)
    found: Tensor = out if isinstance(out, Tensor) else out.logits
    return found


def unit_shape(model: nn.Module, space: str) -> tuple[int, ...]:
    """Units, and for heads their components."""
    found = anatomy(model)
    units = sum(found.widths(space))
    if space != "heads":
        return (units,)
    module = found.sites[space][0].module
    return units, module.weight.numel() // found.widths("residual")[0] // HEADS


def random_mask(model: nn.Module, space: str, share: float = 0.4, seed: int = 0) -> Tensor:
    return torch.rand(unit_shape(model, space)[0], generator=torch.Generator().manual_seed(seed)) < share


def random_values(model: nn.Module, space: str, *items: int) -> Tensor:
    return 3 * torch.randn(*items, *unit_shape(model, space), generator=torch.Generator().manual_seed(1))


KINDS: dict[str, Callable[[nn.Module, str], Replacement]] = {
    "zero": lambda *_: ZERO,
    "a value for each unit": lambda model, space: Replacement({space: random_values(model, space)}),
    "one for each item": lambda model, space: Replacement({space: random_values(model, space, ITEMS)}, at=AT),
    "zero at one position": lambda *_: Replacement(at=AT),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def by_hand(model: nn.Module, space: str, mask: Tensor, to: Replacement) -> nn.Module:
    """A copy that computes the lesion of IDS: without those columns of the weight, for tokens the lesion touches."""
    found, copied = anatomy(model), deepcopy(model)
    values = torch.zeros(unit_shape(model, space)) if to.values is None else to.values[space]
    touched = slice(1, None) if to.at is None else slice(to.at, to.at + 1)
    per_item = values.ndim > len(unit_shape(model, space))
    blocks = copied.get_submodule(found.layout.blocks)
    width = found.widths(space)[0]
    for layer, block in enumerate(blocks.children()):
        own = slice(layer * width, (layer + 1) * width)
        kept, put = ~mask[own], values[:, own] if per_item else values[None, own]  # (item or 1, unit, [component])
        if space == "heads":
            put, kept = put.flatten(-2), kept.repeat_interleave(put.shape[-1])
        if space == "residual":
            after_block(block, kept, put, touched)
        else:
            path = found.layout.mlp if space == "mlp" else found.layout.attention
            in_two_branches(block.get_submodule(path), kept, put, touched)
    return copied


def after_block(block: nn.Module, kept: Tensor, put: Tensor, touched: slice) -> None:
    forward = block.forward

    def edited(*args: Any, **kwargs: Any) -> Any:
        out = forward(*args, **kwargs)
        hidden = (out if isinstance(out, Tensor) else out[0]).clone()
        hidden[:, touched] = hidden[:, touched] * kept + (put * ~kept)[:, None]
        return hidden if isinstance(out, Tensor) else (hidden, *out[1:])

    block.forward = edited


def in_two_branches(module: nn.Module, kept: Tensor, put: Tensor, touched: slice) -> None:
    forward, without = module.forward, deepcopy(module)
    transposed = hasattr(module, "nx")  # GPT-2 lays its weights out the other way round
    weight = module.weight.detach() if transposed else module.weight.detach().T  # (in, out)
    without.weight = nn.Parameter((weight * kept[:, None]) if transposed else (weight * kept[:, None]).T)
    instead = (put * ~kept) @ weight

    def edited(x: Tensor) -> Tensor:
        by_token = x.reshape(ITEMS, LENGTH, -1)
        out = forward(by_token).clone()
        out[:, touched] = without(by_token[:, touched].contiguous()) + instead[:, None]
        return out.reshape(*x.shape[:-1], -1)

    module.forward = edited


@each_model
@each_space
@each_kind
def test_a_lesion_is_what_weights_without_the_units_compute(
    build: Callable[[], nn.Module], space: str, kind: Callable[[nn.Module, str], Replacement]
) -> None:
    model = build()
    mask, to = random_mask(model, space), kind(model, space)
    with torch.no_grad():
        intact, expected = logits(model), logits(by_hand(model, space, mask, to))
        with lesion(model, {space: mask}, to):
            lesioned = logits(model)
        assert torch.equal(logits(model), intact)
    first = to.at or 1
    torch.testing.assert_close(lesioned, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(lesioned[:, :first], intact[:, :first])
    assert (lesioned[:, first:] - intact[:, first:]).abs().amax(-1).min() > 1e-4


def written_out(model: NanoGPT, ids: Tensor, masks: dict[str, Tensor], values: dict[str, Tensor]) -> Tensor:
    """nanoGPT's forward pass with the lesion in its formulas."""

    def cut(x: Tensor, space: str, layer: int) -> Tensor:
        width = len(masks[space]) // LAYERS
        own = slice(layer * width, (layer + 1) * width)
        mask, put = masks[space][own], values[space][own]
        if space == "heads":
            mask, put = mask.repeat_interleave(4), put.flatten()
        rest = x[:, 1:] * (~mask).float() + put * mask.float()
        return torch.cat([x[:, :1], rest], dim=1)

    parts = model.transformer
    x = parts["wte"](ids) + parts["wpe"](torch.arange(ids.shape[1]))
    future = torch.ones(ids.shape[1], ids.shape[1]).triu(1).bool()
    for layer, block in enumerate(parts["h"]):
        queries, keys, inputs = block.attn.c_attn(block.ln_1(x)).split(16, dim=-1)
        heads = [
            (queries[..., a:b] @ keys[..., a:b].mT / 2.0).masked_fill(future, -torch.inf).softmax(-1) @ inputs[..., a:b]
            for a, b in pairwise(range(0, 17, 4))
        ]
        x = x + block.attn.c_proj(cut(torch.cat(heads, dim=-1), "heads", layer))
        x = x + block.mlp.c_proj(cut(functional.gelu(block.mlp.c_fc(block.ln_2(x))), "mlp", layer))
        x = cut(x, "residual", layer)
    out: Tensor = model.lm_head(parts["ln_f"](x))
    return out


def test_all_spaces_at_once_are_as_the_formulas_say_and_so_are_the_gradients() -> None:
    model = seeded(NanoGPT, dropout=0.0)
    masks = {space: random_mask(model, space, seed=number) for number, space in enumerate(SPACES)}
    values = {space: random_values(model, space) for space in SPACES}
    targets = IDS.roll(-1, 1).flatten()
    expected = written_out(model, IDS, masks, values)
    functional.cross_entropy(expected.flatten(0, 1), targets).backward()
    by_formula = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with lesion(model, masks, Replacement(values)):
        lesioned = logits(model)
        functional.cross_entropy(lesioned.flatten(0, 1), targets).backward()
    torch.testing.assert_close(lesioned, expected)
    for parameter, gradient in zip(model.parameters(), by_formula, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_gradients_reach_the_values_put_in() -> None:
    """How the loss changes with what a unit is set to, against the difference that a small step makes."""
    model = seeded(NanoGPT).double().eval()
    mask = random_mask(model, "mlp")
    values = random_values(model, "mlp").double().requires_grad_()

    def loss(put: Tensor) -> Tensor:
        with lesion(model, {"mlp": mask}, Replacement({"mlp": put})):
            return logits(model).square().mean()

    loss(values).backward()
    assert not values.grad[~mask].any()
    unit = int(mask.nonzero()[3])
    step = torch.zeros_like(values).index_fill(0, torch.tensor([unit]), 1e-5)
    with torch.no_grad():
        slope = (loss(values + step) - loss(values - step)) / 2e-5
    torch.testing.assert_close(values.grad[unit], slope, rtol=1e-5, atol=1e-9)


def test_with_gradient_checkpointing_the_gradients_are_the_same() -> None:
    gradients = []
    for checkpointed in (False, True):
        model = seeded(NanoGPT, dropout=0.0)
        for block in model.transformer["h"] if checkpointed else ():
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        with lesion(model, {space: random_mask(model, space) for space in SPACES}):
            logits(model).square().mean().backward()
        gradients.append(model.transformer["wte"].weight.grad)
    assert torch.equal(*gradients)


@each_model
@each_space
def test_an_empty_mask_leaves_every_bit(build: Callable[[], nn.Module], space: str) -> None:
    model = build()
    with lesion(model, {space: torch.zeros(unit_shape(model, space)[0], dtype=torch.bool)}):
        inside = logits(model)
        assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
    assert torch.equal(inside, logits(model))


@each_model
def test_a_row_that_is_given_its_own_activations_keeps_every_bit(build: Callable[[], nn.Module]) -> None:
    model = build()
    own = seen_by_hooks(model, "mlp")[:, AT]
    mask, values = random_mask(model, "mlp"), random_values(model, "mlp", ITEMS)
    values[1] = own[1]
    with lesion(model, {"mlp": mask}, Replacement({"mlp": values}, at=AT)):
        lesioned = logits(model)
    intact = logits(model)
    assert torch.equal(lesioned[1], intact[1])
    assert not torch.equal(lesioned[0], intact[0])


def seen_by_hooks(model: nn.Module, space: str) -> Tensor:
    """The activations at the sites of a space with hooks of the test's own: (item, token, value)."""
    seen: list[Tensor] = []
    handles = [
        site.module.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
        for site in anatomy(model).sites[space]
    ]
    logits(model)
    for handle in handles:
        handle.remove()
    return torch.cat([part.reshape(ITEMS, LENGTH, -1) for part in seen], dim=-1)


@each_space
def test_activations_of_others_are_not_written_to(space: str) -> None:
    model = tiny("gpt_neox").eval()
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, args: tuple[Tensor, ...], out: Tensor | None = None) -> None:
        given = args[0] if out is None else out
        kept.append((given, given.clone()))

    for site in anatomy(model).sites[space]:
        register = site.module.register_forward_pre_hook if site.side == "input" else site.module.register_forward_hook
        register(keep)
    with lesion(model, {space: random_mask(model, space)}):
        logits(model)
    assert len(kept) == LAYERS
    assert all(torch.equal(given, before) for given, before in kept)


GENERATE = {"max_new_tokens": 9, "do_sample": False, "eos_token_id": None}
GENERATE |= {"output_logits": True, "return_dict_in_generate": True}
TRANSFORMERS = ["gpt_neox", "gpt2", "llama", "gemma3_text", "falcon", "opt", "gpt_neo"]


def generated(model: nn.Module, ids: Tensor, **arguments: Any) -> tuple[Tensor, Tensor]:
    """The new tokens, and the logits that they were chosen by."""
    out = model.generate(ids, **GENERATE, **arguments)
    return out.sequences[:, ids.shape[1] :], torch.stack(out.logits, dim=1)


def padded(*lengths: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Rows padded on the left, their mask, and the rows alone."""
    rows = [torch.tensor([row]) for row in random_tokens(*lengths, seed=3)]
    ids = torch.cat([functional.pad(row, (max(lengths) - row.shape[1], 0)) for row in rows])
    mask = torch.cat([functional.pad(torch.ones_like(row), (max(lengths) - row.shape[1], 0)) for row in rows])
    return ids, mask, rows


@pytest.mark.parametrize("architecture", TRANSFORMERS)
@each_space
def test_generation_with_a_cache_is_generation_without(architecture: str, space: str) -> None:
    model = tiny(architecture).eval()
    _, intact = generated(model, IDS)
    with lesion(model, {space: random_mask(model, space)}):
        cached, cached_logits = generated(model, IDS)
        whole, whole_logits = generated(model, IDS, use_cache=False)
    assert torch.equal(cached, whole)
    torch.testing.assert_close(cached_logits, whole_logits, rtol=1e-4, atol=1e-5)
    assert (cached_logits - intact).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("architecture", TRANSFORMERS)
@pytest.mark.parametrize("cache", [{}, {"use_cache": False}, {"cache_implementation": "static"}], ids=str)
@pytest.mark.parametrize("at", [None, 2, 8])
def test_rows_padded_on_the_left_generate_as_they_do_alone(architecture: str, cache: dict[str, Any], at: int) -> None:
    """Position 8 comes late in the prompt of some rows, and in others only among the new tokens."""
    model = tiny(architecture).eval()
    masks, to = {"mlp": random_mask(model, "mlp"), "heads": random_mask(model, "heads")}, Replacement(at=at)
    ids, attended, rows = padded(5, 11, 2)
    with lesion(model, masks, to):
        tokens, batch = generated(model, ids, attention_mask=attended, **cache)
        alone = [generated(model, row, use_cache=False) for row in rows]
    torch.testing.assert_close(batch, torch.cat([logits for _, logits in alone]), rtol=1e-4, atol=1e-5)
    assert torch.equal(tokens, torch.cat([new for new, _ in alone]))


def test_padded_rows_are_read_off_the_mask_alone() -> None:
    """A plain pass gives no positions."""
    model = tiny("opt").eval()
    ids, attended, rows = padded(5, 8)
    with lesion(model, {"mlp": random_mask(model, "mlp")}):
        batch = logits(model, ids, attention_mask=attended)
        for row, found in zip(rows, batch, strict=True):
            torch.testing.assert_close(found[-row.shape[1] :], logits(model, row)[0], rtol=1e-4, atol=1e-5)


def test_each_of_several_texts_packed_into_a_row_has_a_first_token() -> None:
    model = tiny("llama").eval()
    texts = [torch.tensor([text]) for text in random_tokens(4, 6)]
    positions = torch.cat([torch.arange(text.shape[1]) for text in texts])[None]
    with lesion(model, {"mlp": random_mask(model, "mlp")}):
        packed = logits(model, torch.cat(texts, dim=1), position_ids=positions, use_cache=False)
        alone = torch.cat([logits(model, text) for text in texts], dim=1)
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-5)


def test_a_row_continued_from_a_cache_is_the_row_in_one_piece() -> None:
    body = tiny("gpt_neox").eval().gpt_neox
    with lesion(body, {"heads": random_mask(body, "heads")}):
        begun = body(IDS[:, :3], use_cache=True)
        rest = body(attention_mask=torch.ones_like(IDS), input_ids=IDS[:, 3:], past_key_values=begun.past_key_values)
        parts = [begun.last_hidden_state, rest.last_hidden_state]
        torch.testing.assert_close(torch.cat(parts, dim=1), body(IDS).last_hidden_state)


def test_it_does_not_matter_how_a_model_is_given_its_tokens() -> None:
    model = tiny("llama").eval()
    ids, attended, _ = padded(5, 8)
    body, embedded = model.model, model.get_input_embeddings()(ids)
    with lesion(model, {"mlp": random_mask(model, "mlp")}):
        outs = [
            body(input_ids=ids, attention_mask=attended),
            body(attention_mask=attended, input_ids=ids),
            body(ids, attended),
            body(inputs_embeds=embedded, attention_mask=attended),
        ]
        first, *others = (out.last_hidden_state for out in outs)
    assert all(torch.equal(first, other) for other in others)
    assert not torch.equal(first, body(ids, attended).last_hidden_state)


@each_space
def test_half_precision_stays_half_precision(space: str) -> None:
    """Against the single-precision model, within what 8 bits of mantissa leave."""
    single, half = tiny("llama").eval(), tiny("llama").eval().to(torch.bfloat16)
    mask, to = random_mask(single, space), Replacement({space: random_values(single, space)})
    with lesion(single, {space: mask}, to), lesion(half, {space: mask}, to):
        expected, found = logits(single), logits(half)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).norm() < 0.03 * expected.norm()
    with lesion(single, {space: mask}, to), torch.autocast("cpu", dtype=torch.bfloat16):
        assert (logits(single).float() - expected).norm() < 0.03 * expected.norm()


class Broken(Exception):
    pass


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """But for python's generator: what checks shapes in tests draws from it, to look into some member of a tuple."""
    with unchanged(model):
        drawn = random.getstate()
        yield
        random.setstate(drawn)


@pytest.mark.parametrize("build", [NanoGPT, FlatGPT, lambda: tiny("falcon")], ids=["nanoGPT", "flat", "falcon"])
def test_nothing_is_left_behind(build: Callable[[], nn.Module]) -> None:
    model = trained(build()).eval()
    masks = {space: random_mask(model, space) for space in SPACES}
    with untouched(model), lesion(model, masks):
        logits(model)
    with untouched(model), pytest.raises(Broken), lesion(model, masks):
        raise Broken
    wrong = Replacement({space: random_values(model, space, 2) for space in SPACES}, at=1)
    refused = pytest.raises(ValueError, match="2 items, and the model is run on 3")
    with untouched(model), refused, lesion(model, masks, wrong):
        logits(model)


def test_inside_every_module_has_its_own_mode_and_weights() -> None:
    model = partly_frozen()
    before = [(module, module.training) for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    with lesion(model, {space: random_mask(model, space) for space in SPACES}):
        assert [(module, module.training) for module in model.modules()] == before
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
        assert torch.is_grad_enabled()


def test_dropout_draws_what_it_would_have_drawn() -> None:
    """Zeroed in training mode: the units that stay behave as with the same draw."""
    model = seeded(NanoGPT, dropout=0.5)
    mask = random_mask(model, "mlp")
    ends = []
    for masks in ({}, {"mlp": mask}):
        torch.manual_seed(3)
        with lesion(model, masks):
            first = logits(model)[:, 0]
        ends.append((torch.get_rng_state(), first))
    assert torch.equal(ends[0][0], ends[1][0])
    assert torch.equal(ends[0][1], ends[1][1])
    assert model.training


@each_space
def test_nested_lesions_add_up_and_the_inner_one_ends_first(space: str) -> None:
    model = tiny("gpt_neox").eval()
    one, other = random_mask(model, space, seed=1), random_mask(model, space, seed=2)
    values = random_values(model, space)
    joined = torch.where((one & ~other).reshape(-1, *[1] * (values.ndim - 1)), 0, values)
    with lesion(model, {space: one | other}, Replacement({space: joined})):
        both = logits(model)
    with lesion(model, {space: one}):
        outer = logits(model)
        with lesion(model, {space: other}, Replacement({space: values})):
            nested = logits(model)
        assert torch.equal(logits(model), outer)
    assert torch.equal(nested, both)
    assert not torch.equal(nested, outer)


def whole(model: nn.Module, backend: Callable[..., object]) -> nn.Module:
    return torch.compile(model, backend=backend)


def in_place(model: nn.Module, backend: Callable[..., object]) -> nn.Module:
    model.compile(backend=backend)
    return model


def wrapped_blocks(model: nn.Module, backend: Callable[..., object]) -> nn.Module:
    blocks = [torch.compile(block, backend=backend) for block in model.transformer["h"]]
    model.transformer["h"] = nn.ModuleList(blocks)
    return model


@pytest.mark.parametrize("compiled", [whole, in_place, wrapped_blocks])
def test_a_compiled_model_is_lesioned_all_the_same(compiled: Callable[..., nn.Module]) -> None:
    """Compiled code calls no hook that is younger than itself."""
    plain, graphs = seeded(NanoGPT).eval(), []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    model = compiled(seeded(NanoGPT).eval(), backend)
    with torch.no_grad():
        intact = logits(model)
        number = len(graphs)
        masks = {space: random_mask(plain, space) for space in SPACES}
        with lesion(plain, masks):
            expected = logits(plain)
        with lesion(model, masks):
            assert torch.equal(logits(model), expected)
        assert torch.equal(logits(model), intact)
    assert len(graphs) == number > 0
