"""One forward pass serves all readings, and its values depend on nothing but the stimulus."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError
from models import HEADS, LAYERS, FlatGPT, NanoGPT, random_tokens, seeded, tiny
from torch import Tensor, nn

from observatory.measure.anatomy import SPACES, Anatomy, anatomy
from observatory.measure.pooling import last_and_mean_magnitude
from observatory.measure.reading import Reading, SharedPass, Tokens, batches
from observatory.measure.undisturbed import undisturbed

TOKENS = random_tokens(5, 3, 7, 5, 2, 7, 7, 3)
POOLED = {space: Reading(space, last_and_mean_magnitude, 2) for space in SPACES}
PLENTY = 2**30


def peak(activations: Tensor) -> Tensor:
    return activations.amax(1)[None]


def read(
    model: nn.Module,
    tokens: Tokens = TOKENS,
    readings: list[Reading] | None = None,
    batch_tokens: int = 64,
    memory: int = PLENTY,
) -> list[Tensor]:
    """Every reading, its blocks put side by side."""
    wanted = list(POOLED.values()) if readings is None else readings
    with undisturbed(model):
        shared = SharedPass(anatomy(model), tokens, wanted, batch_tokens=batch_tokens, memory=memory)
        return [torch.cat([block[reading] for block in shared.blocks(reading)], dim=-1) for reading in wanted]


def calls(module: nn.Module) -> list[tuple[int, ...]]:
    """The shapes of all inputs that a module is going to be called with."""
    seen: list[tuple[int, ...]] = []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    return seen


@pytest.mark.parametrize("limit", [1, 6, 7, 14, 15, 1000])
def test_batches_hold_stimuli_of_one_length_each_once_and_no_more_tokens_than_allowed(limit: int) -> None:
    made = batches(TOKENS, limit)
    assert sorted(item for batch in made for item in batch.items.tolist()) == list(range(len(TOKENS)))
    for batch in made:
        assert [tuple(row) for row in batch.ids.tolist()] == [TOKENS[item] for item in batch.items]  # so no padding
        assert batch.ids.numel() <= limit or len(batch.items) == 1
    if limit == 1000:
        assert len(made) == len({len(tokens) for tokens in TOKENS})


@pytest.mark.parametrize("architecture", ["gpt_neox", "llama"])
def test_pooled_values_are_those_of_each_stimulus_run_alone(architecture: str) -> None:
    model = tiny(architecture).eval()
    (residual,) = read(model, readings=[POOLED["residual"]])
    for item, tokens in enumerate(TOKENS):
        with torch.no_grad():
            hidden = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
        for layer in range(LAYERS - 1):
            magnitude = hidden[layer + 1][0].abs()
            units = slice(16 * layer, 16 * layer + 16)
            torch.testing.assert_close(residual[0, item, units], magnitude[-1])
            torch.testing.assert_close(residual[1, item, units], magnitude[1:].mean(0))


def test_a_head_is_pooled_by_the_length_of_its_vector() -> None:
    activations = torch.randn(3, 5, HEADS, 6)
    last, mean = last_and_mean_magnitude(activations)
    length = activations.square().sum(-1).sqrt()
    torch.testing.assert_close(last, length[:, 4])
    torch.testing.assert_close(mean, length[:, 1:].mean(1))


def test_the_first_position_is_never_read() -> None:
    activations = torch.randn(3, 5, 4)
    poisoned = activations.clone()
    poisoned[:, 0] = torch.nan
    assert torch.equal(last_and_mean_magnitude(activations), last_and_mean_magnitude(poisoned))


def test_half_precision_is_pooled_in_single() -> None:
    activations = torch.full((1, 1001, 1), 1.0, dtype=torch.bfloat16)
    activations[0, 1] = 1.0078125  # a sum kept in bfloat16 would lose it
    _, mean = last_and_mean_magnitude(activations)
    assert mean.item() == pytest.approx(1 + 0.0078125 / 1000, rel=1e-6)


def test_several_readings_take_one_forward_pass() -> None:
    model = seeded(FlatGPT)
    seen = calls(model.body)
    first = model.body.blocks[0]
    through_first = calls(first)
    read(model, readings=[*POOLED.values(), Reading("mlp", peak, 1)])
    lengths = sorted({len(tokens) for tokens in TOKENS})
    assert seen == [(sum(len(t) == length for t in TOKENS), length) for length in lengths]
    assert len(through_first) == len(seen)


def test_asking_again_takes_no_further_pass() -> None:
    model = seeded(FlatGPT)
    seen = calls(model.body)
    with undisturbed(model):
        shared = SharedPass(anatomy(model), TOKENS, list(POOLED.values()), batch_tokens=1000, memory=PLENTY)
        assert seen == []  # nothing is run before it is asked for
        for _ in range(3):
            for reading in POOLED.values():
                list(shared.blocks(reading))
    assert len(seen) == len({len(tokens) for tokens in TOKENS})


def test_equal_readings_are_taken_once() -> None:
    counted = []

    def reduce(activations: Tensor) -> Tensor:
        counted.append(activations.shape)
        return peak(activations)

    same = [Reading("mlp", reduce, 1), Reading("mlp", reduce, 1), Reading("residual", reduce, 1)]
    one, other, _ = read(seeded(FlatGPT), random_tokens(4, 4), same)
    assert torch.equal(one, other)
    assert len(counted) == 2 * LAYERS


def test_equal_readings_need_memory_once() -> None:
    model = seeded(FlatGPT)
    seen = calls(model.body)
    read(model, readings=[POOLED["mlp"], Reading("mlp", last_and_mean_magnitude, 2)], memory=bytes_of("mlp", 3, 20))
    assert len(seen) == len({len(tokens) for tokens in TOKENS})


class Unwanted(nn.Module):
    def forward(self, *_: Tensor) -> Tensor:
        raise AssertionError("nothing reads what comes after the last block")


@pytest.mark.parametrize(
    ("model", "ends"),
    [
        (seeded(NanoGPT), ["transformer.ln_f", "lm_head"]),
        (seeded(FlatGPT), ["body.norm", "head"]),
        (tiny("gpt_neox"), ["gpt_neox.final_layer_norm", "embed_out"]),
        (tiny("gpt2"), ["transformer.ln_f", "lm_head"]),
    ],
    ids=["nanoGPT", "flat", "gpt_neox", "gpt2"],
)
def test_neither_the_final_norm_nor_the_head_is_run(model: nn.Module, ends: list[str]) -> None:
    for path in ends:
        parent, _, name = path.rpartition(".")
        holder = model.get_submodule(parent)
        if isinstance(holder, nn.ModuleDict):
            holder[name] = Unwanted()
        else:
            setattr(holder, name, Unwanted())
    assert all(values.isfinite().all() for values in read(model))


@pytest.mark.parametrize("build", [lambda: tiny("gpt_neox"), lambda: tiny("gemma3_text"), lambda: seeded(NanoGPT)])
def test_order_and_batch_size_do_not_matter(build: Callable[[], nn.Module]) -> None:
    model = build()
    expected = read(model)
    order = torch.randperm(len(TOKENS), generator=torch.Generator().manual_seed(1)).tolist()
    shuffled = read(model, [TOKENS[item] for item in order])
    for values, other in zip(expected, shuffled, strict=True):
        torch.testing.assert_close(other, values[:, order])
    for batch_tokens in (1, 9, 14):
        for values, other in zip(expected, read(model, batch_tokens=batch_tokens), strict=True):
            torch.testing.assert_close(other, values)


def bytes_of(space: str, layers: int, width: int) -> int:
    return 4 * POOLED[space].values * len(TOKENS) * layers * width


@pytest.mark.parametrize(
    ("memory", "blocks"),
    [
        (bytes_of("mlp", 1, 20), [20, 20, 20]),
        (bytes_of("mlp", 2, 20), [40, 20]),
        (bytes_of("mlp", 3, 20), [60]),
        (1, [20, 20, 20]),  # one layer is the least that can be read
    ],
    ids=["one layer", "two layers", "all of one space", "too little"],
)
def test_what_does_not_fit_is_read_block_by_block_with_the_same_values(memory: int, blocks: list[int]) -> None:
    model = tiny("gpt_neox")
    expected = dict(zip(POOLED, read(model), strict=True))
    with undisturbed(model):
        shared = SharedPass(anatomy(model), TOKENS, list(POOLED.values()), batch_tokens=64, memory=memory)
        assert [block[POOLED["mlp"]].shape[-1] for block in shared.blocks(POOLED["mlp"])] == blocks
        for space, reading in POOLED.items():
            assert torch.equal(torch.cat([block[reading] for block in shared.blocks(reading)], -1), expected[space])


def largest(activations: Tensor) -> Tensor:
    return activations.flatten(1).amax(1)[None, :, None]


@pytest.mark.parametrize("memory", [PLENTY, 1], ids=["one pass", "a pass a layer"])
def test_a_layer_may_be_read_as_a_whole_beside_its_units(memory: int) -> None:
    units, layers = Reading("residual", peak, 1), Reading("residual", largest, 1, of="layer")
    found, whole = read(tiny("gpt_neox"), readings=[units, layers], memory=memory)
    assert whole.shape == (1, len(TOKENS), LAYERS)
    assert torch.equal(whole[0], found[0].unflatten(-1, (LAYERS, -1)).amax(-1))


def test_readings_asked_for_together_share_the_passes_over_the_blocks() -> None:
    model = tiny("gpt_neox")
    expected = dict(zip(POOLED, read(model), strict=True))
    seen = [calls(layer) for layer in model.gpt_neox.layers]
    layer = sum(bytes_of(space, 1, width) for space, width in (("mlp", 20), ("residual", 16), ("heads", HEADS)))
    with undisturbed(model):
        shared = SharedPass(anatomy(model), TOKENS, list(POOLED.values()), batch_tokens=1000, memory=2 * layer)
        parts = list(shared.blocks(*POOLED.values()))
    lengths = len({len(tokens) for tokens in TOKENS})
    assert [len(one) for one in seen] == [2 * lengths, 2 * lengths, lengths]
    for space, reading in POOLED.items():
        assert torch.equal(torch.cat([block[reading] for block in parts], -1), expected[space])


def test_a_block_of_layers_runs_no_layer_behind_it() -> None:
    model = tiny("gpt_neox")
    seen = [calls(layer) for layer in model.gpt_neox.layers]
    with undisturbed(model):
        wanted = [POOLED["mlp"]]
        shared = SharedPass(anatomy(model), TOKENS, wanted, batch_tokens=1000, memory=bytes_of("mlp", 1, 20))
        list(shared.blocks(POOLED["mlp"]))
    lengths = len({len(tokens) for tokens in TOKENS})
    assert [len(one) for one in seen] == [3 * lengths, 2 * lengths, lengths]


def test_no_token_level_activation_outlives_its_batch() -> None:
    held: list[weakref.ref[Tensor]] = []
    most = 0

    def reduce(activations: Tensor) -> Tensor:
        nonlocal most
        held.append(weakref.ref(activations.untyped_storage()))
        most = max(most, sum(ref() is not None for ref in held))
        return peak(activations)

    model = seeded(FlatGPT)
    values = read(model, readings=[Reading("mlp", reduce, 1), Reading("residual", reduce, 1)])
    assert len(held) == 2 * LAYERS * len({len(tokens) for tokens in TOKENS})
    assert not any(ref() is not None for ref in held)
    assert most <= 2  # those that the block in hand is at work on
    assert sum(v.untyped_storage().nbytes() for v in values) == 4 * len(TOKENS) * LAYERS * (20 + 16)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([], "every stimulus needs two tokens or more, .* the shortest of 0 has 0"),
        ([(1, 2), (3,)], "since position 0 is never read; the shortest of 2 has 1"),
        ([(1, 2), ()], "the shortest of 2 has 0"),
    ],
    ids=["none", "one token", "no token"],
)
def test_stimuli_too_short_to_be_read_are_refused(tokens: Tokens, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(seeded(FlatGPT), tokens)


def test_a_body_that_skips_its_last_block_is_not_taken_for_read() -> None:
    class Skipping(FlatGPT.Body):
        def forward(self, ids: Tensor) -> Tensor:
            out: Tensor = self.blocks[0](self.embed(ids))
            return out

    with pytest.raises(RuntimeError, match="Skipping returned without running its last block"):
        read(seeded(Skipping, dropout=0.0))


def test_activations_in_half_precision_are_kept_in_single() -> None:
    for values, exact in zip(read(seeded(NanoGPT).bfloat16()), read(seeded(NanoGPT)), strict=True):
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, exact, atol=0.05, rtol=0.05)


def test_shapes_are_enforced_while_testing() -> None:
    found: Anatomy = anatomy(seeded(FlatGPT))
    with pytest.raises(TypeCheckError):
        last_and_mean_magnitude(torch.zeros(3, 4))
    with pytest.raises(TypeCheckError):
        batches([(1.5, 2.5)], 10)  # type: ignore[list-item]
    with pytest.raises(TypeCheckError):
        found.widths(3)  # type: ignore[arg-type]
