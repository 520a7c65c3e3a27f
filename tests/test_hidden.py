"""Steering: against hooks of the test's own, and in models of which it is known what they encode and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from loop import small_battery, word_tokenizer
from models import NanoGPT, seeded, tiny
from scipy import stats
from steering_planted import Planted, poles
from test_asking import TASKS, battery_of, ids_of
from test_undisturbed import trained, unchanged
from torch import Tensor, nn

from observatory import Observatory
from observatory.measure.instruments.hidden import Hidden
from observatory.measure.scene import Scene
from observatory.measure.steered_trial import KINDS, SteeredTrial
from observatory.measure.steering import depths, direction, halves, in_turn, sides, without
from observatory.observation import Instrument, Observation, Variable
from observatory.stimuli.battery import Battery, Pair, Task

MODELS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "nanoGPT": (lambda: seeded(NanoGPT).eval(), "transformer.h"),
    "gpt_neox": (lambda: tiny("gpt_neox").eval(), "gpt_neox.layers"),
}
PAIRS, STRENGTH = 4, 0.7


def observed(model: nn.Module, battery: Battery, twins: int = 0, **settings: Any) -> Observation:
    watching = Observatory(word_tokenizer(), battery=battery, instruments=[Hidden(**settings)], twins=twins)
    return watching.observe(model, step=0)


# Against a model that is run one sequence at a time


@contextmanager
def pushed(block: nn.Module, place: int, vector: Tensor) -> Iterator[None]:
    def after(_: nn.Module, __: object, output: Any) -> Any:
        whole = output if isinstance(output, Tensor) else output[0]
        moved = torch.stack([row + vector if at == place else row for at, row in enumerate(whole[0])])[None]
        return moved if isinstance(output, Tensor) else (moved, *output[1:])

    handle = block.register_forward_hook(after)
    yield
    handle.remove()


def ends(model: nn.Module, block: nn.Module, prompt: str) -> Tensor:
    kept: list[Tensor] = []
    handle = block.register_forward_hook(lambda _, __, out: kept.append(out if isinstance(out, Tensor) else out[0]))
    model(torch.tensor([[0, *ids_of(prompt)]]))
    handle.remove()
    return kept[0][0, -1]


def said(model: nn.Module, prompt: str, answer: str) -> Tensor:
    before, after = [0, *ids_of(prompt)], ids_of(answer)
    out = model(torch.tensor([[*before, *after]]))
    logs = (out if isinstance(out, Tensor) else out.logits)[0].log_softmax(-1)
    return torch.stack([logs[len(before) - 1 + at, token] for at, token in enumerate(after)]).sum()


def mean_difference(model: nn.Module, block: nn.Module, pairs: Sequence[Pair]) -> Tensor:
    """By template and answers: plain averages, the signs from a singular value decomposition of all of them."""
    groups: dict[tuple[str, ...], list[Tensor]] = {}
    for pair in pairs:
        first = min(pair.correct, pair.incorrect)
        prompts = (pair.clean, pair.corrupted) if pair.correct == first else (pair.corrupted, pair.clean)
        key = (pair.template, first, max(pair.correct, pair.incorrect))
        groups.setdefault(key, []).append(ends(model, block, prompts[0]) - ends(model, block, prompts[1]))
    rows = torch.stack([torch.stack(group).mean(0) * len(group) ** 0.5 for group in groups.values()])
    along = rows @ torch.linalg.svd(rows).Vh[0]
    mean = sum(
        (sign * torch.stack(group).sum(0) for sign, group in zip(along.sign(), groups.values(), strict=True)),
        torch.zeros(rows.shape[-1]),
    )
    return mean / mean.norm()


def gains(model: nn.Module, block: nn.Module, fit: Sequence[Pair], tried: Sequence[Pair]) -> list[float]:
    """What a direction of some pairs gives others, with the length of the residual stream of those it is fitted to."""
    vector = mean_difference(model, block, fit)
    long = [ends(model, block, prompt).norm() for pair in fit for prompt in (pair.clean, pair.corrupted)]
    found = []
    for pair in tried:
        towards = ((ends(model, block, pair.clean) - ends(model, block, pair.corrupted)) @ vector).sign()
        total = 0.0
        for prompt in (pair.clean, pair.corrupted):
            for sign in (1, -1):
                with pushed(block, len(ids_of(prompt)), sign * towards * STRENGTH * torch.stack(long).mean() * vector):
                    total += sign * float(said(model, prompt, pair.correct) - said(model, prompt, pair.incorrect)) / 4
        found.append(total)
    return found


def of_prompts(model: nn.Module, pair: Pair) -> float:
    clean = said(model, pair.clean, pair.correct) - said(model, pair.clean, pair.incorrect)
    corrupted = said(model, pair.corrupted, pair.incorrect) - said(model, pair.corrupted, pair.correct)
    return float(clean + corrupted) / 2


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_margins_are_those_of_a_model_pushed_by_hand_both_ways_after_both_prompts(name: str) -> None:
    build, path = MODELS[name]
    model, battery = build(), battery_of(*TASKS)
    seen = observed(model, battery, pairs=PAIRS, strength=STRENGTH, controls=3)
    blocks = list(model.get_submodule(path).children())
    for row, task in enumerate(battery.tasks):
        half, _ = halves(task)
        groups = [[pair for pair, one in zip(task.pairs, half, strict=True) if one == own] for own in (0, 1)]
        tried = [[group[at] for at in in_turn([pair.template for pair in group])[: PAIRS // 2]] for group in groups]
        found: dict[str, tuple[float, float]] = {}
        for own in (0, 1):
            other = 1 - own
            fitted = [np.mean(gains(model, blocks[at], groups[other], tried[other])) for at in depths(len(blocks))]
            layer = int(seen["hidden_layer"][row, own])
            assert layer == depths(len(blocks))[int(np.argmax(fitted))]
            for pair, gain in zip(tried[own], gains(model, blocks[layer], groups[other], tried[own]), strict=True):
                found[pair.id] = (of_prompts(model, pair), gain)
        expected = np.array([found[pair.id] for pair in task.pairs if pair.id in found]).T
        np.testing.assert_allclose(seen["hidden_pair_margin"][:, row, : len(found)], expected, atol=2e-5)
        np.testing.assert_allclose(seen["hidden_margin"][:, row], expected.mean(1), atol=2e-5)
        assert np.abs(expected).max() > 1e-3


def test_the_headline_is_how_far_tasks_are_above_shuffled_directions_with_its_error() -> None:
    seen = observed(seeded(NanoGPT), battery_of(TASKS[0], TASKS[2]), pairs=6, controls=3)
    means, variances = [], []
    for row in (0, 1):
        values, template = seen["hidden_pair_margin"][1, row], seen["hidden_template"][row]
        by_template = [values[template == one].mean() for one in set(template.tolist()) - {-1}]
        shuffled = seen["hidden_control"][:3, row]
        means.append(np.mean(values[template >= 0]) - shuffled.mean())
        variances.append(stats.sem(by_template) ** 2 + stats.sem(shuffled) ** 2)
    assert float(seen["hidden_above"]) == pytest.approx(np.mean(means), abs=1e-6)
    assert float(seen["hidden_above_error"]) == pytest.approx(np.sqrt(np.sum(variances)) / 2, rel=1e-5)
    assert seen.variables["hidden_above"].attrs["error"] == "above_error"


def test_halves_share_no_answer_where_they_need_not_and_else_no_template() -> None:
    def made(name: str, words: Sequence[tuple[str, str, str]]) -> Task:
        pairs = tuple(Pair(str(n), "a b", "a c", one, other, t) for n, (one, other, t) in enumerate(words))
        return Task("alpha", name, "plain", pairs)

    apart = made(
        "apart", [(f"{t % 3}{'ab'[n % 2]}", f"{t % 3}{'ba'[n % 2]}", str(t)) for t in range(8) for n in range(4)]
    )
    linked = made("linked", [("it", "they" if t % 2 else "them", str(t)) for t in range(8) for _ in range(4)])
    single = made("single", [("it", "they", "one")] * 6)
    for task, alone in ((apart, True), (linked, False)):
        half, told = halves(task)
        assert told is alone
        sides_of = [
            {(p.template if not alone else p.correct) for p, h in zip(task.pairs, half, strict=True) if h == own}
            for own in (0, 1)
        ]
        assert not sides_of[0] & sides_of[1]
        assert min(half.count(0), half.count(1)) >= 8
    assert sorted(halves(single)[0]) == [0, 0, 0, 1, 1, 1]
    assert halves(apart) == halves(apart)


def test_a_direction_is_found_although_nobody_says_which_answers_belong_together() -> None:
    draw = torch.Generator().manual_seed(0)
    truth = torch.zeros(40)
    truth[3] = 1
    pairs = poles().pairs
    group, side = sides(pairs)
    pole = torch.tensor([1.0 if int(pair.correct[2:]) < 30 else -1.0 for pair in pairs])
    turned = torch.randint(0, 2, (8,), generator=draw) * 2.0 - 1  # each template's answers may stand either way round
    noise = torch.randn(len(pairs), 40, generator=draw)
    found = direction(pole[:, None] * truth * 2 + noise, group, side * turned[group])
    assert abs(float(found @ truth)) > 0.9
    assert float(found.norm()) == pytest.approx(1)
    assert float((without(torch.randn(3, 40, generator=draw), found) @ found).abs().max()) < 1e-6
    assert not direction(torch.zeros(4, 5), torch.zeros(4, dtype=torch.long), torch.ones(4)).any()
    assert direction(torch.full((4, 5), torch.nan), torch.zeros(4, dtype=torch.long), torch.ones(4)).isnan().all()


class Looking(Instrument):
    """Keeps the directions that an observation would steer with."""

    name = "looking"

    def __init__(self) -> None:
        self.fitted = torch.zeros(())
        self.drawn: dict[str, list[Tensor]] = {}

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        trial = SteeredTrial(scene, PAIRS)
        self.fitted = trial.fitted()
        self.drawn = {kind: trial.controls(self.fitted, kind, 3) for kind in KINDS}
        return {}


def test_directions_of_no_meaning_are_as_long_at_right_angles_and_all_different() -> None:
    looking = Looking()
    battery = battery_of(poles(), TASKS[2])
    Observatory(word_tokenizer(), battery=battery, instruments=[looking], twins=0).observe(tiny("gpt_neox"), 0)
    fitted = looking.fitted  # task, half, layer, unit
    every = torch.stack([one for drawn in looking.drawn.values() for one in drawn])
    torch.testing.assert_close(fitted.norm(dim=-1), torch.ones(fitted.shape[:-1]))
    long = every.norm(dim=-1)
    assert float((long[:, 0] - 1).abs().max()) < 1e-5  # the other task's are fitted to three pairs
    assert set(long.round(decimals=4).unique().tolist()) <= {0.0, 1.0}
    assert float((every * fitted).sum(-1).abs().max()) < 1e-5
    flat = every[:, 0].flatten(0, 2)
    assert float((flat @ flat.T - torch.eye(len(flat))).abs().max()) < 0.99
    parallel = torch.stack((fitted[0, 0, 0], -fitted[0, 0, 0]))
    assert not without(parallel, fitted[0, 0, 0]).any()


def test_the_last_block_is_never_steered() -> None:
    assert [depths(layers) for layers in (1, 2, 3, 4, 6, 12, 30)] == [
        (0,), (0,), (0, 1), (0, 1, 2), (0, 2, 3), (2, 5, 8), (6, 14, 21),
    ]  # fmt: skip


# Planted truths


@pytest.mark.parametrize("seed", range(2))
def test_what_is_encoded_but_too_weak_for_the_answer_is_shown_by_steering_alone(seed: int) -> None:
    seen = observed(Planted(1.0, 0.4, seed), battery_of(poles()))
    prompted, steered = seen["hidden_margin"][:, 0]
    assert abs(prompted) < 0.2
    assert steered > 2
    assert steered > seen["hidden_control"].max() + 1
    assert seen["hidden_layer"].max() < 2  # after block 2 it is too late
    assert seen["hidden_above"] > 5 * seen["hidden_above_error"] > 0
    assert seen["hidden_answers_apart"].all()


@pytest.mark.parametrize("seed", range(2))
def test_what_is_not_encoded_is_not_shown_although_the_answer_could_be_told(seed: int) -> None:
    seen = observed(Planted(0.0, 0.4, seed), battery_of(poles()), controls=8)
    control = seen["hidden_control"]
    assert abs(float(seen["hidden_margin"][1, 0])) < np.abs(control).max() + 0.3
    assert abs(float(seen["hidden_above"])) < 0.3


def test_what_is_encoded_strongly_is_told_by_prompts_too() -> None:
    prompted, steered = observed(Planted(1.0, 0.0), battery_of(poles()))["hidden_margin"][:, 0]
    assert prompted > 0.5
    assert steered > 0.5


def test_untrained_models_are_as_often_beyond_the_null_of_others_as_chance_has_it() -> None:
    """Of each of 100 models, against the other 99."""
    battery = battery_of(poles(pairs=8), poles("beta", "again", pairs=8))
    watching = Observatory(word_tokenizer(), battery=battery, instruments=[Hidden(controls=2)], twins=0)
    found = np.array([watching.observe(fresh(seed), step=0)["hidden_margin"][1] for seed in range(100)])
    assert np.abs(found).min() > 0
    for values in found.T:
        rest = np.array([np.delete(values, place) for place in range(len(values))])
        beyond = values > rest.mean(1) + stats.t.ppf(0.95, 98) * np.sqrt(1 + 1 / 99) * rest.std(1, ddof=1)
        assert beyond.sum() <= stats.binom.ppf(0.999, 100, 0.05)
        assert abs(values.mean()) < 4 * values.std(ddof=1) / 10


def fresh(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NanoGPT(layers=2, dropout=0.0)


# As every instrument


def test_the_model_is_left_as_it_was_also_when_something_goes_wrong() -> None:
    looking = Observatory(word_tokenizer(), battery=battery_of(*TASKS), instruments=[Hidden(controls=2)], twins=0)
    model = trained(seeded(NanoGPT))
    with unchanged(model):
        looking.observe(model, 0)
    first = model.transformer.h[0]

    def fail(*_: object) -> None:
        if first._forward_hooks:  # only once something is added
            raise ZeroDivisionError("all is lost")

    handle = model.lm_head.register_forward_pre_hook(fail)
    with unchanged(model), pytest.raises(ZeroDivisionError):
        looking.observe(model, 0)
    handle.remove()


def test_a_diverged_model_and_a_task_of_one_pair_say_nothing() -> None:
    single = Task("beta", "single", "plain", TASKS[0].pairs[:1])
    seen = observed(seeded(NanoGPT), battery_of(TASKS[0], single), controls=2)
    assert np.isfinite(seen["hidden_margin"][:, 0]).all()
    assert np.isnan(seen["hidden_margin"][1, 1])
    assert np.isfinite(seen["hidden_above"])
    model = seeded(NanoGPT)
    with torch.no_grad():
        model.transformer.h[0].mlp.c_proj.weight.fill_(torch.nan)
    diverged = observed(model, battery_of(TASKS[0]), controls=2)
    assert np.isnan(diverged["hidden_margin"]).all()
    assert np.isnan(diverged["hidden_above"])


def test_twins_are_steered_as_the_model_is() -> None:
    seen = observed(seeded(NanoGPT), battery_of(TASKS[0], TASKS[2]), twins=2, controls=2)
    assert seen["hidden_margin_twins"].shape == (2, 2, 2)
    assert np.isfinite(seen["hidden_margin_twins"]).all()


@pytest.mark.parametrize("settings", [{"pairs": 1}, {"controls": 1}, {"strength": 0.0}, {"strength": float("nan")}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="got"):
        Hidden(**settings)


def test_without_tasks_it_is_said() -> None:
    with pytest.raises(ValueError, match="the battery has no tasks"):
        observed(seeded(NanoGPT), small_battery())
