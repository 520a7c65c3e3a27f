"""What the model could do that prompts do not show: margins with the task's own direction added to the residual stream.

A direction is fitted to what the two prompts of a pair differ by, on one half of a task's pairs, and added to those of
the other half, at the last prompt token, both ways and after either prompt. So it is the direction alone that points at
an answer: after every prompt it is pushed once towards each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from observatory.measure.scene import Scene
from observatory.measure.scoring import by_task, templates
from observatory.measure.steered_trial import KINDS, SteeredTrial
from observatory.observation import Array, Instrument, Variable

WAYS = ("prompted", "steered")
_MARGIN = "log-probability of the answer that prompt or direction points at less that of the other"


@dataclass(frozen=True)
class Hidden(Instrument):
    """The margin of every task by prompts and by steering, and what steering gives in directions of no meaning."""

    pairs: int = 8
    """How many pairs of each task are steered, at most, half of them with either half's direction."""
    strength: float = 0.5
    """The length of what is added, as a share of the residual stream's there."""
    controls: int = 4
    """Directions of either kind of control: fitted to prompts whose sides are shuffled, and random ones."""
    schedule: str | None = "logarithmic 6"

    name = "hidden"

    def __post_init__(self) -> None:
        if self.pairs < 2 or self.controls < 2:
            raise ValueError(
                f"pairs and controls are counts, 2 or more: there are two halves, and chance has a spread; got "
                f"pairs={self.pairs} and controls={self.controls}"
            )
        if not 0 < self.strength < float("inf"):
            raise ValueError(f"strength is a share of the residual stream's length, above 0; got {self.strength}")

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {
            "task": np.array([task.label for task in scene.answers.questions.tasks]),
            "domain": np.array([domain.name for domain in scene.battery.domains]),
            "way": np.array(WAYS),
            "control": np.array([f"{kind} {draw + 1}" for kind in KINDS for draw in range(self.controls)]),
        }

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        trial = SteeredTrial(scene, self.pairs)
        directions = trial.fitted()
        layers = trial.layers(directions, self.strength)
        prompted, steered = trial.prompted(), trial.margins(directions, layers, self.strength)
        control = torch.stack(
            [
                trial.margins(drawn, layers, self.strength)
                for kind in KINDS
                for drawn in trial.controls(directions, kind, self.controls)
            ]
        )
        tasks = trial.questions.tasks
        by_pair = torch.stack([by_task(tasks, values) for values in (prompted, steered)])
        of_control = torch.stack([by_task(tasks, values).nanmean(-1) for values in control])
        above, error = _above(by_pair[1].double().numpy(), templates(tasks), of_control[: self.controls].numpy())
        return {
            "pair_margin": Variable(
                ("way", "task", "steered_pair"), by_pair.numpy(), {"long_name": _MARGIN, "units": "nats"}
            ),
            "template": Variable(
                ("task", "steered_pair"), templates(tasks), {"long_name": "cluster of a pair, -1 for none"}
            ),
            **_summary(by_pair),
            "control": Variable(
                ("control", "task"),
                of_control.numpy(),
                {"long_name": "the same with directions that mean nothing", "units": "nats"},
            ),
            "layer": Variable(
                ("task", "steered_half"),
                torch.tensor(trial.blocks, dtype=torch.int32)[layers].numpy(),
                {"long_name": "block whose output is added to, chosen by the other half"},
            ),
            "answers_apart": Variable(
                ("task",), np.array(trial.apart), {"long_name": "whether no answer of one half is one of the other"}
            ),
            "above": Variable(
                (),
                np.array(above),
                {
                    "long_name": "steered margin less that in shuffled directions, mean over tasks",
                    "units": "nats",
                    "headline": "steered above shuffled",
                    "error": "above_error",
                },
            ),
            "above_error": Variable(
                (), np.array(error), {"long_name": "standard error over templates and shuffles", "units": "nats"}
            ),
        }

    def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
        trial = SteeredTrial(scene, self.pairs)
        directions = trial.fitted()
        margin = trial.margins(directions, trial.layers(directions, self.strength), self.strength)
        return _summary(torch.stack([by_task(trial.questions.tasks, one) for one in (trial.prompted(), margin)]))


def _summary(by_pair: Float[Tensor, "way task pair"]) -> dict[str, Variable]:
    return {
        "margin": Variable(("way", "task"), by_pair.nanmean(-1).numpy(), {"long_name": _MARGIN, "units": "nats"}),
    }


def _above(values: Array, template: Array, control: Array) -> tuple[float, float]:
    """The mean over tasks of (task, pair) less (control, task), and its standard error over templates and controls.

    Of tasks that could be steered; with a template alone a task says nothing of its error, and neither does the mean.
    """
    means, variances = [], []
    for row, cluster, drawn in zip(values, template, control.T, strict=True):
        of_template = np.array([row[cluster == one].mean() for one in range(cluster.max() + 1)])
        if np.isfinite(of_template).all() and np.isfinite(drawn).all():
            means.append(row[cluster >= 0].mean() - drawn.mean())
            spread = of_template.var(ddof=1) / len(of_template) if len(of_template) > 1 else np.nan
            variances.append(spread + drawn.var(ddof=1) / len(drawn))
    if not means:
        return float("nan"), float("nan")
    return float(np.mean(means)), float(np.sqrt(np.sum(variances)) / len(means))
