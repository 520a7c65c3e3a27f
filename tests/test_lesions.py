"""The instrument that makes lesions, against models run one sequence at a time with hooks of the test's own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from lesions_by_hand import (
    DOMAINS,
    MODELS,
    SMALL,
    Edit,
    Given,
    assert_same,
    chosen_by_hand,
    each_model,
    flat_regions,
    logs,
    means_by_hand,
    nothing,
    observe,
    observed,
    outcome,
    replaced,
)
from loop import small_battery, word_tokenizer
from models import HEADS, LAYERS, NanoGPT, seeded, tiny
from scipy.linalg import hadamard
from test_asking import TASKS, battery_of, task
from test_undisturbed import trained, unchanged
from torch import Tensor, nn

from observatory import Observatory
from observatory.choice import due
from observatory.measure.instruments import Circuits, Competence, ContrastLocalizer, Lesions
from observatory.measure.matched import layer_matched
from observatory.stimuli.battery import Pair, Task

# Margins and losses ---------------------------------------------------------------------------------------------------


@each_model
def test_intact_is_what_competence_has_of_the_chosen_pairs(model: str) -> None:
    made, battery, seen = observed(model, "mean")
    margins, losses = outcome(made, model, "mlp", battery, lambda *_: nothing)
    assert_same(seen["lesions_intact_margin"], margins)
    assert_same(seen["lesions_intact_loss"], losses)
    logs_of_all = seen["competence_log_probability"]
    for row, one in enumerate(battery.tasks):
        for place, pair in enumerate(chosen_by_hand(one, SMALL["pairs"])):
            own = logs_of_all[row, one.pairs.index(pair)]
            expected = [own[0, 0] - own[0, 1], own[1, 1] - own[1, 0]]
            np.testing.assert_allclose(seen["lesions_intact_margin"][row, place], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen["lesions_intact_loss"], seen["competence_loss"][:, : SMALL["texts"]], rtol=1e-5)


@each_model
@pytest.mark.parametrize("space", ["mlp", "heads"])
@pytest.mark.parametrize("to", ["mean", "zero"])
def test_a_replaced_region_is_a_model_run_with_those_units_exchanged_by_hand(model: str, space: str, to: str) -> None:
    made, battery, seen = observed(model, to, space)
    masks = flat_regions(seen, space)
    assert masks.any((1, 2)).all()
    means = means_by_hand(made, model, space, battery)
    values = means if to == "mean" else [torch.zeros_like(one) for one in means]
    for row, mask in enumerate(masks):
        margins, losses = outcome(made, model, space, battery, lambda *_, mask=mask: replaced(mask, values))
        assert_same(seen["lesions_lesioned_margin"][row, 0], margins)
        assert_same(seen["lesions_lesioned_loss"][row, 0], losses)
    intact, lesioned = seen["lesions_intact_margin"], seen["lesions_lesioned_margin"][:, 0]
    assert np.nanmax(np.abs(lesioned - intact)) > 1e-3


@each_model
@pytest.mark.parametrize("space", ["mlp", "heads"])
def test_corrupted_puts_there_what_the_units_are_at_the_end_of_the_other_prompt(model: str, space: str) -> None:
    made, battery, seen = observed(model, "corrupted", space)

    def patched(mask: np.ndarray) -> Callable[[Sequence[int], Sequence[int]], Edit]:
        def edit(prompt: Sequence[int], other: Sequence[int]) -> Edit:
            there: dict[int, Tensor] = {}

            def keep(layer: int, units: Tensor) -> Tensor:
                there[layer] = units[-1].clone()
                return units

            logs(made, model, space, other, keep)
            return replaced(mask, [there[layer] for layer in range(LAYERS)], at=len(prompt) - 1)

        return edit

    for row, mask in enumerate(flat_regions(seen, space)):
        assert_same(seen["lesions_lesioned_margin"][row, 0], outcome(made, model, space, battery, patched(mask))[0])
    assert np.isnan(seen["lesions_lesioned_loss"]).all()
    assert np.isnan(seen["lesions_intact_loss"]).all()
    assert np.isfinite(seen["lesions_intact_margin"][0, 0]).all()


def test_with_all_units_corrupted_at_the_last_token_the_model_reads_the_other_prompt_there() -> None:
    """All MLP layers patched at once."""
    made, battery, _ = observed("nanoGPT", "zero")
    seen = observe(made, battery, Given(share=1), Lesions(to="corrupted", **SMALL))
    masks = flat_regions(seen)
    assert masks.all()

    def edit(prompt: Sequence[int], other: Sequence[int]) -> Edit:
        there: dict[int, Tensor] = {}

        def keep(layer: int, units: Tensor) -> Tensor:
            there[layer] = units[-1].clone()
            return units

        logs(made, "nanoGPT", "mlp", other, keep)
        return replaced(masks[0], [there[layer] for layer in range(LAYERS)], at=len(prompt) - 1)

    expected = outcome(made, "nanoGPT", "mlp", battery, edit)[0]
    assert_same(seen["lesions_lesioned_margin"][0, 0], expected)
    assert_same(seen["lesions_lesioned_margin"][1, 1], expected)  # of a full layer, a random mask is the layer


def test_random_masks_are_those_drawn_under_the_domains_names() -> None:
    made, battery, seen = observed("nanoGPT", "zero")
    zero = [torch.zeros(20)] * LAYERS
    for row, (name, region) in enumerate(zip(DOMAINS, flat_regions(seen), strict=True)):
        drawn = layer_matched(torch.from_numpy(region).flatten(), [20] * LAYERS, 2, name)
        for number, mask in enumerate(drawn.reshape(2, LAYERS, 20).numpy(), 1):
            assert (mask.sum(1) == region.sum(1)).all()
            margins, losses = outcome(made, "nanoGPT", "mlp", battery, lambda *_, mask=mask: replaced(mask, zero))
            assert_same(seen["lesions_lesioned_margin"][row, number], margins)
            assert_same(seen["lesions_lesioned_loss"][row, number], losses)


# What is tried, and what chose the region ---------------------------------------------------------------------------


def test_pairs_are_of_the_second_half_of_the_templates_in_turn_from_each() -> None:
    many = task("alpha", "many", 24, templates=6)
    grouped = replace(many, pairs=tuple(sorted(many.pairs, key=lambda pair: pair.template)))
    tasks = (grouped, task("alpha", "few", 7), task("beta", "single", 5, templates=1))
    for most in (1, 4, 50):
        lesions = Lesions(to="corrupted", controls=1, pairs=most, texts=1)
        seen = observe(MODELS["nanoGPT"][0](), battery_of(*tasks), Given(), lesions)
        tried = seen["lesions_template"]
        for row, one in enumerate(tasks):
            expected = chosen_by_hand(one, most)
            names = sorted({pair.template for pair in expected})
            assert tried[row][tried[row] >= 0].tolist() == [names.index(pair.template) for pair in expected]
            assert (tried[row][len(expected) :] == -1).all()
            counts = [sum(pair.template == name for pair in expected) for name in names]
            assert max(counts) - min(counts) <= 1 or most > 7
    assert {pair.template for pair in chosen_by_hand(tasks[0], 50)} == {"t1", "t3", "t5"}


# A model in which it is known which units matter --------------------------------------------------------------------

_WORD = {"alpha": 10, "beta": 20}
"""The token that says which domain is asked; the next two are its answers."""


class Planted(nn.Module):
    """Units 0 to 3 of the first layer say `alpha`'s answers, units 4 to 7 `beta`'s; units 8 to 15 do after other clues.

    Clues and answers are orthogonal, so that a unit answers one clue alone.
    """

    def __init__(self) -> None:
        super().__init__()
        made = seeded(NanoGPT, dropout=0.0)
        self.block_size, self.transformer, self.lm_head = made.block_size, made.transformer, made.lm_head
        first, directions = self.transformer["h"][0].mlp, torch.from_numpy(hadamard(16)).float()
        with torch.no_grad():
            self.transformer["wpe"].weight.zero_()
            for block in self.transformer["h"]:
                block.attn.c_proj.weight.mul_(0.2)
                block.mlp.c_proj.weight.mul_(0.05)
            for kind, (number, start), side in product((0, 1), enumerate(_WORD.values()), (0, 1)):
                clue, answer = directions[1 + 4 * kind + 2 * number + side], directions[9 + 2 * number + side]
                self.transformer["wte"].weight[start + 4 + 2 * kind + side] = clue
                self.lm_head.weight[start + side] = answer / 4
                for row in (8 * kind + 4 * number + 2 * side, 8 * kind + 4 * number + 2 * side + 1):
                    first.c_fc.weight[row], first.c_fc.bias[row] = clue / 4, -2.0
                    first.c_proj.weight[:, row] = answer / 2

    def forward(self, idx: Tensor) -> Tensor:
        return NanoGPT.forward(self, idx)


def clued(domain: str, name: str, others: bool = False) -> Task:
    """The last word decides which of the domain's two words follows; others than usual in templates t1 and t3."""
    start = _WORD[domain] - 2  # the tokenizer's words begin at token 2
    draw = np.random.default_rng(list(name.encode()))
    pairs = []
    for number in range(16):
        words = " ".join(f"w{draw.integers(30, 40)}" for _ in range(2 + number % 3))
        clue = start + (6 if others and number % 2 else 4)
        pairs.append(
            Pair(
                f"{name}-{number}",
                f"{words} w{clue}",
                f"{words} w{clue + 1}",
                f" w{start}",
                f" w{start + 1}",
                f"t{number % 4}",
            )
        )
    return Task(domain, name, "plain", tuple(pairs))


