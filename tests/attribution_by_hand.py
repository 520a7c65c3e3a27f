"""The score of a unit, worked out from forward passes with a leaf put in by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from loop import word_tokenizer
from models import HEADS, LAYERS, NanoGPT, seeded
from test_asking import TASKS, ids_of, task
from torch import Tensor, nn
from torch.nn import functional

from observatory.measure.anatomy import anatomy
from observatory.measure.asking import questions
from observatory.measure.attribution import PUBLISHED, Attributions, Rule, attribute
from observatory.measure.undisturbed import undisturbed
from observatory.stimuli.battery import Pair, Task

SPACES = ("mlp", "heads")
FEW = (task("alpha", "few", 3), task("beta", "fewer", 2))
RULES = [Rule(), Rule(at="corrupted"), Rule(metric="correct"), PUBLISHED]
each_rule = pytest.mark.parametrize("rule", RULES, ids=str)


class Place(NamedTuple):
    """What is put into a forward pass, and where: the layer's units at one position."""

    space: str
    layer: int
    position: int
    values: Tensor


Run = Callable[[list[int], "Place | None"], tuple[Tensor, dict[tuple[str, int], Tensor]]]
"""From ids to logits (token, vocabulary) and the units of every layer (token, component), with a layer exchanged."""


def put(place: Place | None, space: str, layer: int, values: Tensor) -> Tensor:
    if place is None or (place.space, place.layer) != (space, layer):
        return values
    return torch.cat((values[: place.position], place.values[None], values[place.position + 1 :]))


def written_out(model: NanoGPT) -> Run:
    """nanoGPT's formulas, one sequence at a time."""

    def run(ids: list[int], place: Place | None = None) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
        part, seen, length = model.transformer, {}, len(ids)
        x = part["wte"].weight[ids] + part["wpe"].weight[:length]
        for layer, block in enumerate(part["h"]):
            queries, keys, values = block.attn.c_attn(block.ln_1(x)).split(16, dim=-1)
            heads = []
            for head in range(HEADS):
                own = slice(4 * head, 4 * head + 4)
                score = queries[:, own] @ keys[:, own].T / 2.0
                score = score.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf)
                heads.append(score.softmax(-1) @ values[:, own])
            seen["heads", layer] = put(place, "heads", layer, torch.cat(heads, dim=-1))
            x = x + block.attn.c_proj(seen["heads", layer])
            seen["mlp", layer] = put(place, "mlp", layer, functional.gelu(block.mlp.c_fc(block.ln_2(x))))
            x = x + block.mlp.c_proj(seen["mlp", layer])
        return part["ln_f"](x) @ model.lm_head.weight.T, seen

    return run


def hooked(model: nn.Module) -> Run:
    """Any model, with hooks of the test's own on the projections that the layout names."""
    layout = anatomy(model).layout
    blocks = list(model.get_submodule(layout.blocks).children())
    paths = {"mlp": layout.mlp, "heads": layout.attention}

    def run(ids: list[int], place: Place | None = None) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
        seen: dict[tuple[str, int], Tensor] = {}

        def hook(space: str, layer: int) -> Callable[..., tuple[Tensor]]:
            def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
                seen[space, layer] = put(place, space, layer, inputs[0].reshape(len(ids), -1))
                return (seen[space, layer].view_as(inputs[0]),)

            return before

        handles = [
            block.get_submodule(path).register_forward_pre_hook(hook(space, layer))
            for layer, block in enumerate(blocks)
            for space, path in paths.items()
        ]
        out = model(torch.tensor([ids]))
        for handle in handles:
            handle.remove()
        return (out if isinstance(out, Tensor) else out.logits)[0], seen

    return run


def metric(run: Run, rule: Rule, prompt: str, pair: Pair, place: Place | None = None) -> Tensor:
    """log p(correct), less log p(incorrect) where the rule says so, token after token."""

    def log_probability(answer: str) -> Tensor:
        asked, said = [0, *ids_of(prompt)], ids_of(answer)
        logs = run([*asked, *said], place)[0].log_softmax(-1)
        return sum((logs[len(asked) - 1 + at, token] for at, token in enumerate(said)), torch.zeros(()))

    correct = log_probability(pair.correct)
    return correct - log_probability(pair.incorrect) if rule.metric == "margin" else correct


def at_last(run: Run, prompt: str, space: str, layer: int) -> Tensor:
    return run([0, *ids_of(prompt)], None)[1][space, layer][-1].detach()


def of_units(space: str, values: Tensor) -> Tensor:
    """Of a head, its components added up."""
    return values.unflatten(-1, (HEADS, -1)).sum(-1) if space == "heads" else values


def pair_by_hand(run: Run, rule: Rule, pair: Pair, space: str, layers: int = LAYERS) -> Tensor:
    """The scores of one pair: (unit,), layer after layer."""
    base, other = (pair.clean, pair.corrupted) if rule.at == "clean" else (pair.corrupted, pair.clean)
    found = []
    for layer in range(layers):
        here, there = at_last(run, base, space, layer), at_last(run, other, space, layer)
        leaf = ((here + there) / 2 if rule.points else here).clone().requires_grad_()
        metric(run, rule, base, pair, Place(space, layer, len(ids_of(base)), leaf)).backward(inputs=[leaf])
        assert leaf.grad is not None
        clean, corrupted = (here, there) if rule.at == "clean" else (there, here)
        found.append(of_units(space, (clean - corrupted) * leaf.grad))
    return torch.cat(found)


def scores_by_hand(run: Run, rule: Rule, tasks: tuple[Task, ...], space: str, layers: int = LAYERS) -> Tensor:
    """(task, half, unit); which half a pair is of is another test's business."""
    asked, pairs = questions(word_tokenizer(), tasks), [pair for task in tasks for pair in task.pairs]
    halves: list[list[Tensor | float]] = [[0.0, 0.0] for _ in tasks]
    for pair, row, half in zip(pairs, asked.task_of_pair.tolist(), asked.half_of_pair.tolist(), strict=True):
        halves[row][half] = halves[row][half] + pair_by_hand(run, rule, pair, space, layers)
    return torch.stack([torch.stack([torch.as_tensor(one) for one in row]) for row in halves])


def attributed(model: nn.Module, rule: Rule, tasks: tuple[Task, ...] = TASKS, batch_tokens: int = 64) -> Attributions:
    with undisturbed(model):
        return attribute(anatomy(model), questions(word_tokenizer(), tasks), rule, batch_tokens)


def exact(kind: type[nn.Module] = NanoGPT) -> nn.Module:
    """In float64, so that what differs is the method."""
    return seeded(kind).double().eval()
