"""Losses on random tokens shown twice and on running text, against loops and against a model that copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from copying import SURE, Copying
from loop import small_battery, word_tokenizer
from models import VOCABULARY, FlatGPT, NanoGPT, random_tokens, seeded, tiny
from torch import Tensor, nn

from observatory import Observation, Observatory
from observatory.measure.anatomy import anatomy
from observatory.measure.drawn import repeated, running
from observatory.measure.instruments import find_instrument
from observatory.measure.instruments.induction import Induction, losses
from observatory.measure.ranks import Ranks
from observatory.measure.scene import contrasts, texts
from observatory.measure.undisturbed import undisturbed
from observatory.stimuli.battery import Battery, Domain
from observatory.stimuli.tokens import encode

SHOWN = small_battery(10)
TOKENS = encode(word_tokenizer(), texts(SHOWN))


def observed(model: nn.Module, battery: Battery = SHOWN, **settings: Any) -> Observation:
    watching = Observatory(word_tokenizer(), battery=battery, instruments=[Induction(**settings)], twins=0)
    return watching.observe(model, step=0)


def loss_by_hand(model: nn.Module, text: tuple[int, ...]) -> Tensor:
    """On each token but the first, one prefix at a time."""
    found = []
    for end in range(1, len(text)):
        with torch.no_grad():
            said = model(torch.tensor([text[:end]]))
        logits = (said if isinstance(said, Tensor) else said.logits)[0, -1].double()
        found.append(logits.logsumexp(0) - logits[text[end]])
    return torch.stack(found)


@pytest.mark.parametrize(
    "build",
    [lambda: seeded(NanoGPT), lambda: tiny("llama", attention="sdpa"), lambda: tiny("gpt_neox")],
    ids=["nanoGPT", "llama", "gpt_neox"],
)
def test_losses_are_those_of_a_loop_over_prefixes(build: Callable[[], nn.Module]) -> None:
    shown = random_tokens(7, 7, 7)
    model = build()
    for batch_tokens in (1000, 7):
        with undisturbed(model):
            found = losses(anatomy(model), shown, batch_tokens)
        expected = torch.stack([loss_by_hand(model.eval(), text) for text in shown])
        torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_the_score_is_the_loss_of_the_first_showing_less_that_of_the_second() -> None:
    model = seeded(NanoGPT)
    seen = observed(model, sequences=3, period=6)
    by_hand = torch.stack([loss_by_hand(model.eval(), text) for text in repeated(TOKENS, 3, 6, "induction")])
    first, second = by_hand[:, :6], by_hand[:, 6:]
    np.testing.assert_allclose(seen["induction_loss"], torch.stack((first.mean(0), second.mean(0))), rtol=1e-5)
    drop = (first[:, 1:] - second[:, 1:]).mean(1)
    np.testing.assert_allclose(seen["induction_drop"], drop, atol=1e-5)
    assert seen["induction_score"] == pytest.approx(float(drop.mean()), abs=1e-5)
    assert seen.coordinates["period_position"].tolist() == [1, 2, 3, 4, 5, 6]
    assert seen.coordinates["showing"].tolist() == ["first", "second"]
    assert isinstance(find_instrument("induction"), Induction)


def test_a_model_that_copies_has_a_high_score_and_one_that_does_not_has_none() -> None:
    copies, does_not, untrained = observed(Copying()), observed(Copying(copies=False)), observed(seeded(NanoGPT))
    assert copies["induction_score"] > log(VOCABULARY) - 0.1
    sure = log(1 + (VOCABULARY - 1) * np.exp(-SURE))  # the softmax of one logit of SURE among zeros
    np.testing.assert_allclose(copies["induction_loss"][1, 1:], sure, atol=1e-3)
    assert (copies["induction_loss"][0] > 2).all()
    assert does_not["induction_score"] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(does_not["induction_loss"], log(VOCABULARY), rtol=1e-6)
    assert abs(untrained["induction_score"]) < 0.1
    assert (copies["induction_drop"] > 3).all()


def test_the_first_token_shown_again_does_not_count() -> None:
    """It cannot be foreseen: the copying model holds for certain what followed the token before, and is wrong."""
    loss = observed(Copying())["induction_loss"]
    assert loss[1, 0] > loss[1, 1:].max() + 1


def test_the_end_of_a_text_is_scored_after_its_last_sixteenths_and_after_all_of_it() -> None:
    model = seeded(NanoGPT)  # its context is 32, of which the beginning of text takes one
    seen = observed(model, texts=2)
    loss = seen["induction_context_loss"]
    assert loss.shape == (2, 2, 2)
    assert {"scored_tokens": 1, "short_context": 1, "long_context": 31}.items() <= dict(
        seen.variables["induction_in_context"].attrs
    ).items()
    for row, domain in enumerate(("alpha", "beta")):
        stimuli = [ids for c in contrasts(SHOWN) if c.family.domain == domain for ids in TOKENS[c.targets]]
        for number, text in enumerate(running(TOKENS, stimuli, 2, 32, f"induction/{domain}")):
            short, long = ((text[0], *text[-2:]), text)
            expected = [float(loss_by_hand(model.eval(), one)[-1]) for one in (short, long)]
            np.testing.assert_allclose(loss[row, number], expected, atol=1e-5)
    gained = (loss[..., 1] - loss[..., 0]).mean(1)
    np.testing.assert_allclose(seen["induction_in_context"], gained, atol=1e-6)
    assert seen["induction_in_context_score"] == pytest.approx(gained.mean(), abs=1e-6)


def test_more_than_one_token_is_scored_where_the_text_is_longer() -> None:
    model = tiny("llama", max_position_embeddings=128)
    seen = observed(model, texts=1, length=65)
    (text,) = running(TOKENS, [i for c in contrasts(SHOWN)[3:] for i in TOKENS[c.targets]], 1, 65, "induction/beta")
    assert seen.variables["induction_in_context"].attrs["scored_tokens"] == 4
    short, long = (loss_by_hand(model.eval(), one)[-4:].mean() for one in ((text[0], *text[-8:]), text))
    np.testing.assert_allclose(seen["induction_context_loss"][1, 0], [short, long], atol=1e-5)


def test_a_model_without_attention_or_positions_gains_nothing_from_the_context() -> None:
    """The same tokens are scored after the same token, so what a text is about is no part of the score."""
    model = seeded(FlatGPT)
    with torch.no_grad():
        for block in model.body.blocks:
            block.attn.c_proj.weight.zero_()
    seen = observed(model)
    np.testing.assert_allclose(seen["induction_in_context"], 0, atol=1e-6)
    np.testing.assert_allclose(
        seen["induction_context_loss"][..., 0], seen["induction_context_loss"][..., 1], rtol=1e-6
    )
    assert np.ptp(seen["induction_context_loss"]) > 0.01  # texts differ


def test_a_model_that_copies_gains_from_a_context_of_the_same() -> None:
    """Its stimuli say one thing over and over, in an order that the last few tokens do not tell."""
    alpha = SHOWN.domains[0]
    same = replace(
        alpha,
        families=tuple(
            replace(f, items=tuple(replace(i, target=" ".join(f"w{n}" for n in range(12))) for i in f.items))
            for f in alpha.families
        ),
    )
    seen = observed(Copying(), Battery("same", (same,)), length=64)
    assert seen["induction_in_context_score"] < -2


def test_in_half_precision_it_is_the_same_but_for_rounding() -> None:
    half, whole = observed(seeded(NanoGPT).bfloat16()), observed(seeded(NanoGPT))
    for name in ("induction_loss", "induction_context_loss"):
        assert half[name].dtype == np.float32
        np.testing.assert_allclose(half[name], whole[name], rtol=0.03)


def test_processes_share_the_passes_out() -> None:
    class Half(Ranks):
        rank, size = 0, 2  # type: ignore[assignment]

    class Other(Half):
        rank = 1  # type: ignore[assignment]

    model, shown = seeded(NanoGPT), random_tokens(*[9] * 5)
    with undisturbed(model):
        whole = losses(anatomy(model), shown, 18)
        one, other = (losses(replace(anatomy(model), ranks=ranks), shown, 18) for ranks in (Half(), Other()))
    assert (one == 0).any()
    assert torch.equal(one + other, whole)


def test_a_domain_without_families_and_a_text_too_short_have_nothing_and_say_why() -> None:
    bare = Domain("bare", "nothing", (), ())
    seen = observed(seeded(NanoGPT), Battery("with one bare", (*SHOWN.domains, bare)))
    assert np.isnan(seen["induction_in_context"]).tolist() == [False, False, True]
    assert np.isfinite(seen["induction_in_context_score"])
    few = observed(seeded(NanoGPT), small_battery(1), period=3)  # two texts of four words, and a beginning
    assert np.isnan(few["induction_in_context"]).all()
    assert few.variables["induction_in_context"].attrs["missing"] == (
        "texts of 9 tokens have no sixteenth; a larger battery or context would do"
    )
    assert np.isfinite(few["induction_score"])


def test_a_model_that_has_diverged_has_nothing() -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    seen = observed(model)
    assert np.isnan(seen["induction_score"])
    assert np.isnan(seen["induction_in_context_score"])


@pytest.mark.parametrize(
    ("settings", "words"), [({"period": 1}, "period=1"), ({"length": 16}, "length=16"), ({"texts": 0}, "texts=0")]
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Induction(**settings)