CLUED, OTHERWISE = (
    battery_of(*(clued(domain, f"{domain} {number}", others) for domain in DOMAINS for number in "ab"))
    for others in (False, True)
)


@pytest.mark.parametrize("to", ["mean", "zero", "corrupted"])
def test_planted_units_are_found_and_their_lesion_is_felt_by_their_domain_alone(to: str) -> None:
    seen = observe(Planted(), CLUED, Circuits(share=4 / 60, floor=4), Lesions(to=to, controls=4))
    assert (seen["circuits_gate_p"] < 0.01).all()
    regions = flat_regions(seen).reshape(2, -1)
    assert [np.flatnonzero(region).tolist() for region in regions] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    margin = np.nanmean(seen["lesions_lesioned_margin"], axis=(-1, -2)).reshape(2, 5, 2, 2).mean(-1)
    effect = margin[:, 1:].mean(1) - margin[:, 0]  # (lesioned, domain)
    assert effect[0, 0] > 1
    assert effect[1, 1] > 1
    # Random masks spare their own region alone: one that takes away a unit of the other's is worse than the region.
    assert effect[0, 1] < 0.05
    assert effect[1, 0] < 0.05
    intact = np.nanmean(seen["lesions_intact_margin"], axis=(-1, -2)).reshape(2, 2).mean(-1)
    assert np.abs(margin[[0, 1], 0, [1, 0]] - intact[[1, 0]]).max() < 0.05
    assert (intact - margin[[0, 1], 0, [0, 1]]).min() > 1


