"""Attention weights as the model computes them, and what sinks and induction heads are made of."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from copying import FIRST, INDUCTION, LATER, PREVIOUS, SINK_BEHIND, Copying
from loop import small_battery, word_tokenizer
from models import HEADS, LAYERS, FlatGPT, NanoGPT, random_tokens, seeded, tiny
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from observatory import Observation, Observatory, open_logbook
from observatory.measure.anatomy import Anatomy, anatomy
from observatory.measure.attended import Attended, attended, fused_weights
from observatory.measure.drawn import opening, repeated, running
from observatory.measure.instruments import find_instrument
from observatory.measure.instruments.attention import Attention, alpha, repetition
from observatory.measure.ranks import Ranks
from observatory.measure.reading import Tokens
from observatory.measure.undisturbed import undisturbed
from observatory.record.logbook import Logbook
from observatory.stimuli.battery import Battery, Domain, Family, Item

LENGTH = 9
TOKENS = random_tokens(*[LENGTH] * 3)
PLAIN = ["gpt_neox", "gpt2", "llama", "gemma", "gemma3_text", "qwen3", "phi", "phi3", "opt", "falcon", "mistral"]


def all_of(weights: Tensor) -> Tensor:
    """Nothing is left out: a value for each query and key."""
    return weights.flatten(-2).movedim(-1, 0)


def weights_of(model: nn.Module, tokens: Tokens = TOKENS, found: Anatomy | None = None) -> Attended:
    """With (query key) as the first axis of its values."""
    with undisturbed(model):
        return attended(found or anatomy(model), tokens, all_of, LENGTH * LENGTH, batch_tokens=2 * LENGTH)


def by_layer(found: Attended) -> list[Tensor]:
    """(item, head, query, key) of each layer."""
    return [found.values[:, :, layer].movedim(0, -1).unflatten(-1, (LENGTH, LENGTH)) for layer in range(LAYERS)]


def given_by_transformers(model: nn.Module) -> tuple[Tensor, ...]:
    with torch.no_grad():
        said: tuple[Tensor, ...] = model.eval()(torch.tensor(TOKENS), output_attentions=True).attentions
    return said


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("architecture", PLAIN)
def test_weights_are_those_that_transformers_gives_whatever_code_is_run(architecture: str, attention: str) -> None:
    model = tiny(architecture, attention=attention)
    found = weights_of(model)
    assert found.shown.all()
    assert found.unseen == ""
    for ours, theirs in zip(by_layer(found), given_by_transformers(tiny(architecture)), strict=True):
        assert ours.shape == (3, HEADS, LENGTH, LENGTH)  # of grouped queries, one row for each
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert model.config._attn_implementation == attention


def test_weights_of_a_model_of_ones_own_are_those_worked_out_by_hand() -> None:
    model = seeded(NanoGPT)
    read: list[Tensor] = []
    handles = [
        block.attn.c_attn.register_forward_hook(lambda _, __, out: read.append(out.detach()))
        for block in model.transformer["h"]
    ]
    with torch.no_grad():
        model.eval()(torch.tensor(TOKENS))
    for handle in handles:
        handle.remove()
    for ours, projected in zip(by_layer(weights_of(model)), read, strict=True):
        for item in range(len(TOKENS)):
            for head in range(HEADS):
                q, k = (projected[item, :, start + 4 * head : start + 4 * head + 4] for start in (0, 16))
                for at in range(LENGTH):
                    scores = torch.stack([(q[at] * k[other]).sum() / sqrt(4) for other in range(at + 1)])
                    expected = scores.exp() / scores.exp().sum()
                    torch.testing.assert_close(ours[item, head, at, : at + 1], expected, atol=1e-6, rtol=1e-5)
                    assert (ours[item, head, at, at + 1 :] == 0).all()


@pytest.mark.parametrize("given", ["causal", "mask", "bias", "groups and scale"])
def test_weights_of_fused_attention_give_what_it_gives(given: str) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 6, 8), torch.randn(2, 4, 6, 8), torch.randn(2, 4, 6, 8)
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    settings: dict[str, Any] = {
        "causal": {"is_causal": True},
        "mask": {"attn_mask": causal[None, None]},
        "bias": {"attn_mask": torch.randn(2, 1, 6, 6)},
        "groups and scale": {"is_causal": True, "enable_gqa": True, "scale": 0.3},
    }[given]
    if given == "groups and scale":
        key, value = key[:, :2], value[:, :2]
    out = functional.scaled_dot_product_attention(query, key, value, **settings)
    wide = value if value.shape[1] == 4 else value.repeat_interleave(2, 1)
    torch.testing.assert_close(fused_weights(query, key, value, **settings) @ wide, out)


def test_weights_in_half_precision_are_those_of_single_but_for_rounding() -> None:
    exact, rounded = weights_of(tiny("llama", attention="sdpa")), weights_of(tiny("llama", attention="sdpa").bfloat16())
    assert rounded.values.dtype == torch.float32
    torch.testing.assert_close(rounded.values, exact.values, atol=0.02, rtol=0)


def test_dropout_is_off() -> None:
    dropping = tiny("gpt2", attn_pdrop=0.5, resid_pdrop=0.5, embd_pdrop=0.5)
    assert torch.equal(weights_of(dropping).values, weights_of(tiny("gpt2")).values)
    assert dropping.training


def unseen_attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **given: Any) -> Any:
    """Neither a softmax nor torch's fused attention, as kernels of others."""
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    powers = (query @ key.mT * given["scaling"] + mask).exp()
    return ((powers / powers.sum(-1, keepdim=True)) @ value).transpose(1, 2), None


