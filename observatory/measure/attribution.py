"""How much each unit does for the right answer: to first order, or along the way from the corrupted prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from observatory.measure.anatomy import Anatomy, Site
from observatory.measure.asking import ANSWERS, PROMPTS, Batch, Questions, batches
from observatory.measure.layout import read
from observatory.measure.visiting import Visit, no_parameters, visiting

SPACES = ("mlp", "heads")
"""The unit spaces that have scores: those whose units write to the residual stream."""
Found = Mapping[Site, Float[Tensor, "row _component"]]
"""Of every site, what stands at the last prompt token of each row, or its derivative."""


@dataclass(frozen=True)
class Rule:
    """(activation on the clean prompt - on the corrupted one) * derivative of a metric, at the last prompt token."""

    metric: Literal["margin", "correct"] = "margin"
    """log p(correct) - log p(incorrect), or log p(correct) alone."""
    at: Literal["clean", "corrupted"] = "clean"
    """The prompt on which the derivative is taken."""
    points: int = 0
    """Integrated gradients: the derivative's mean over so many points between the two activations, one layer at a time,
    with which a layer's scores add up to what exchanging its activations does. 0 takes it at the prompt itself."""

    def __post_init__(self) -> None:
        if self.metric not in ("margin", "correct") or self.at not in PROMPTS:
            raise ValueError(f"the metric is margin or correct, and it is taken at clean or corrupted; got {self}")
        if self.points < 0:
            raise ValueError(f"points counts the steps of integrated gradients, 0 for none; got {self.points}")

    def metric_of(self, scores: Float[Tensor, "row answer"]) -> Float[Tensor, ""]:
        correct, incorrect = scores.sum(0)
        return torch.sub(correct, incorrect) if self.metric == "margin" else correct


PUBLISHED = Rule("correct", "corrupted")
"""As LLM_Modularity's code has it: it detaches the incorrect answer (docs/circuits.md)."""


@dataclass(frozen=True)
class Attributions:
    """The scores of every unit on some tasks, added up over the pairs of either half of a task."""

    scores: Mapping[str, Float[Tensor, "task half unit"]]
    magnitudes: Mapping[str, Float[Tensor, "task unit"]]
    """The unit's mean magnitude where the derivative is taken."""
    log_probabilities: Float[Tensor, "pair prompt answer"]


