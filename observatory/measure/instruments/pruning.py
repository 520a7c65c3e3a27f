"""Essential sparsity: how many of its weights a model can do without."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np

from observatory.measure.magnitude import Magnitudes, pruned
from observatory.measure.matrices import matrices
from observatory.measure.scene import Scene
from observatory.measure.scoring import losses
from observatory.observation import Array, Instrument, Variable


@dataclass(frozen=True)
class Pruning(Instrument):
    """The share of the blocks' weights that goes, smallest first and all at once, before the held-out loss rises.

    Jaiswal et al. 2023, arXiv:2306.03805. The weights are put back bit for bit.
    """

    rise: float = 0.01
    """How much the loss may rise, as a share of what it is."""
    grid: int = 100
    """Shares are tried that are multiples of one part in so many: all, and then those that halve what is left."""
    texts: int = 8
    """How many targets of each family the loss is taken of."""
    schedule: str | None = "logarithmic 1"

    name = "pruning"

    def __post_init__(self) -> None:
        if self.rise <= 0:
            raise ValueError(f"rise is how much the loss may rise, as a share of it, above 0; got {self.rise}")
        if min(self.grid, self.texts) < 1:
            raise ValueError(f"grid and texts are counts, 1 or more; got {self.grid} and {self.texts}")

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {"layer": np.arange(scene.anatomy.layers)}

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        trial = _Trial(scene, self.texts)
        intact = trial.loss(0)
        most = intact * (1 + self.rise)
        empty = trial.loss(trial.least(1.0)) if isfinite(intact) else nan
        found, loss = self._search(trial, most, intact, empty)
        removed, by_layer = trial.magnitudes.removed(found) if isfinite(intact) else (nan, [nan] * trial.layers)
        return {
            "removed": Variable(
                (),
                np.array(removed, np.float32),
                {
                    "long_name": f"share of the weights that can go before the loss rises by {100 * self.rise:g}%",
                    "headline": "prunable weights (share)",
                },
            ),
            "removed_by_layer": Variable(
                ("layer",), np.array(by_layer, np.float32), {"long_name": "share of a layer's weights that go with it"}
            ),
            "loss": _loss(intact, "held-out loss"),
            "loss_pruned": _loss(loss, "held-out loss without the weights that can go"),
            "loss_emptied": _loss(empty, "held-out loss without any weight of the blocks"),
        }

    def _search(self, trial: _Trial, most: float, intact: float, empty: float) -> tuple[int, float]:
        """The magnitudes that can go at the end of a bisection, and the loss without them.

        Where the loss should not rise evenly, it is one of the shares at which the next on the grid is too much.
        """
        if not isfinite(intact):
            return 0, nan
        if empty <= most:
            return trial.least(1.0), empty
        within, beyond, best = 0, self.grid, (0, intact)
        while beyond - within > 1:
            middle = (within + beyond) // 2
            magnitudes = trial.least(middle / self.grid)
            loss = trial.loss(magnitudes)
            if loss <= most:
                within, best = middle, (magnitudes, loss)
            else:
                beyond = middle
        return best


class _Trial:
    """Losses of the model without its smallest weights."""

    def __init__(self, scene: Scene, texts: int) -> None:
        self._scene = scene
        self._groups = scene.targets(texts)
        groups = [list(own.values()) for own in matrices(scene.anatomy)]
        self._parameters = [parameter for group in groups for parameter in group]
        self.layers = len(groups)
        self.magnitudes = Magnitudes.of(groups)
        self.least = self.magnitudes.least

    def loss(self, magnitudes: int) -> float:
        """The mean over the texts."""
        with pruned(self._parameters, magnitudes) if magnitudes else nullcontext():
            found = losses(self._scene.anatomy, self._groups, self._scene.batch_tokens)
        given = np.concatenate(
            [row[: len(group)] for row, group in zip(found.numpy(), self._groups, strict=True)]
        )  # behind them is NaN
        return float(given.mean(dtype=np.float64))


def _loss(value: float, meaning: str) -> Variable:
    return Variable((), np.array(value, np.float32), {"long_name": meaning, "units": "nats/token"})
