"""Some of the tasks and texts, tried on a model as it is and with units put out of action."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from observatory.measure.anatomy import Anatomy, Site
from observatory.measure.asking import ANSWERS, PROMPTS, Batch, During, Questions, alone, ask
from observatory.measure.lesion import ZERO, Replacement, lesion
from observatory.measure.means import Means
from observatory.measure.reading import hooked
from observatory.measure.scene import Scene
from observatory.measure.scoring import by_task, losses, margins


@dataclass(frozen=True)
class Outcome:
    """How well it went."""

    margin: Float[Tensor, "*mask task pair prompt"]
    loss: Float[Tensor, "*mask family text"]


class Trial:
    """Pairs of the second half of each task's templates, and the first targets of each family."""

    def __init__(self, scene: Scene, pairs: int, texts: int, space: str, to: str) -> None:
        self._scene, self._space, self._to = scene, space, to
        self.questions = scene.answers.questions.only(_chosen(scene.answers.questions, pairs))
        self._texts = scene.targets(texts)
        self._means = Means(scene.anatomy, space)
        self._kept = _Kept(scene.anatomy, space, len(self.questions.askings) if to == "corrupted" else 0)
        self.intact = self._run({"mean": self._means.during, "corrupted": self._kept.during}.get(to, alone))
        """Without a lesion."""
        if to == "mean":
            self._means.share()
        self._kept.share()

    def lesioned(self, mask: Bool[Tensor, " unit"]) -> Outcome:
        """With these units replaced; missing where there are none."""
        if not mask.any():
            return Outcome(torch.full_like(self.intact.margin, torch.nan), torch.full_like(self.intact.loss, torch.nan))
        return self._run(lambda batch: lesion(self._scene.anatomy, {self._space: mask}, self._replacement(batch)))

    def _replacement(self, batch: Batch) -> Replacement:
        if self._to == "zero":
            return ZERO
        if self._to == "mean":
            return Replacement({self._space: self._means.of_units()})
        return Replacement({self._space: self._kept.of_other_prompt(batch)}, at=batch.prompt - 1)

    def _run(self, during: During) -> Outcome:
        scene, tasks = self._scene, self.questions.tasks
        answered = ask(scene.anatomy, self.questions.askings, scene.batch_tokens, during)
        margin = by_task(tasks, margins(answered.reshape(-1, len(PROMPTS), len(ANSWERS))))
        if self._to == "corrupted":  # a text has no other prompt
            return Outcome(margin, torch.full((len(self._texts), max(map(len, self._texts))), torch.nan))
        return Outcome(margin, losses(scene.anatomy, self._texts, scene.batch_tokens, during))


def _chosen(questions: Questions, most: int) -> Bool[Tensor, " pair"]:
    """Of the second half, in turn from each template."""
    chosen: list[bool] = []
    halves = iter(questions.half_of_pair.tolist())
    for task in questions.tasks:
        mine = [(number, pair.template) for number, pair in enumerate(task.pairs) if next(halves)]
        turn: Counter[str] = Counter()
        order = []
        for number, template in mine:
            order.append((turn[template], number))
            turn[template] += 1
        tried = {number for _, number in sorted(order)[:most]}
        chosen += [number in tried for number in range(len(task.pairs))]
    return torch.tensor(chosen)


class _Kept:
    """What stands at the last token of every prompt."""

    def __init__(self, anatomy: Anatomy, space: str, askings: int) -> None:
        self._anatomy, self._sites = anatomy, anatomy.sites[space]
        self._values = {site: torch.zeros(askings, site.values) for site in self._sites if askings}

    @contextmanager
    def during(self, batch: Batch) -> Iterator[None]:
        def keep(site: Site, activations: Tensor) -> None:
            there = activations.reshape(*batch.ids.shape, -1)[:, batch.prompt - 1]
            self._values[site][batch.askings] = there.cpu().float()

        with ExitStack() as hooks:
            for site in self._sites:
                hooks.callback(hooked(site, keep).remove)
            yield

    def share(self) -> None:
        """Once all has been run: takes over what other processes have."""
        for values in self._values.values():
            self._anatomy.ranks.total(values)

    def of_other_prompt(self, batch: Batch) -> Float[Tensor, "row unit *component"]:
        """Of each row's pair."""
        others = [asking ^ 1 for asking in batch.askings.tolist()]
        parts = [self._values[site][others] for site in self._sites]
        shaped = [
            part.reshape(len(part), site.units, *((-1,) if site.grouped else ()))
            for part, site in zip(parts, self._sites, strict=True)
        ]
        return torch.cat(shaped, dim=1).to(self._anatomy.device)
