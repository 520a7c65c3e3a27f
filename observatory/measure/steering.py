"""Steering: a direction in the residual stream fitted to what prompts differ by, and added to it elsewhere."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from observatory.measure.anatomy import Site
from observatory.measure.asking import Batch
from observatory.measure.drawn import generator
from observatory.stimuli.battery import Pair, Task

_DEPTHS = (0.25, 0.5, 0.75)
_ROUNDING = 1e-5


def depths(layers: int) -> tuple[int, ...]:
    """The blocks at a quarter, half and three quarters of the depth; never the last one, which only writes answers."""
    return tuple(sorted({max(1, int(layers * share)) - 1 for share in _DEPTHS}))


def halves(task: Task) -> tuple[list[int], bool]:
    """0 or 1 of each pair, and whether the two share no answer.

    They share no answer if answers allow for it, else no template, and of a single template no pair.
    """
    words = [(pair.template, pair.correct, pair.incorrect) for pair in task.pairs]
    by_answers = _linked(words)
    for labels in (by_answers, [pair.template for pair in task.pairs], list(range(len(task.pairs)))):
        if len(set(labels)) > 1:
            return _dealt(labels, task.label), labels is by_answers
    return [0] * len(task.pairs), False


def _linked(items: Sequence[tuple[Hashable, ...]]) -> list[int]:
    """A number for each item, the same for those that have something in common, also through others."""
    found = list(range(len(items)))
    first: dict[tuple[int, Hashable], int] = {}
    for number, (template, *answers) in enumerate(items):
        for mark in ((0, template), *((1, answer) for answer in answers)):
            other = found[first.setdefault(mark, number)]
            found = [found[number] if label == other else label for label in found]
    return found


def _dealt(labels: Sequence[Hashable], name: str) -> list[int]:
    """Large groups first, each to the half that has less; of equal ones in an order that is drawn."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for number, label in enumerate(labels):
        groups[label].append(number)
    mixed = [list(groups.values())[place] for place in generator("hidden", "halves", name).permutation(len(groups))]
    halves, sizes = [0] * len(labels), [0, 0]
    for group in sorted(mixed, key=len, reverse=True):
        half = int(sizes[1] < sizes[0])
        sizes[half] += len(group)
        for number in group:
            halves[number] = half
    return halves


def in_turn(labels: Sequence[Hashable]) -> list[int]:
    """The order in which the first of every label comes first, then the second of every label, and so on."""
    seen: Counter[Hashable] = Counter()
    turns = []
    for label in labels:
        turns.append(seen[label])
        seen[label] += 1
    return sorted(range(len(turns)), key=lambda number: turns[number])


def sides(pairs: Sequence[Pair]) -> tuple[Int[Tensor, " pair"], Float[Tensor, " pair"]]:
    """Which pairs have the template and the two answers in common, and 1 or -1 for which of these is right."""
    keys = [(pair.template, *sorted((pair.correct, pair.incorrect))) for pair in pairs]
    known = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    side = [1.0 if pair.correct < pair.incorrect else -1.0 for pair in pairs]
    return torch.tensor([known[key] for key in keys], dtype=torch.long), torch.tensor(side)


def direction(
    differences: Float[Tensor, "pair unit"], group: Int[Tensor, " pair"], side: Float[Tensor, " pair"]
) -> Float[Tensor, " unit"]:
    """The mean difference of the pairs, those of each group turned to one side and the groups to agree; of length 1.

    Nothing says which answer of one template goes with which of another, so groups are turned by the signs of their
    first principal component. Zero if no pair differs, NaN if one is not finite.
    """
    turned = (side[:, None] * differences).double()
    sums = torch.zeros(int(group.max()) + 1, turned.shape[-1], dtype=torch.double).index_add_(0, group, turned)
    if not sums.isfinite().all():
        return torch.full_like(differences[0], torch.nan)
    weighted = sums / group.bincount().double().sqrt()[:, None]
    first = torch.linalg.eigh(weighted @ weighted.T).eigenvectors[:, -1]
    total = (torch.where(first < 0, -1.0, 1.0).double()[:, None] * sums).sum(0)
    return _of_length_one(total)


def shuffled(values: Float[Tensor, "pair prompt unit"], count: int, *name: str) -> Float[Tensor, "{count} unit"]:
    """What `direction` comes to once it is drawn anew which prompts are on which side, so not of whom they are."""
    flat = values.flatten(0, 1).double()
    draw = generator("hidden", "shuffled", *name)
    sign = np.stack([draw.permutation(np.resize([1.0, -1.0], len(flat))) for _ in range(count)])
    return _of_length_one(torch.from_numpy(sign) @ flat)


def random(width: int, count: int, *name: str) -> Float[Tensor, "{count} {width}"]:
    """Any directions at all."""
    return _of_length_one(torch.from_numpy(generator("hidden", "random", *name).standard_normal((count, width))))


def without(vectors: Float[Tensor, "some unit"], one: Float[Tensor, " unit"]) -> Float[Tensor, "some unit"]:
    """Of vectors of length 1 what is at right angles to another, of length 1; zero where nothing but rounding is left.

    That is so where few prompts were shuffled, and came to lie as they were.
    """
    rest = vectors.double() - (vectors.double() @ one.double())[:, None] * one.double()
    left = torch.linalg.vector_norm(rest, dim=-1, keepdim=True)
    return _of_length_one(torch.where(left < _ROUNDING, 0.0, rest))


def _of_length_one(vectors: Float[Tensor, "*some unit"]) -> Float[Tensor, "*some unit"]:
    lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return torch.div(vectors, lengths.clamp(min=torch.finfo(torch.double).tiny)).float()


@contextmanager
def steered(sites: Sequence[Site], batch: Batch, added: Float[Tensor, "row layer unit"]) -> Iterator[None]:
    """Adds to the output of each of these blocks at the last prompt token, a vector of its own to each row."""

    def after(layer: int, _: nn.Module, __: object, output: Tensor | tuple[Any, ...]) -> Tensor | tuple[Any, ...]:
        plain = output if isinstance(output, Tensor) else output[0]
        shaped = plain.reshape(*batch.ids.shape, -1).clone()  # some modules take items and tokens in one axis
        shaped[:, batch.prompt - 1] += added[:, layer].to(shaped)
        whole = shaped.reshape(plain.shape)
        return whole if isinstance(output, Tensor) else (whole, *output[1:])

    with ExitStack() as hooks:
        for layer, site in enumerate(sites):
            hooks.callback(site.module.register_forward_hook(partial(after, layer)).remove)
        yield
