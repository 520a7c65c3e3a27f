"""Communities of tasks and of the model's parts that answer them, held against the tasks' domains and formats.

A part is a layer's MLP or its attention heads. Tasks and parts are the two kinds of nodes of one graph, in which a task
is connected with a part by its share of the task's attribution. Bhandari et al. 2025, arXiv:2508.18192.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from observatory.measure.communities import bipartite_matrix, louvain, quality
from observatory.observation import Array
from observatory.review.sharing.circuit_record import Choice, circuit_record, looked, no_circuits
from observatory.review.sharing.clustering import adjusted_rand
from observatory.review.sharing.overlap import Tasks
from observatory.review.sharing.relabelling import Chance, Relabellings, agreement_test, relabellings
from observatory.review.sharing.sharing_verdict import too_few
from observatory.review.sharing.task_sharing import DRAWS


@dataclass(frozen=True)
class Agreement:
    """Of communities of tasks with labels."""

    rand: float
    """Adjusted Rand index."""
    rand_chance: Chance
    information: float
    """Mutual information over the mean of both entropies; above 0 by chance, too."""
    information_chance: Chance


@dataclass(frozen=True)
class SkillModules:
    """What was found at one step, of the tasks done."""

    step: int
    tasks: Tasks
    parts: tuple[str, ...]
    weights: Array
    """(task, part): share of a task's attribution, of what is above 0."""
    q: float
    """Barber's modularity."""
    of_tasks: Array
    of_parts: Array
    """The community of each."""
    domains: Agreement
    formats: Agreement | None
    """None where tasks have no format to tell them by, or one format alone."""

    @property
    def count(self) -> int:
        """Communities that hold a task."""
        return int(np.unique(self.of_tasks).size)


def no_skill_modules(logbook: xr.Dataset) -> str | None:
    """Why nothing can be said, if so."""
    if reason := no_circuits(logbook):
        return reason
    if "circuits_score_by_layer" not in logbook:
        return "circuits_score_by_layer was not recorded; observe again"
    return None if any(skill_modules(logbook, draws=1)) else "at no step are three tasks of two domains done"


def skill_modules(
    logbook: xr.Dataset, choice: Choice | None = None, draws: int = DRAWS
) -> tuple[SkillModules | None, ...]:
    """Of every step at which circuits were looked for; None where too few tasks are done."""
    choice = choice or Choice()
    record = circuit_record(logbook, choice)
    scores = looked(logbook)["circuits_score_by_layer"].transpose("step", "task", "circuit_space", "layer")
    parts = tuple(f"{space} {layer}" for space in scores["circuit_space"].values for layer in scores["layer"].values)
    by_part = scores.values.astype(float).reshape(*scores.shape[:2], -1)
    steps = zip(record.steps.tolist(), by_part, record.done(choice.alpha), strict=True)
    return tuple(_of_step(step, values, parts, record.tasks, done, draws) for step, values, done in steps)


def _of_step(
    step: int, scores: Array, parts: tuple[str, ...], tasks: Tasks, done: Array, draws: int
) -> SkillModules | None:
    above = np.where(np.isfinite(scores), scores, 0).clip(min=0)
    kept = done & (above.sum(1) > 0) & np.isfinite(scores).all(1)
    chosen = tasks.only(kept)
    if too_few(len(chosen.names), len(set(chosen.domains))):
        return None
    weights = above[kept] / above[kept].sum(1, keepdims=True)
    matrix = bipartite_matrix(weights)
    found = louvain(matrix, np.random.default_rng(0))
    of_tasks, of_parts = found[: len(weights)], found[len(weights) :]
    random = np.random.default_rng(0)
    dealt = relabellings(chosen, random, draws, tasks if tasks.formats else None)
    turned = Tasks(chosen.names, chosen.formats, chosen.own_kinds()) if len(set(chosen.formats)) > 1 else None
    return SkillModules(
        step=step,
        tasks=chosen,
        parts=parts,
        weights=weights,
        q=quality(matrix, found),
        of_tasks=of_tasks,
        of_parts=of_parts,
        domains=_agreement(of_tasks, chosen, dealt),
        formats=_agreement(of_tasks, turned, relabellings(turned, random, draws, turned)) if turned else None,
    )


def shared_information(one: ArrayLike, other: ArrayLike) -> Array:
    """Of labellings (..., task) with another (task): mutual information over the mean of the entropies; 1 if both are
    the same partition, or have one label each."""
    first, second = np.asarray(one), np.unique(np.asarray(other), return_inverse=True)[1]
    known, codes = np.unique(first, return_inverse=True)
    codes = codes.reshape(first.shape)
    table = np.swapaxes(np.eye(known.size)[codes], -1, -2) @ np.eye(second.max() + 1)[second] / second.size
    rows, columns = _entropy(table.sum(-1)), _entropy(table.sum(-2))
    joint = _entropy(table.reshape(*table.shape[:-2], -1))
    mean = (rows + columns) / 2
    return np.where(mean > 0, (rows + columns - joint) / np.where(mean > 0, mean, 1), 1.0)


def _agreement(communities: Array, tasks: Tasks, dealt: Relabellings) -> Agreement:
    place = {kind: at for at, kind in enumerate(dealt.kinds)}
    of_tasks = dealt.domains[:, [place[kind] for kind in tasks.own_kinds()]]
    information = shared_information(of_tasks, communities)
    return Agreement(
        rand=float(adjusted_rand(communities, list(tasks.domains))),
        rand_chance=agreement_test(communities, tasks, dealt),
        information=float(information[0]),
        information_chance=dealt.test(information),
    )


def _entropy(shares: Array) -> Array:
    """Along the last axis."""
    found: Array = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(-1)
    return found