def test_what_is_tried_has_no_part_in_choosing_the_region() -> None:
    """With other prompts in the second half of the templates, regions of half stay what they are; the others change."""
    assert {pair.template for one in OTHERWISE.tasks for pair in chosen_by_hand(one, 16)} == {"t1", "t3"}
    circuits = Circuits(share=8 / 60, floor=8)
    before, after = (observe(Planted(), battery, circuits) for battery in (CLUED, OTHERWISE))
    assert np.array_equal(flat_regions(before), flat_regions(after))
    assert not flat_regions(before, of_half=False)[0, 0, 8:16].any()
    assert np.flatnonzero(flat_regions(after, of_half=False)[0]).tolist() == [0, 1, 2, 3, 8, 9, 10, 11]


def test_the_region_of_half_is_what_is_lesioned() -> None:
    """Otherwise the pairs that it is tried on had chosen it."""
    zero = [torch.zeros(1)] * LAYERS
    circuits, lesions = Circuits(share=8 / 60, floor=8), Lesions(to="zero", **SMALL)
    seen = observe(Planted(), OTHERWISE, circuits, lesions)
    for mask, same in ((flat_regions(seen)[0], True), (flat_regions(seen, of_half=False)[0], False)):
        margins, _ = outcome(Planted(), "nanoGPT", "mlp", OTHERWISE, lambda *_, mask=mask: replaced(mask, zero))
        assert np.allclose(seen["lesions_lesioned_margin"][0, 0, :, :3], margins, atol=1e-4) == same


