"""How often the interval of E holds what it should: a model's stimuli are taken for all that there are, and drawn from.

Each trial draws as many pairs of every family as it has, with replacement, chooses regions on them and puts an interval
round their E; what E ought to be is the effect of those same regions on all pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from counted import Cell, Rate, Table
from ground_truth import late
from jaxtyping import Float, Int
from measured import kept, observatory, untrained
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from observatory.measure import regions
from observatory.measure.anatomy import SPACES
from observatory.measure.gathering import Gathering
from observatory.measure.instruments.contrast import ContrastLocalizer
from observatory.measure.pooling import POOLINGS
from observatory.measure.reading import Reading
from observatory.measure.scene import Contrast, Scene
from observatory.observation import Array, Instrument, Variable


@dataclass(frozen=True)
class Intervals(Instrument):
    """The interval's two ends, E, and the truth, for every trial."""

    trials: int
    draws: int = 499

    name = "interval"

    def readings(self) -> tuple[Reading, ...]:
        return ContrastLocalizer().readings()

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        domains = np.array([domain.name for domain in scene.battery.domains])
        return {"space": np.array(SPACES), "pooling": np.array(POOLINGS), "domain": domains}

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        found = []
        for space, reading in zip(SPACES, self.readings(), strict=True):
            values = torch.cat([block[reading] for block in scene.blocks(reading)], -1)
            found.append(np.stack([self._trial(scene, space, values, number) for number in range(self.trials)]))
        return {
            name: Variable(("space", "trial", "pooling", "domain"), np.stack(found)[:, :, place])
            for place, name in enumerate(("low", "high", "estimate", "truth"))
        }

    def _trial(self, scene: Scene, space: str, values: Float[Tensor, "pooling stimulus unit"], number: int) -> Array:
        """(low, high, estimate and truth; pooling; domain)"""
        count = regions.size(ContrastLocalizer().share, sum(scene.anatomy.widths(space)))
        everything = Gathering(scene.contrasts, count, 0)
        everything.add(values)
        sample = Gathering(scene.contrasts, count, self.draws)
        sample.add(values[:, _drawn(scene.contrasts, number)])
        chosen = regions.top(sample.selectivity.t, count)
        names = [domain.name for domain in scene.battery.domains]
        owners = [names.index(contrast.family.domain) for contrast in scene.contrasts]

        def index(effect: Tensor) -> Array:
            found: Array = regions.indices(effect, owners, len(names)).emergence.numpy()
            return found

        estimate, truth = (index(regions.effects(chosen, one.selectivity.g)) for one in (sample, everything))
        draws = index(sample.resampled_effects())
        centred = draws - draws.mean(1, keepdims=True) + estimate[:, None]
        low, high = np.quantile(centred, (0.025, 0.975), axis=1)
        return np.stack([low, high, estimate, truth])


def _drawn(contrasts: tuple[Contrast, ...], number: int) -> Int[Tensor, " stimulus"]:
    """Rows of pairs drawn with replacement, family by family."""
    random = np.random.default_rng(number)
    rows = []
    for contrast in contrasts:
        drawn = random.integers(len(contrast.family.items), size=len(contrast.family.items))
        rows += [contrast.targets.start + drawn, contrast.controls.start + drawn]
    return torch.from_numpy(np.concatenate(rows))


def covered(folder: Path, runs: Sequence[Path], trials: int) -> list[Table]:
    """In an untrained model and in trained ones: how often the truth lies in the interval, by readout."""
    rows: list[list[Cell]] = []
    for name, make in _models(runs).items():
        path = folder / "intervals" / f"{name.replace(', ', '-').replace(' ', '')}.nc"
        seen = kept(path, partial(_measured, make, trials))
        low, high, estimate, truth = (seen[f"interval_{one}"] for one in ("low", "high", "estimate", "truth"))
        inside = ((low <= truth) & (truth <= high)).transpose("space", "pooling", "trial", "domain").values
        rows += [
            [
                name,
                f"{space}, {pooling}",
                Rate(int(inside[i, j].sum()), inside[i, j].size),
                f"{float((truth > high)[i, :, j].mean()):.3f}, {float((truth < low)[i, :, j].mean()):.3f}",
                f"{float((estimate - truth)[i, :, j].mean()):+.3f}",
            ]
            for i, space in enumerate(SPACES)
            for j, pooling in enumerate(POOLINGS)
        ]
    return [
        Table(
            "The 95% interval of E: how often it holds the truth",
            ["model", "readout", "held", "truth above, below", "E less the truth"],
            rows,
            f"{trials} trials a model, four domains each, which are not independent of each other.",
        )
    ]


def _models(runs: Sequence[Path]) -> dict[str, Callable[[], nn.Module]]:
    """One untrained, and two late checkpoints of the first run of each arm."""
    first = {run.name[0]: run for run in reversed(runs) if late(run)}
    trained = {
        f"{run.name}, step {step}": partial(AutoModelForCausalLM.from_pretrained, run / "checkpoints" / f"step{step}")
        for run in first.values()
        for step in (late(run)[0], late(run)[-1])
    }
    return {"untrained": partial(untrained, 0), **trained}


def _measured(make: Callable[[], nn.Module], trials: int) -> xr.Dataset:
    return observatory([Intervals(trials)]).observe(make(), step=1).to_xarray().reset_coords(drop=True)
