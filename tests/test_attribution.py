"""The score of every unit, against one forward pass at a time with a leaf put in by hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from attribution_by_hand import (
    FEW,
    RULES,
    SPACES,
    Place,
    at_last,
    attributed,
    each_rule,
    exact,
    hooked,
    metric,
    scores_by_hand,
    written_out,
)
from loop import word_tokenizer
from models import HEADS, LAYERS, VOCABULARY, FlatGPT, NanoGPT, Wrapped, seeded, tiny
from test_asking import TASKS, battery_of, ids_of, task
from test_asking import by_hand as answers_by_hand
from test_undisturbed import DENSE, partly_frozen, trained, unchanged
from torch import Tensor, nn

from observatory import Observatory
from observatory.measure.anatomy import anatomy
from observatory.measure.answers import Answers
from observatory.measure.asking import Questions, questions
from observatory.measure.attribution import PUBLISHED, Attributions, Rule, attribute, bytes_of_a_pair, joined
from observatory.measure.undisturbed import undisturbed
from observatory.stimuli.battery import Pair, Task

# To first order -----------------------------------------------------------------------------------------------------


@each_rule
def test_every_score_is_that_of_autograd_one_pair_and_one_layer_at_a_time(rule: Rule) -> None:
    model = exact()
    found = attributed(model, rule)
    for space in SPACES:
        expected = scores_by_hand(written_out(model), rule, TASKS, space)
        assert found.scores[space].shape == expected.shape
        scale = expected.abs().max().item()
        torch.testing.assert_close(found.scores[space].double(), expected, rtol=1e-4, atol=1e-6 * scale)
        assert (expected.abs() > 1e-3 * scale).float().mean() > 0.5


@pytest.mark.parametrize("architecture", DENSE)
def test_it_is_the_same_in_every_architecture(architecture: str) -> None:
    model, rule, tasks = tiny(architecture).eval(), Rule(), FEW[:1]
    found = attributed(model, rule, tasks)
    for space in SPACES:
        expected = scores_by_hand(hooked(model), rule, tasks, space)
        torch.testing.assert_close(found.scores[space], expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("build", [FlatGPT, NanoGPT])
def test_it_is_the_same_in_a_wrapper(build: type[nn.Module]) -> None:
    model, tasks = seeded(build).eval(), TASKS[:1]
    found, inside = attributed(Wrapped(model), Rule(), tasks), attributed(model, Rule(), tasks)
    expected = scores_by_hand(hooked(model), Rule(), tasks, "mlp")
    torch.testing.assert_close(inside.scores["mlp"], expected, rtol=1e-3, atol=1e-6)
    assert all(torch.equal(found.scores[space], inside.scores[space]) for space in SPACES)


def test_a_derivative_is_what_a_small_change_of_a_unit_does() -> None:
    model, step = exact(), 1e-4
    run, (one,) = written_out(model), (task("alpha", "lone", 1, kinds=("of different lengths",)),)
    pair, position = one.pairs[0], len(ids_of(one.pairs[0].clean))
    found = attributed(model, Rule(), (one,)).scores["mlp"].sum((0, 1))
    with torch.no_grad():
        for layer in range(LAYERS):
            clean, corrupted = (at_last(run, prompt, "mlp", layer) for prompt in (pair.clean, pair.corrupted))
            for unit in (0, 7, 19):
                nudge = step * torch.nn.functional.one_hot(torch.tensor(unit), 20)
                up, down = (
                    metric(run, Rule(), pair.clean, pair, Place("mlp", layer, position, clean + sign * nudge))
                    for sign in (1, -1)
                )
                expected = (clean - corrupted)[unit] * (up - down) / (2 * step)
                assert found[20 * layer + unit].item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-8)


@pytest.mark.parametrize("batch_tokens", [1, 20, 10**6])
def test_batches_do_not_matter(batch_tokens: int) -> None:
    model = seeded(NanoGPT)
    one, other = attributed(model, Rule()), attributed(model, Rule(), batch_tokens=batch_tokens)
    for space in SPACES:
        torch.testing.assert_close(one.scores[space], other.scores[space], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(one.magnitudes[space], other.magnitudes[space])
    torch.testing.assert_close(one.log_probabilities, other.log_probabilities)


@pytest.mark.parametrize("at", ["clean", "corrupted"])
def test_the_magnitude_of_a_unit_is_its_mean_size_on_the_prompts_of_the_derivative(at: str) -> None:
    kinds = ("one token each", "several each")
    model, tasks = exact(), (task("alpha", "some", 5, kinds=kinds), task("beta", "others", 4, kinds=kinds[:1]))
    found, run = attributed(model, Rule(at=at), tasks), written_out(model)  # type: ignore[arg-type]
    for row, one in enumerate(tasks):
        prompts = [pair.clean if at == "clean" else pair.corrupted for pair in one.pairs]
        for space in SPACES:
            units = [torch.cat([at_last(run, p, space, layer) for layer in range(LAYERS)]) for p in prompts]
            sizes = (
                torch.stack(units).abs() if space == "mlp" else torch.stack(units).unflatten(-1, (12, -1)).norm(dim=-1)
            )
            torch.testing.assert_close(found.magnitudes[space][row].double(), sizes.mean(0), rtol=1e-5, atol=1e-7)


def test_in_bfloat16_it_is_nearly_the_same() -> None:
    model = seeded(NanoGPT).eval()
    wide = attributed(model, Rule())
    narrow = attributed(model.bfloat16(), Rule())
    for space in SPACES:
        assert narrow.scores[space].dtype == torch.float32
        both = torch.stack([wide.scores[space].flatten(), narrow.scores[space].flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.98


def test_rules_are_refused_in_the_constructor() -> None:
    for name, value in (("metric", "logit"), ("at", "both")):
        rule = Rule()
        object.__setattr__(rule, name, value)  # the types that are enforced in tests would refuse it before
        with pytest.raises(ValueError, match=f"the metric is margin or correct, and it is taken at .*{value}"):
            rule.__post_init__()
    with pytest.raises(ValueError, match=r"0 for none; got -1"):
        Rule(points=-1)


# Integrated ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [Rule(points=1), Rule(at="corrupted", points=1)], ids=str)
def test_one_point_is_the_derivative_half_way_between_the_prompts(rule: Rule) -> None:
    model = exact()
    found = attributed(model, rule, TASKS[:1])
    for space in SPACES:
        expected = scores_by_hand(written_out(model), rule, TASKS[:1], space)
        torch.testing.assert_close(found.scores[space].double(), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("build", [exact, lambda: tiny("gpt_neox").eval()], ids=["nanoGPT", "gpt_neox"])
@pytest.mark.parametrize(("of", "at", "towards"), [("margin", "clean", 1), ("correct", "corrupted", -1)])
def test_the_scores_of_a_layer_add_up_to_what_exchanging_its_activations_does(
    build: Callable[[], nn.Module], of: Any, at: Any, towards: int
) -> None:
    model, (one,) = build(), (task("alpha", "sums", 2, kinds=("of different lengths",)),)
    rule, run = Rule(of, at, points=6), hooked(model)
    found = attributed(model, rule, (one,))
    for space in SPACES:
        layers = found.scores[space].sum((0, 1)).unflatten(-1, (LAYERS, -1)).sum(-1)
        with torch.no_grad():
            for layer in range(LAYERS):
                expected = 0.0
                for pair in one.pairs:
                    base, other = (pair.clean, pair.corrupted) if at == "clean" else (pair.corrupted, pair.clean)
                    instead = Place(space, layer, len(ids_of(base)), at_last(run, other, space, layer))
                    moved = metric(run, rule, base, pair) - metric(run, rule, base, pair, instead)
                    expected += towards * moved.item()
                assert layers[layer].item() == pytest.approx(expected, abs=1e-4)
                assert abs(expected) > 1e-3


# Passes -------------------------------------------------------------------------------------------------------------


class Passes:
    """How often the model's head is run, how often a derivative is taken through it, and on how many tokens."""

    def __init__(self, model: nn.Module) -> None:
        self.forward, self.backward, self.rows = 0, 0, 0
        model.lm_head.register_forward_hook(self._count)

    def _count(self, _: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        self.forward += 1
        self.rows += len(inputs[0])
        if out.requires_grad:
            out.register_hook(self._count_back)

    def _count_back(self, _: Tensor) -> None:
        self.backward += 1


def of_one_length(name: str, pairs: int) -> Task:
    found = task("alpha", name, pairs, kinds=("one token each",))
    return Task(
        found.domain,
        found.name,
        found.format,
        tuple(
            Pair(pair.id, f"w1 w2 w{n}", f"w1 w3 w{n}", pair.correct, pair.incorrect, pair.template)
            for n, pair in enumerate(found.pairs)
        ),
    )


@pytest.mark.parametrize(("batch_tokens", "batches"), [(10**6, 1), (4 * 5, 2), (4, 10)])
def test_it_takes_two_passes_forward_and_one_back_for_each_batch(batch_tokens: int, batches: int) -> None:
    model = seeded(NanoGPT)
    passes = Passes(model)
    attributed(model, Rule(), (of_one_length("one", 6), of_one_length("two", 4)), batch_tokens)
    assert (passes.forward, passes.backward, passes.rows) == (2 * batches, batches, 2 * 10)


def test_integrating_takes_a_pass_back_for_each_point_and_layer_of_either_space() -> None:
    model = seeded(NanoGPT)
    passes = Passes(model)
    attributed(model, Rule(points=5), (of_one_length("one", 6),), 10**6)
    assert (passes.forward, passes.backward) == (2 + 5 * 2 * LAYERS, 5 * 2 * LAYERS)


# Without a trace ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [Rule(), Rule(points=2)], ids=str)
def test_no_parameter_has_a_gradient(rule: Rule) -> None:
    model = seeded(NanoGPT).eval()
    attribute(anatomy(model), questions(word_tokenizer(), FEW), rule, 64)  # gradients are on, as in a user's own loop
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("rule", [Rule(), Rule(points=2)], ids=str)
def test_no_parameter_takes_part_in_what_is_differentiated(rule: Rule) -> None:
    """What stands before the first unit has no graph, and neither has the pass without a derivative."""
    model, before, after = seeded(NanoGPT).eval(), set(), []
    model.transformer["h"][0].attn.c_attn.register_forward_hook(lambda _, __, out: before.add(out.requires_grad))
    model.lm_head.register_forward_hook(lambda _, __, out: after.append(out.requires_grad))
    with torch.no_grad():
        attribute(anatomy(model), questions(word_tokenizer(), FEW[:1]), rule, 10**6)
    assert before == {False}
    assert after.count(False) >= after.count(True) / (4 * LAYERS) > 0


class Fails(RuntimeError):
    pass


@pytest.mark.parametrize("rule", [Rule(), Rule(points=2)], ids=str)
@pytest.mark.parametrize("calls", [0, 1, 3, 10**6])
def test_a_half_done_training_step_goes_on_as_if_nothing_had_been(rule: Rule, calls: int) -> None:
    """Also where the model fails at its first pass, its second, or later."""

    def gradients(looked: bool) -> list[Tensor | None]:
        model = partly_frozen()
        torch.manual_seed(3)
        model(torch.tensor([[1, 2, 3]])).square().mean().backward()
        loss = model(torch.tensor([[4, 5, 6]])).square().mean()  # its graph is kept while the model is looked at
        if looked:
            left = iter(range(calls))

            def fail(*_: object) -> None:
                if next(left, None) is None:
                    raise Fails

            handle = model.transformer["h"][-1].mlp.c_proj.register_forward_hook(fail)
            found = None
            with unchanged(model):
                try:
                    found = attributed(model, rule, FEW)
                except Fails:
                    assert calls < 10**6
            assert (found is None) == (calls < 10**6)
            handle.remove()
        loss.backward()
        return [parameter.grad for parameter in model.parameters()]

    for one, other in zip(gradients(False), gradients(True), strict=True):
        assert (one is None and other is None) or torch.equal(one, other)  # type: ignore[arg-type]


BUILDS: dict[str, Callable[[], nn.Module]] = {
    "nanoGPT": lambda: seeded(NanoGPT, dropout=0.3),
    "partly frozen": partly_frozen,
    "wrapped": lambda: Wrapped(seeded(FlatGPT)),
    "compiled": lambda: torch.compile(seeded(NanoGPT), backend="eager"),
    **{name: (lambda name=name: tiny(name)) for name in ("gpt_neox", "gpt2", "gemma3_text")},
    "dropout everywhere": lambda: tiny("gpt2", embd_pdrop=0.3, attn_pdrop=0.3, resid_pdrop=0.3),
}


@contextmanager
def same_generators() -> Iterator[None]:
    def states() -> list[object]:
        kind, keys, *rest = np.random.get_state()
        return [random.getstate(), kind, keys.tolist(), rest, torch.get_rng_state().tolist()]

    before = states()
    yield
    assert states() == before


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_an_observation_leaves_the_model_as_it_was(build: Callable[[], nn.Module]) -> None:
    watching = Observatory(
        word_tokenizer(), battery=battery_of(*FEW), instruments=["contrast", "competence", "circuits"], twins=2
    )
    model = build()
    inner = getattr(model, "_orig_mod", model)
    trained(inner.model if isinstance(inner, Wrapped) else inner)
    with unchanged(inner), same_generators():
        first = watching.observe(model, step=0)
    assert {"competence_margin", "circuits_shared", "contrast_index"} < set(first.variables)
    torch.manual_seed(99)  # dropout is off, so what is seen depends on nothing else
    again = watching.observe(model, step=0)
    for name in ("circuits_top_score_mlp", "competence_log_probability"):
        np.testing.assert_array_equal(again[name], first[name])


# Answers ------------------------------------------------------------------------------------------------------------


def answers(model: nn.Module, *rules: Rule, memory: int = 2**30, asked: list[Questions] | None = None) -> Answers:
    def ask() -> Questions:
        found = questions(word_tokenizer(), TASKS)
        if asked is not None:
            asked.append(found)
        return found

    return Answers(anatomy(model), ask, rules, batch_tokens=64, memory=memory)


@pytest.mark.parametrize("rule", [*RULES, Rule(points=1)], ids=str)
def test_the_passes_of_an_attribution_give_the_answers_that_asking_gives(rule: Rule) -> None:
    model = seeded(NanoGPT).eval()
    with undisturbed(model):
        found, alone = answers(model, rule).log_probabilities, answers(model).log_probabilities
    torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(alone, answers_by_hand(model, TASKS), rtol=1e-5, atol=1e-5)


def test_what_several_instruments_want_is_asked_once() -> None:
    model, asked = seeded(NanoGPT), []
    passes = Passes(model)
    shared = answers(model, Rule(), PUBLISHED, asked=asked)
    assert not asked
    with undisturbed(model):
        attribute(anatomy(model), questions(word_tokenizer(), TASKS), Rule(), 64)
        needed, passes.forward = passes.forward, 0
        for _ in range(2):
            shared.log_probabilities  # noqa: B018
            shared.attributions(Rule())
            shared.attributions(Rule("margin"))
        assert passes.forward == needed
        first = shared.attributions(PUBLISHED)
        assert passes.forward == 2 * needed
        assert shared.attributions(PUBLISHED) is first
    assert len(asked) == 1


def test_an_observation_asks_once_for_all_its_instruments() -> None:
    def passes(*instruments: str) -> int:
        model = seeded(NanoGPT)
        counted = Passes(model)
        shown = battery_of(*TASKS)
        Observatory(word_tokenizer(), battery=shown, instruments=instruments, twins=0).observe(model, step=0)
        return counted.forward

    circuits, both = passes("circuits"), passes("competence", "circuits")
    assert circuits > 0
    assert passes("circuits", "competence") == both
    assert 0 < both - circuits < passes("competence")  # the texts alone, not the tasks again


@pytest.mark.parametrize("pairs", [0, 7, 12, 10**6])
def test_tasks_go_in_groups_where_memory_is_small(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, counts = seeded(NanoGPT), [len(task.pairs) for task in TASKS]
    assert counts == [7, 5, 6]
    groups: list[int] = []

    def noted(given: Any, part: Questions, *rest: Any) -> Attributions:
        groups.append(len(part.tasks))
        return attribute(given, part, *rest)

    monkeypatch.setattr("observatory.measure.answers.attribute", noted)
    whole = attributed(model, Rule())
    with undisturbed(model):
        found = answers(model, Rule(), memory=max(1, pairs * bytes_of_a_pair(anatomy(model)))).attributions(Rule())
    assert groups == {0: [1, 1, 1], 7: [1, 1, 1], 12: [2, 1], 10**6: [3]}[pairs]
    for space in SPACES:
        torch.testing.assert_close(found.scores[space], whole.scores[space], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.magnitudes[space], whole.magnitudes[space])
    torch.testing.assert_close(found.log_probabilities, whole.log_probabilities)


def test_a_pair_keeps_what_its_other_prompts_activations_take_and_two_numbers_a_unit() -> None:
    assert bytes_of_a_pair(anatomy(seeded(NanoGPT))) == 4 * LAYERS * (20 + 16 + 2 * (20 + HEADS))
    assert bytes_of_a_pair(anatomy(tiny("llama"))) == 4 * LAYERS * (20 + 6 * HEADS + 2 * (20 + HEADS))
    parts = [attributed(seeded(NanoGPT), Rule(), (one,)) for one in TASKS]
    assert joined(parts).scores["mlp"].shape == (3, 2, 60)
    assert joined(parts).log_probabilities.shape == (18, 2, 2)
    assert VOCABULARY > 42  # every word of the tokenizer has a logit
