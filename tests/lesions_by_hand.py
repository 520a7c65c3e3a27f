"""What a lesion does, worked out one sequence at a time with hooks of the tests' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from loop import word_tokenizer
from models import LAYERS, NanoGPT, seeded, tiny
from test_asking import TASKS, battery_of, ids_of
from torch import Tensor, nn

from observatory import Observatory
from observatory.measure.instruments import Lesions
from observatory.measure.scene import Scene
from observatory.observation import Instrument, Observation, Variable
from observatory.stimuli.battery import Battery, Pair, Task

MODELS: dict[str, tuple[Callable[[], nn.Module], str, str, str]] = {
    "nanoGPT": (lambda: seeded(NanoGPT).eval(), "transformer.h", "mlp.c_proj", "attn.c_proj"),
    "gpt_neox": (lambda: tiny("gpt_neox").eval(), "gpt_neox.layers", "mlp.dense_4h_to_h", "attention.dense"),
    "llama": (lambda: tiny("llama").eval(), "model.layers", "mlp.down_proj", "self_attn.o_proj"),
}
"""Each with where its blocks are, and in them what reads MLP neurons and heads."""
SMALL = {"controls": 2, "pairs": 3, "texts": 2}
DOMAINS = ("alpha", "beta")
Edit = Callable[[int, Tensor], Tensor]
"""Of a layer and what its units are at all tokens of one sequence, to what they should be."""


@contextmanager
def edited(model: nn.Module, name: str, space: str, edit: Edit) -> Iterator[None]:
    _, blocks, mlp, attention = MODELS[name]
    handles = []
    for layer, block in enumerate(model.get_submodule(blocks).children()):

        def before(_: nn.Module, inputs: tuple[Tensor, ...], layer: int = layer) -> tuple[Tensor, ...]:
            return (edit(layer, inputs[0][0].clone())[None], *inputs[1:])

        module = block.get_submodule(mlp if space == "mlp" else attention)
        handles.append(module.register_forward_pre_hook(before))
    yield
    for handle in handles:
        handle.remove()


def nothing(_: int, units: Tensor) -> Tensor:
    return units


@torch.no_grad()
def logs(model: nn.Module, name: str, space: str, ids: Sequence[int], edit: Edit = nothing) -> Tensor:
    """(token, vocabulary), of one sequence alone."""
    with edited(model, name, space, edit):
        out = model(torch.tensor([list(ids)]))
    return (out if isinstance(out, Tensor) else out.logits)[0].log_softmax(-1)


def summed(found: Tensor, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
    return sum((found[len(prompt) - 1 + at, token] for at, token in enumerate(answer)), torch.zeros(()))


def chosen_by_hand(one: Task, most: int) -> list[Pair]:
    """Of the second half of the templates, or of the pairs where there is one template; a pair of each in turn."""
    names = sorted({pair.template for pair in one.pairs})
    if len(names) == 1:
        second = [pair for number, pair in enumerate(one.pairs) if number % 2]
    else:
        second = [pair for pair in one.pairs if names.index(pair.template) % 2]
    queues = {name: [pair for pair in second if pair.template == name] for name in names}
    turns = [
        queue[turn] for turn in range(len(second)) for queue in (queues[name] for name in names) if turn < len(queue)
    ]
    kept = set(map(id, turns[:most]))
    return [pair for pair in one.pairs if id(pair) in kept]


def texts_by_hand(battery: Battery, most: int) -> list[list[list[int]]]:
    return [[[0, *ids_of(item.target)] for item in family.items[:most]] for family in battery.families]


@dataclass(frozen=True)
class Given(Instrument):
    """Regions as circuits would record them, but known beforehand: a share of the units, other ones for either half."""

    share: float = 0.15
    name = "circuits"

    def coordinates(self, scene: Scene) -> Mapping[str, np.ndarray]:
        return {"domain": np.array([domain.name for domain in scene.battery.domains])}

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        found = {}
        for space in ("mlp", "heads"):
            for kind in ("region", "region_of_half"):
                draw = np.random.default_rng(list(f"{space} {kind}".encode()))
                units = sum(scene.anatomy.widths(space))
                ranks = draw.permuted(np.tile(np.arange(units), (2, 1)), axis=1)
                masks = (ranks < round(self.share * units)).reshape(2, LAYERS, -1)
                found[f"{kind}_{space}"] = Variable(("domain", "layer", f"{space}_unit"), masks)
        return found


@cache
def observed(model: str, to: str, space: str = "mlp") -> tuple[nn.Module, Battery, Observation]:
    battery, made = battery_of(*TASKS), MODELS[model][0]()
    lesions = Lesions(space=space, to=to, **SMALL)
    return made, battery, observe(made, battery, "competence", Given(), lesions)


def observe(model: nn.Module, battery: Battery, *instruments: Instrument | str, **settings: Any) -> Observation:
    looking = Observatory(word_tokenizer(), battery=battery, instruments=instruments, twins=0, **settings)
    return looking.observe(model, 0)


each_model = pytest.mark.parametrize("model", MODELS)


def asked(battery: Battery, most: int) -> list[tuple[Pair, list[int], list[int], list[int], list[int]]]:
    """Of every chosen pair: it, its prompts, and its answers, as ids."""
    return [
        (pair, [0, *ids_of(pair.clean)], [0, *ids_of(pair.corrupted)], ids_of(pair.correct), ids_of(pair.incorrect))
        for one in battery.tasks
        for pair in chosen_by_hand(one, most)
    ]


def outcome(
    model: nn.Module, name: str, space: str, battery: Battery, edit: Callable[[Sequence[int], Sequence[int]], Edit]
) -> tuple[list[list[list[float]]], list[list[float]]]:
    """Margins (task, pair, prompt) and losses (family, text); `edit` is made of a prompt and of its pair's other."""
    margins: list[list[list[float]]] = []
    for one in battery.tasks:
        rows = []
        for pair in chosen_by_hand(one, SMALL["pairs"]):
            prompts = [[0, *ids_of(pair.clean)], [0, *ids_of(pair.corrupted)]]
            answers = [ids_of(pair.correct), ids_of(pair.incorrect)]
            row = []
            for place, prompt in enumerate(prompts):
                by_answer = [
                    summed(
                        logs(model, name, space, [*prompt, *answer], edit(prompt, prompts[1 - place])), prompt, answer
                    )
                    for answer in answers
                ]
                row.append(float(by_answer[place] - by_answer[1 - place]))
            rows.append(row)
        margins.append(rows)
    losses = [
        [
            float(-summed(logs(model, name, space, ids, edit(ids, ids)), ids[:1], ids[1:]) / (len(ids) - 1))
            for ids in family
        ]
        for family in texts_by_hand(battery, SMALL["texts"])
    ]
    return margins, losses