def attribute(anatomy: Anatomy, questions: Questions, rule: Rule, batch_tokens: int) -> Attributions:
    """Two forward passes and one backward pass over the pairs, unless gradients are integrated.

    The derivative is taken with respect to zeros that are added to the activations: no parameter has a gradient.
    """
    base, other = (PROMPTS.index(rule.at), 1 - PROMPTS.index(rule.at))
    towards = 1 if rule.at == "clean" else -1
    sites = [site for space in SPACES for site in anatomy.sites[space]]
    found = torch.zeros(len(questions.askings) // 2, len(PROMPTS), len(ANSWERS))
    tally = _Tally(anatomy, questions)
    kept = {site: torch.zeros(len(found), read(site.module)) for site in sites}
    with no_parameters(anatomy.whole):
        for batch in anatomy.ranks.own(_batches(anatomy, questions, other, batch_tokens)):
            scores, activations = _activations(anatomy, batch, sites)
            found[:, other].index_add_(0, batch.askings, scores.cpu())
            for site in sites:
                kept[site][batch.askings] = activations[site].cpu()
        for values in kept.values():
            anatomy.ranks.total(values)
        for batch in anatomy.ranks.own(_batches(anatomy, questions, base, batch_tokens)):
            opposite = {site: kept[site][batch.askings].to(anatomy.device) for site in sites}
            if rule.points:
                scores, activations = _activations(anatomy, batch, sites)
                derivatives = _integrated(anatomy, batch, rule, activations, opposite)
            else:
                scores, activations, derivatives = _derivatives(anatomy, batch, sites, rule)
            found[:, base].index_add_(0, batch.askings, scores.cpu())
            products = {s: towards * (activations[s] - opposite[s]) * derivatives[s] for s in sites}
            tally.add(batch, products, activations)
    return Attributions(tally.scores(), tally.magnitudes(), anatomy.ranks.total(found))


def bytes_of_a_pair(anatomy: Anatomy) -> int:
    """The memory that a pair takes: its activations until its other prompt is run, then what is to be added up."""
    return 4 * sum(read(site.module) + 2 * site.units for space in SPACES for site in anatomy.sites[space])


def joined(parts: Sequence[Attributions]) -> Attributions:
    """Of tasks taken group by group."""
    return Attributions(
        {space: torch.cat([part.scores[space] for part in parts]) for space in SPACES},
        {space: torch.cat([part.magnitudes[space] for part in parts]) for space in SPACES},
        torch.cat([part.log_probabilities for part in parts]),
    )


class _Tally:
    """Adds up by task and half, when all pairs are there: so the sums are the same whoever ran which pair, and when."""

    def __init__(self, anatomy: Anatomy, questions: Questions) -> None:
        self._anatomy = anatomy
        self._cells = 2 * questions.task_of_pair + questions.half_of_pair
        self._count = 2 * len(questions.tasks)
        units = {space: sum(anatomy.widths(space)) for space in SPACES}
        self._scores = {space: torch.zeros(len(self._cells), units[space]) for space in SPACES}
        self._sizes = {space: torch.zeros(len(self._cells), units[space]) for space in SPACES}

    def add(self, batch: Batch, products: Found, activations: Found) -> None:
        first = batch.first
        for space in SPACES:
            sites = self._anatomy.sites[space]
            scores = torch.cat([_grouped(site, products[site]).sum(-1) for site in sites], dim=-1)
            sizes = torch.cat([_grouped(site, activations[site]).norm(dim=-1) for site in sites], dim=-1)
            self._scores[space].index_add_(0, batch.askings, scores.cpu())
            self._sizes[space].index_add_(0, batch.askings[first], sizes.cpu()[first])

    def scores(self) -> dict[str, Tensor]:
        return {space: self._by_half(values) for space, values in self._scores.items()}

    def magnitudes(self) -> dict[str, Tensor]:
        pairs = self._cells.bincount(minlength=self._count).reshape(-1, 2).sum(1)
        return {space: self._by_half(values).sum(1) / pairs[:, None] for space, values in self._sizes.items()}

    def _by_half(self, values: Float[Tensor, "pair unit"]) -> Float[Tensor, "task half unit"]:
        cells = torch.zeros(self._count, values.shape[-1])
        return cells.index_add_(0, self._cells, self._anatomy.ranks.total(values)).reshape(-1, 2, values.shape[-1])


def _grouped(site: Site, values: Float[Tensor, "row component"]) -> Float[Tensor, "row unit within"]:
    return values.reshape(len(values), site.units, -1)


def _batches(anatomy: Anatomy, questions: Questions, prompt: int, batch_tokens: int) -> Sequence[Batch]:
    """Of one prompt of every pair; the batch's askings are numbers of pairs."""
    return list(batches(questions.askings[prompt::2], batch_tokens, anatomy.voice.vocabulary))


def _scores(anatomy: Anatomy, batch: Batch) -> Float[Tensor, "row answer"]:
    return batch.scores(anatomy.voice.logits(batch.ids.to(anatomy.device), batch.following))


def _activations(anatomy: Anatomy, batch: Batch, sites: Sequence[Site]) -> tuple[Tensor, Found]:
    activations: dict[Site, Tensor] = {}

    def visit(site: Site, values: Tensor) -> None:
        activations[site] = values.detach().float()

    with visiting(sites, batch, visit):
        return _scores(anatomy, batch), activations


def _derivatives(anatomy: Anatomy, batch: Batch, sites: Sequence[Site], rule: Rule) -> tuple[Tensor, Found, Found]:
    activations: dict[Site, Tensor] = {}
    leaves: dict[Site, Tensor] = {}

    def visit(site: Site, values: Tensor) -> Tensor:
        activations[site] = values.detach().float()
        leaves[site] = torch.zeros_like(values, requires_grad=True)
        return values + leaves[site]

    with torch.enable_grad(), visiting(sites, batch, visit):
        scores = _scores(anatomy, batch)
        found = torch.autograd.grad(rule.metric_of(scores), [leaves[site] for site in sites])
    return scores.detach(), activations, {s: derivative.float() for s, derivative in zip(sites, found, strict=True)}


def _integrated(anatomy: Anatomy, batch: Batch, rule: Rule, here: Found, opposite: Found) -> Found:
    """One layer's activations are moved at a time, with those after it following."""
    nodes, weights = np.polynomial.legendre.leggauss(rule.points)
    means: dict[Site, Tensor] = {}
    for site in here:
        means[site] = torch.zeros_like(here[site])
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            between = torch.lerp(opposite[site], here[site], float(node)).requires_grad_()
            with torch.enable_grad(), visiting([site], batch, _putting(between)):
                (derivative,) = torch.autograd.grad(rule.metric_of(_scores(anatomy, batch)), [between])
            means[site] += float(weight) * derivative
    return means


def _putting(instead: Float[Tensor, "row component"]) -> Visit:
    return lambda _, values: instead.to(values.dtype)
