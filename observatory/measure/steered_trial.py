"""Some pairs of every task, asked with a direction added that was fitted to the other half of the task's pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from observatory.measure.asking import ANSWERS, PROMPTS, ask
from observatory.measure.reading import Reading
from observatory.measure.scene import Scene
from observatory.measure.scoring import margins
from observatory.measure.steering import depths, direction, halves, in_turn, random, shuffled, sides, steered, without

KINDS = ("shuffled", "random")
"""Of directions that mean nothing: of prompts whose sides are shuffled, and any at all."""
_SIGNS = (1.0, -1.0)
Directions = Float[Tensor, "task half layer unit"]
"""By the half that they are fitted without."""


class SteeredTrial:
    """What is needed of one model: its residual stream at the end of every prompt, and who is tried with what."""

    def __init__(self, scene: Scene, pairs: int) -> None:
        asked = scene.answers.questions
        self._scene, self._questions = scene, asked
        self.blocks = depths(scene.anatomy.layers)
        """Those whose outputs may be added to."""
        self._sites = tuple(scene.anatomy.sites["residual"][block] for block in self.blocks)
        self._pairs = [pair for task in asked.tasks for pair in task.pairs]
        self._values = self._at_the_end()
        dealt = [halves(task) for task in asked.tasks]
        self.half = torch.tensor(list(chain.from_iterable(half for half, _ in dealt)))
        """Of every pair."""
        self.apart = [apart for _, apart in dealt]
        """Of every task, whether its halves share no answer."""
        self.tried = self._chosen(pairs)
        """The pairs that are asked."""
        self.questions = asked.only(self.tried)
        self._task, self._own_half = asked.task_of_pair[self.tried], self.half[self.tried]
        self.lengths = self._lengths()
        """(task, half, layer): of the residual stream there, by the half that they are taken without."""

    def fitted(self) -> Directions:
        """The tasks' own directions."""
        found = torch.full((*self.lengths.shape, self._values.shape[-1]), torch.nan)
        for task, half, fit in self._fits():
            group, side = sides([self._pairs[number] for number in fit.tolist()])
            differences = self._values[fit, 0] - self._values[fit, 1]
            for layer in range(len(self.blocks)):
                found[task, half, layer] = direction(differences[:, layer], group, side)
        return found

    def controls(self, fitted: Directions, kind: str, count: int) -> list[Directions]:
        """Directions of no meaning for every place that has one of its own, of which they have nothing."""
        found = torch.full((count, *fitted.shape), torch.nan)
        for task, half, fit in self._fits():
            for layer, block in enumerate(self.blocks):
                name = (self._questions.tasks[task].label, str(half), str(block))
                values = self._values[fit][:, :, layer]
                drawn = shuffled(values, count, *name) if kind == "shuffled" else random(values.shape[-1], count, *name)
                found[:, task, half, layer] = without(drawn, fitted[task, half, layer])
        return list(found)

    def layers(self, directions: Directions, strength: float) -> Int[Tensor, "task half"]:
        """The block where they do most for the very pairs that they are fitted to."""
        shape = self.lengths.shape[:2]
        gains = []
        for layer in range(len(self.blocks)):
            found = self.margins(directions, torch.full(shape, layer), strength, on_fitted=True)
            gains.append(self._by_half(found))
        return torch.stack(gains).nan_to_num(nan=-torch.inf).argmax(0).flip(1)

    def margins(
        self, directions: Directions, layers: Int[Tensor, "task half"], strength: float, on_fitted: bool = False
    ) -> Float[Tensor, " tried"]:
        """How much likelier the answer that is pointed at becomes than the other one, whichever prompt stands before.

        A direction points at the answer of that prompt of a pair that lies further along it.
        """
        half = 1 - self._own_half if on_fitted else self._own_half
        layer = layers[self._task, half]
        vector = directions[self._task, half, layer]
        values = self._values[self.tried, :, layer]
        towards = ((values[:, 0] - values[:, 1]) * vector).sum(-1).sign()
        pushed = (strength * towards * self.lengths[self._task, half, layer])[:, None] * vector
        added = torch.zeros(len(pushed), len(self.blocks), pushed.shape[-1])
        added[torch.arange(len(pushed)), layer] = pushed
        rows = torch.cat([sign * added for sign in _SIGNS]).repeat_interleave(len(PROMPTS), dim=0)
        found = ask(
            self._scene.anatomy,
            self.questions.askings * len(_SIGNS),
            self._scene.batch_tokens,
            lambda batch: steered(self._sites, batch, rows[batch.askings].to(self._scene.anatomy.device)),
        ).reshape(len(_SIGNS), -1, len(PROMPTS), len(ANSWERS))
        there, back = (found[..., 0] - found[..., 1]).mean(-1)
        return torch.sub(there, back) / 2

    def prompted(self) -> Float[Tensor, " tried"]:
        """How much likelier the answer is that the prompt asks for."""
        return margins(self._scene.answers.log_probabilities[self.tried]).mean(-1)

    def _at_the_end(self) -> Float[Tensor, "pair prompt layer unit"]:
        """The residual stream at the last token of every prompt."""
        reading = Reading("residual", _last, 1)
        seen = replace(self._scene, anatomy=replace(self._scene.anatomy, sites={"residual": self._sites}))
        read = seen.reads([asking.prompt for asking in self._questions.askings], reading)
        values = torch.cat([block[reading][0] for block in read.blocks(reading)], dim=-1)
        return values.reshape(len(self._pairs), len(PROMPTS), len(self._sites), -1)

    def _chosen(self, most: int) -> Bool[Tensor, " pair"]:
        """As many of either half, in turn from each template."""
        chosen = torch.zeros(len(self._pairs), dtype=torch.bool)
        for _, _, numbers in self._parts():
            templates = [self._pairs[number].template for number in numbers.tolist()]
            chosen[numbers[in_turn(templates)[: most // 2]]] = True
        return chosen

    def _parts(self) -> Iterator[tuple[int, int, Int[Tensor, " pair"]]]:
        """Task, half and the pairs of it."""
        for task in range(len(self._questions.tasks)):
            mine = self._questions.task_of_pair == task
            for half in (0, 1):
                yield task, half, (mine & (self.half == half)).nonzero()[:, 0]

    def _fits(self) -> Iterator[tuple[int, int, Int[Tensor, " pair"]]]:
        """Task, half, and the pairs that what is tried on it is fitted to, if there are any."""
        yield from ((task, 1 - half, numbers) for task, half, numbers in self._parts() if len(numbers))

    def _lengths(self) -> Float[Tensor, "task half layer"]:
        found = torch.full((len(self._questions.tasks), 2, len(self._sites)), torch.nan)
        for task, half, fit in self._fits():
            found[task, half] = self._values[fit].norm(dim=-1).mean((0, 1))
        return found

    def _by_half(self, values: Float[Tensor, " tried"]) -> Float[Tensor, "task half"]:
        """Means over the pairs of either half."""
        places = 2 * self._task + self._own_half
        sums = torch.zeros(2 * len(self.lengths)).index_add_(0, places, values)
        return (sums / places.bincount(minlength=len(sums))).reshape(-1, 2)


def _last(activations: Float[Tensor, "item token unit"]) -> Float[Tensor, "1 item unit"]:
    return activations[None, :, -1]