def assert_same(values: np.ndarray, expected: Sequence[Sequence[Any]]) -> None:
    """Rows are filled up with NaN."""
    for row, own in zip(values, expected, strict=True):
        np.testing.assert_allclose(row[: len(own)], own, rtol=1e-4, atol=1e-5)
        assert np.isnan(row[len(own) :]).all()


def flat_regions(observation: Observation, space: str = "mlp", of_half: bool = True) -> np.ndarray:
    """(domain, layer, unit)"""
    return observation[f"circuits_region_{'of_half_' if of_half else ''}{space}"]


def means_by_hand(model: nn.Module, name: str, space: str, battery: Battery) -> list[Tensor]:
    """Of every layer, over tokens from 1 on of all sequences; answers that differ in their last token share one."""
    shown: list[tuple[int, ...]] = []
    for _, clean, corrupted, correct, incorrect in asked(battery, SMALL["pairs"]):
        for prompt in (clean, corrupted):
            shown += sorted({(*prompt, *answer[:-1]) for answer in (correct, incorrect)})
    shown += [tuple(ids[:-1]) for family in texts_by_hand(battery, SMALL["texts"]) for ids in family]
    sums, count = [torch.zeros(())] * LAYERS, 0
    for ids in shown:

        def add(layer: int, units: Tensor) -> Tensor:
            sums[layer] = sums[layer] + units[1:].double().sum(0)
            return units

        logs(model, name, space, ids, add)
        count += len(ids) - 1
    return [(one / count).float() for one in sums]


def replaced(mask: np.ndarray, values: Sequence[Tensor], at: int | None = None) -> Edit:
    """From token 1 on, or at one token; the mask is (layer, unit) and a unit may have components."""

    def edit(layer: int, units: Tensor) -> Tensor:
        chosen = torch.from_numpy(mask[layer]).repeat_interleave(units.shape[-1] // mask.shape[-1])
        where = slice(1, None) if at is None else slice(at, at + 1)
        units[where] = torch.where(chosen, values[layer], units[where])
        return units

    return edit