AttentionInterface.register("unseen", unseen_attention)
AttentionMaskInterface.register("unseen", eager_mask)


def test_a_kernel_that_shows_nothing_stands_aside_for_the_moment() -> None:
    model = tiny("llama", attention="unseen")
    ids = torch.tensor(TOKENS)
    before = model.eval()(ids).logits
    told, states = model.config.to_dict(), {name: value.clone() for name, value in model.state_dict().items()}
    found = weights_of(model)
    assert found.shown.all()
    torch.testing.assert_close(found.values, weights_of(tiny("llama")).values, atol=1e-5, rtol=0)
    assert_as_found(model, "unseen", told)
    assert torch.equal(model(ids).logits, before)
    assert all(torch.equal(value, states[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("attention", ["unseen", "sdpa", "eager"])
def test_the_model_is_as_found_where_it_fails_midway(attention: str) -> None:
    model = tiny("llama", attention=attention).eval()
    told, before, seen = model.config.to_dict(), model(torch.tensor(TOKENS)).logits, []

    def failing(weights: Tensor) -> Tensor:
        seen.append(model.config._attn_implementation)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attended(anatomy(model), TOKENS, failing, 1, batch_tokens=64)
    assert seen == ["eager" if attention == "unseen" else attention]
    assert_as_found(model, attention, told)
    assert torch.equal(model(torch.tensor(TOKENS)).logits, before)


def assert_as_found(model: nn.Module, attention: str, told: dict[str, Any]) -> None:
    assert model.config._attn_implementation == attention
    assert model.config.to_dict() == told
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch._C._len_torch_function_stack() == 0


class Powers(nn.Module):
    """Attention of one's own that shows no weights."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.c_attn, self.c_proj, self.n_head = inside.c_attn, inside.c_proj, inside.n_head

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for part in self.c_attn(x).chunk(3, dim=-1))
        powers = (q @ k.mT / sqrt(q.shape[-1])).exp().tril()
        out: Tensor = self.c_proj((powers / powers.sum(-1, keepdim=True) @ v).transpose(1, 2).flatten(-2))
        return out


class Gate(nn.Module):
    """Experts are chosen by a softmax, too."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.c_fc, self.c_proj = inside.c_fc, inside.c_proj

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(functional.softmax(self.c_fc(x), dim=-1))
        return out


def test_another_softmax_in_a_block_is_not_taken_for_attention() -> None:
    model = seeded(NanoGPT)
    first = model.transformer["h"][0]
    before = by_layer(weights_of(model))[0]
    first.mlp = Gate(first.mlp)
    found = weights_of(model)
    assert found.shown.all()
    assert torch.equal(by_layer(found)[0], before)


def test_where_a_layer_shows_no_weights_the_variables_are_missing_and_say_why(tmp_path: Path) -> None:
    model = seeded(NanoGPT)
    second = model.transformer["h"][1]
    second.attn = Powers(second.attn)
    seen = observed(model)
    for name in ("first", "sink", "induction", "previous", "sink_by_position", "secondary"):
        assert np.isnan(seen[f"attention_{name}"][1]).all()
        assert np.isfinite(seen[f"attention_{name}"][[0, 2]]).all()
    for name in ("sink_share", "secondary_share", "strongest_induction", "strongest_previous"):
        assert np.isnan(seen[f"attention_{name}"])
    with Logbook(tmp_path / "o.h5") as logbook:
        logbook.record(seen)
    reason = open_logbook(tmp_path / "o.h5")["attention_sink"].attrs["missing"]
    assert reason.startswith("no attention weights of layer 1: looked in its Block for one softmax")
    assert "missing" not in observed(seeded(NanoGPT)).variables["attention_sink"].attrs


def observed(model: nn.Module, **settings: Any) -> Observation:
    watching = Observatory(word_tokenizer(), battery=small_battery(10), instruments=[Attention(**settings)], twins=0)
    return watching.observe(model, step=0)


@pytest.fixture(scope="module")
def planted() -> Observation:
    return observed(Copying())


def test_the_record_says_which_axis_is_what(planted: Observation) -> None:
    assert {name.removeprefix("attention_"): v.dims for name, v in planted.variables.items()} == {
        "first": ("layer", "head"),
        "sink": ("layer", "head"),
        "sink_by_position": ("layer", "sink_position"),
        "secondary": ("layer",),
        "sink_share": (),
        "secondary_share": (),
        "induction": ("layer", "head"),
        "previous": ("layer", "head"),
        "strongest_induction": (),
        "strongest_previous": (),
    }
    assert planted.coordinates["layer"].tolist() == [0, 1]
    assert planted.coordinates["head"].tolist() == [0, 1, 2, 3]
    assert planted["attention_sink_by_position"].shape == (2, 32)  # half of 64 tokens
    assert isinstance(find_instrument("attention"), Attention)


def test_heads_that_are_built_are_found(planted: Observation) -> None:
    induction, previous, first = (planted[f"attention_{name}"] for name in ("induction", "previous", "first"))
    assert (induction[:, INDUCTION] > 0.99).all()
    assert (np.delete(induction, INDUCTION, axis=1) < 0.05).all()
    assert (previous[:, PREVIOUS] > 0.99).all()
    assert (np.delete(previous, PREVIOUS, axis=1) < 0.1).all()
    assert (first[:, FIRST] > 0.99).all()
    assert planted["attention_strongest_induction"] == induction.max()
    assert planted["attention_strongest_previous"] == previous.max()


def test_sinks_that_are_built_are_found_where_they_are(planted: Observation) -> None:
    sink, by_position = planted["attention_sink"], planted["attention_sink_by_position"]
    assert sink[:, FIRST].tolist() == [1, 1]
    assert (sink[:, [INDUCTION, PREVIOUS, LATER]] == 0).all()
    assert by_position[:, 0].tolist() == [0.25, 0.25]
    assert by_position[:, SINK_BEHIND].tolist() == [0.25, 0.25]
    assert (np.delete(by_position, [0, SINK_BEHIND], axis=1) < 0.05).all()
    assert planted["attention_secondary"].tolist() == [0.25, 0.25]
    assert planted["attention_sink_share"] == planted["attention_secondary_share"] == 0.25


def test_alpha_and_repetition_are_those_of_loops() -> None:
    period = 4
    weights = torch.rand(2, 3, 2 * period + 1, 2 * period + 1).tril()
    weights = weights / weights.sum(-1, keepdim=True)
    found, (again, before) = alpha(weights), repetition(weights, period)
    length = weights.shape[-1]
    for item in range(2):
        for head in range(3):
            a = weights[item, head]
            for k in range(1, length + 1):
                expected = sum(a[i - 1, k - 1] for i in range(k, length + 1)) / (length - k + 1)
                torch.testing.assert_close(found[k - 1, item, head], expected)
            second = range(period + 1, 2 * period + 1)
            torch.testing.assert_close(again[item, head], torch.stack([a[i, i - period + 1] for i in second]).mean())
            later = range(2, 2 * period + 1)
            torch.testing.assert_close(before[item, head], torch.stack([a[i, i - 1] for i in later]).mean())


def test_an_even_look_at_all_that_is_seen_is_no_sink_and_no_induction() -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        for block in model.transformer["h"]:
            block.attn.c_attn.weight[:32] = 0
            block.attn.c_attn.bias[:32] = 0
    seen = observed(model)
    length = 32
    harmonic = np.mean([1 / seen_by for seen_by in range(1, length + 1)])
    np.testing.assert_allclose(seen["attention_first"], harmonic, rtol=1e-5)
    assert seen["attention_sink_share"] == seen["attention_secondary_share"] == 0
    of_second = np.mean([1 / (i + 1) for i in range(16, 31)])
    np.testing.assert_allclose(seen["attention_induction"], of_second, rtol=1e-5)


def test_processes_share_the_passes_out_and_have_the_same_together() -> None:
    class Half(Ranks):
        def __init__(self, rank: int) -> None:
            self.rank, self.size = rank, 2  # type: ignore[misc]
            super().__init__()

        rank, size = 0, 2  # type: ignore[assignment]

    model = tiny("llama", attention="sdpa")
    whole = weights_of(model)
    parts = []
    for rank in (0, 1):
        found = anatomy(model)
        object.__setattr__(found, "ranks", Half(rank))
        parts.append(weights_of(model, found=found).values)
    assert (parts[0] == 0).any()
    assert torch.equal(parts[0] + parts[1], whole.values)


def test_a_text_begins_as_stimuli_do_and_shows_its_random_tokens_twice() -> None:
    tokens = [(7, 1, 2, 3), (7, 4, 5), (7, 6, 8, 9)]
    assert opening(tokens) == (7,)
    shown = repeated(tokens, 5, 6, "some")
    for text in shown:
        assert text[0] == 7
        assert text[1:7] == text[7:]
        assert len(set(text[1:7])) == 6
        assert set(text[1:]) <= {1, 2, 3, 4, 5, 6, 8, 9}
    assert len(set(shown)) == 5
    assert shown == repeated(tokens, 5, 6, "some") != repeated(tokens, 5, 6, "other")
    assert len(repeated(tokens, 1, 20, "some")[0]) == 41  # more than there are: some come twice
    unlike = [(1, 2, 3), (4, 5, 6)]
    assert opening(unlike) == ()
    assert all(len(text) == 5 for text in repeated(unlike, 3, 2, "some"))


def test_running_text_is_made_of_stimuli_each_once() -> None:
    tokens = [(7, 1, 2), (7, 3, 4, 5), (7, 6)]
    for text in running(tokens, tokens, 4, 7, "some"):
        assert text[0] == 7
        assert sorted(text[1:]) == [1, 2, 3, 4, 5, 6]
        assert "3, 4, 5" in str(text)
        assert "1, 2" in str(text)
    assert all(len(text) == 4 for text in running(tokens, tokens, 3, 4, "some"))
    with pytest.raises(ValueError, match="these 3 stimuli give 7 tokens of running text, not 8; ask for less"):
        running(tokens, tokens, 1, 8, "some")


def test_global_generators_are_left_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    observed(seeded(FlatGPT))
    left = torch.rand(1), np.random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    assert (torch.rand(1), np.random.random()) == left


def test_a_model_that_has_diverged_has_no_sinks_rather_than_none() -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        model.transformer["h"][1].attn.c_attn.weight.fill_(torch.nan)
    seen = observed(model)
    assert np.isfinite(seen["attention_sink"][0]).all()
    for name in ("sink", "first", "induction", "sink_by_position", "secondary"):
        assert np.isnan(seen[f"attention_{name}"][1:]).all()
    assert np.isnan(seen["attention_sink_share"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"length": 4}, "5 tokens or more"), ({"texts": 0}, "texts=0"), ({"threshold": 1.0}, "between 0 and 1; got 1.0")],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Attention(**settings)


def test_a_battery_too_small_is_refused() -> None:
    family = Family("alpha", "a1", "other words", (Item("one", "w1", "w2"), Item("two", "w3", "w4")))
    battery = Battery("words", (Domain("alpha", "words", (family,), ()),))
    with pytest.raises(ValueError, match="5 tokens or more, and the battery or the context allows 3; use a larger"):
        Observatory(word_tokenizer(), battery=battery, instruments=["attention"], twins=0).observe(seeded(FlatGPT), 0)
