"""The procedure of LLM_Modularity, against finite differences; tests/test_parity.py has the scores of its own code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from observatory.observation import Array

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from modularity import Attributed, Ids, Pair, attribute

LAYERS, NEURONS, VOCABULARY = 2, 12, 40


def tiny() -> Any:
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=NEURONS,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        initializer_range=0.5,
    )
    return GPTNeoXForCausalLM(config).double().train(False)


def pairs() -> list[Pair]:
    """A full batch and a short one: prompts of two to four tokens, answers of one to three."""
    draw = np.random.default_rng(0)

    def ids(low: int, high: int) -> list[Ids]:
        """Two of one length."""
        rows = draw.integers(1, VOCABULARY, (2, int(draw.integers(low, high + 1))))
        return [tuple(row.tolist()) for row in rows]

    made = []
    for _ in range(11):
        clean, corrupted = ids(2, 4)
        made.append(Pair(clean, corrupted, ids(1, 3)[0], ids(1, 3)[0]))
    return made


def projections(model: Any) -> list[torch.nn.Module]:
    return [block.mlp.dense_4h_to_h for block in model.gpt_neox.layers]


@pytest.fixture(scope="module")
def small() -> Attributed:
    model = tiny()
    return attribute(model, projections(model), pairs())


def after(model: Any, prompt: Ids, answer: Ids, times: int = 1) -> Tensor:
    """The log-probability of an answer, token by token from the definition and without padding, in each row."""
    with torch.no_grad():
        probabilities = model(torch.tensor([prompt + answer] * times)).logits.softmax(-1)
    each = [probabilities[:, len(prompt) + place - 1, token].log() for place, token in enumerate(answer)]
    return torch.stack(each).sum(0)


def test_log_probabilities_are_of_whole_answers_and_baselines_their_mean_differences(small: Attributed) -> None:
    model, made = tiny(), pairs()
    expected = [
        [[after(model, prompt, answer).item() for prompt, answer in asked] for asked in both]
        for both in (
            ([(pair.clean, pair.correct) for pair in made], [(pair.clean, pair.incorrect) for pair in made]),
            ([(pair.corrupted, pair.correct) for pair in made], [(pair.corrupted, pair.incorrect) for pair in made]),
        )
    ]
    np.testing.assert_allclose(small.log_probabilities, expected, rtol=1e-10)
    for which, baseline in enumerate((small.clean_baseline, small.corrupted_baseline)):
        correct, incorrect = np.array(expected[which])
        assert baseline == pytest.approx((correct - incorrect).mean(), rel=1e-10)


def test_scores_are_what_moving_one_neuron_towards_the_clean_prompt_does_to_the_correct_answer(
    small: Attributed,
) -> None:
    """By central differences; the pairs of the short last batch weigh more, because each batch is averaged."""
    model, made = tiny(), pairs()
    scale = small.clean_baseline - small.corrupted_baseline
    expected = np.zeros((LAYERS, NEURONS))
    for place, pair in enumerate(made):
        fellows = min(8, len(made) - place // 8 * 8)
        for layer in range(LAYERS):
            expected[layer] += slopes(model, layer, pair) / fellows / scale
    np.testing.assert_allclose(small.scores, expected, rtol=1e-6, atol=1e-9)


def slopes(model: Any, layer: int, pair: Pair, step: float = 1e-4) -> Array:
    """Per neuron, of the correct answer's log-probability, at the corrupted prompt's last token."""
    module, last = projections(model)[layer], len(pair.corrupted) - 1
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, taken: seen.append(taken[0][0, last].clone()))
    for prompt in (pair.clean, pair.corrupted):
        after(model, prompt, pair.correct)
    handle.remove()
    moves = torch.diag(seen[0] - seen[1]) * step

    def move(_: object, taken: tuple[Tensor, ...]) -> None:
        taken[0][:, last] += torch.cat([moves, -moves])

    handle = module.register_forward_pre_hook(move)
    up, down = after(model, pair.corrupted, pair.correct, 2 * NEURONS).chunk(2)
    handle.remove()
    return np.asarray((up - down) / (2 * step))


def test_a_pair_takes_seven_passes_forward_and_two_back_and_no_parameter_a_gradient() -> None:
    model, made = tiny(), pairs()
    head = model.get_output_embeddings()
    head.weight.requires_grad_(False)  # as somebody may have left it
    forward: list[torch.Size] = []
    back: list[int] = []
    heard: list[torch.Size] = []

    def count(_: object, __: object, hidden: Tensor) -> None:
        forward.append(hidden.shape)
        if hidden.requires_grad:
            hidden.register_hook(lambda gradient: back.append(len(gradient)))  # type: ignore[no-untyped-call]

    model.gpt_neox.final_layer_norm.register_forward_hook(count)
    head.register_forward_pre_hook(lambda _, taken: heard.append(taken[0].shape))
    attribute(model, projections(model), made)
    assert (sum(shape[0] for shape in forward), sum(back)) == (7 * len(made), 2 * len(made))
    assert heard == forward
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [parameter for parameter in model.parameters() if not parameter.requires_grad] == [head.weight]


def test_a_pair_of_prompts_that_are_not_equally_long_is_refused() -> None:
    with pytest.raises(ValueError, match="these have 2 and 1; leave such a pair out"):
        Pair((1, 2), (3,), (4,), (5,))