# Other regions, and none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["mlp", "residual", "heads"])
def test_regions_of_the_contrast_localizer_are_those_by_mean_pooling(space: str) -> None:
    made, battery = MODELS["nanoGPT"][0](), battery_of(*TASKS)
    lesions = Lesions(of="contrast", space=space, to="zero", **SMALL)
    seen = observe(made, battery, ContrastLocalizer(share=0.05, draws=0), lesions)
    masks = seen[f"contrast_region_{space}"][1]
    np.testing.assert_array_equal(seen["lesions_units"], masks.sum((1, 2)))
    assert masks.any((1, 2)).all()
    if space != "residual":
        zero = [torch.zeros(1)] * LAYERS
        for row, mask in enumerate(masks):
            margins, losses = outcome(made, "nanoGPT", space, battery, lambda *_, mask=mask: replaced(mask, zero))
            assert_same(seen["lesions_lesioned_margin"][row, 0], margins)
            assert_same(seen["lesions_lesioned_loss"][row, 0], losses)


def test_a_domain_without_a_region_has_no_values_and_takes_none_from_others() -> None:
    """Nothing is done of beta's single task, so beta has no region."""
    battery = battery_of(clued("alpha", "a"), task("beta", "noise", 12, templates=4))
    seen = observe(Planted(), battery, Circuits(share=4 / 60, floor=4), Lesions(**SMALL))
    assert seen["lesions_units"].tolist() == [4, 0]
    assert np.isnan(seen["lesions_lesioned_margin"][1]).all()
    assert np.isnan(seen["lesions_lesioned_loss"][1]).all()
    assert np.isfinite(seen["lesions_lesioned_margin"][0, :, :, :2]).all()
    assert np.isfinite(seen["lesions_random_margin"][:, :, :2]).all()


def test_where_no_domain_has_a_region_all_lesions_are_missing_and_intact_is_not() -> None:
    battery = battery_of(task("alpha", "noise", 12, templates=4), task("beta", "more", 12, templates=4))
    seen = observe(MODELS["nanoGPT"][0](), battery, "circuits", Lesions(**SMALL))
    assert seen["lesions_units"].tolist() == [0, 0]
    for name in ("lesioned", "random"):
        assert np.isnan(seen[f"lesions_{name}_margin"]).all()
        assert np.isnan(seen[f"lesions_{name}_loss"]).all()
    assert np.isfinite(seen["lesions_intact_margin"]).all()


def test_regions_that_leave_no_units_over_still_have_random_masks() -> None:
    """Heads are few: the regions of a few domains may be all of them."""
    seen = observe(MODELS["nanoGPT"][0](), battery_of(*TASKS), Given(share=0.5), Lesions(space="heads", **SMALL))
    assert flat_regions(seen, "heads").any(0).sum() > LAYERS * HEADS // 2
    assert seen["lesions_units"].tolist() == [LAYERS * HEADS // 2] * 2
    assert np.isfinite(seen["lesions_random_margin"][:, :, 0]).all()


# In an observation --------------------------------------------------------------------------------------------------


def test_lesions_without_circuits_before_them_are_refused() -> None:
    message = "lesions goes on from what circuits measures, which must stand before it; before it stand "
    for instruments, before in ((["lesions"], "none"), (["competence", "lesions", "circuits"], "competence")):
        with pytest.raises(ValueError, match=message + before):
            Observatory(word_tokenizer(), battery=small_battery(), instruments=instruments)


def test_lesions_of_regions_that_are_not_measured_are_refused() -> None:
    """Attribution has no residual stream."""
    with pytest.raises(ValueError, match="circuits has no regions of residual units to put out of action; use of="):
        observe(MODELS["nanoGPT"][0](), battery_of(*TASKS), "circuits", Lesions(space="residual"))


def test_two_kinds_of_lesions_stand_side_by_side_under_their_names() -> None:
    lesions = [Lesions(**SMALL), Lesions(to="zero", name="silenced", **SMALL)]
    seen = observe(MODELS["nanoGPT"][0](), battery_of(*TASKS), Given(), *lesions)
    assert np.array_equal(
        seen["lesions_lesioned_margin"], observed("nanoGPT", "mean")[2]["lesions_lesioned_margin"], equal_nan=True
    )
    assert np.array_equal(
        seen["silenced_lesioned_margin"], observed("nanoGPT", "zero")[2]["lesions_lesioned_margin"], equal_nan=True
    )
    with pytest.raises(ValueError, match="each instrument records under its own name; got circuits, lesions, lesions"):
        Observatory(
            word_tokenizer(), battery=battery_of(*TASKS), instruments=["circuits", Lesions(), Lesions(to="zero")]
        )


def test_circuits_are_measured_whenever_lesions_are_due() -> None:
    instruments = [Competence(), Circuits(schedule="every 7"), Lesions(schedule="every 5")]
    for step in range(1, 40):
        names = [one.name for one in due(instruments, step - 1, step, last=False)]
        assert ("lesions" in names) == (step % 5 == 0)
        assert ("circuits" in names) == (step % 5 == 0 or step % 7 == 0)
    looking = Observatory(word_tokenizer(), battery=battery_of(*TASKS), instruments=instruments, twins=0)
    model = MODELS["nanoGPT"][0]()
    first = looking.observe(model, 4)
    second = looking.observe(model, 5, previous=first)
    third = looking.observe(model, 6, previous=second)
    for name, present in (("lesions_units", True), ("circuits_region_mlp", True)):
        assert (name in second.variables) == present
        assert name not in third.variables


@pytest.mark.parametrize("to", ["mean", "zero", "corrupted"])
@pytest.mark.parametrize("build", [lambda: tiny("gpt_neox"), lambda: seeded(NanoGPT)], ids=["gpt_neox", "nanoGPT"])
def test_the_model_is_left_as_it_was(build: Callable[[], nn.Module], to: str) -> None:
    model = trained(build())
    instruments = [Given(), Lesions(to=to, **SMALL)]
    looking = Observatory(word_tokenizer(), battery=battery_of(*TASKS), instruments=instruments, twins=0)
    with unchanged(model):
        drawn = random.getstate()
        looking.observe(model, 0)
        random.setstate(drawn)  # the type checker of these tests draws from it


def test_lesions_do_not_depend_on_how_much_goes_through_the_model_at_a_time() -> None:
    battery, lesions = battery_of(*TASKS), Lesions(**SMALL)
    found = [observe(MODELS["nanoGPT"][0](), battery, Given(), lesions, batch_tokens=n) for n in (40, 10**6)]
    for name in ("lesions_lesioned_margin", "lesions_random_loss"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"space": "neurons"},
            "lesions are of mlp, residual or heads, to mean, zero or corrupted; got neurons and mean",
        ),
        ({"controls": 0}, "controls, pairs and texts are counts, 1 or more; got 0, 16 and 8"),
        ({"pairs": 0}, "got 8, 0 and 8"),
        ({"texts": -1}, "got 8, 16 and -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lesions(**setting)
