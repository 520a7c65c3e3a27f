"""Do neurons form modules, groups that are active on the same stimuli, beyond what few dimensions make of any?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from observatory.measure.coactivation import NONE, Modularity, halves, modularity, sampled, standard_errors
from observatory.measure.layerwise import layerwise
from observatory.measure.pooling import POOLINGS, last_and_mean_magnitude
from observatory.measure.reading import Reading
from observatory.measure.scene import Scene
from observatory.observation import Array, Instrument, Variable


@dataclass(frozen=True)
class Modules(Instrument):
    """Newman's Q of the graph of the strongest correlations between sampled MLP neurons, over all stimuli.

    Their magnitudes are means over tokens, as `contrast` takes them. Beside it stand graphs rewired with every degree
    as it is, and graphs of neurons that mix the same principal components at random.
    """

    neurons: int = 256
    """How many are sampled, as many in one layer as in another; always the same ones."""
    share: float = 0.06
    """The part of all pairs that are edges, those with the largest correlations: as many at every step."""
    draws: int = 8
    """Graphs of either kind that stand beside."""
    splits: int = 4
    """How often the stimuli are split into halves, for the error and to tell how much hangs on the stimuli."""

    name = "modules"

    def __post_init__(self) -> None:
        if self.neurons < 8 or not 0 < self.share < 0.5:
            raise ValueError(
                f"neurons is a count, 8 or more, and share a part of the pairs below a half; got "
                f"neurons={self.neurons} and share={self.share}"
            )
        if self.draws < 2 or self.splits < 1:
            raise ValueError(
                f"draws have a spread from 2 on, and there is 1 split or more; got draws={self.draws} and "
                f"splits={self.splits}"
            )

    def readings(self) -> tuple[Reading, ...]:
        return (_READING,)

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        starts = np.cumsum([0, *scene.anatomy.widths("mlp")])
        return {
            "neuron": np.concatenate([start + own for start, own in zip(starts, self._sampled(scene), strict=False)])
        }

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        values = self._values(scene)
        found = self._modularity(values, self.draws)
        groups = [(one.targets, one.controls) for one in scene.contrasts]
        by_half = [
            [self._modularity(values[rows], 0) for rows in two] for two in halves(groups, self.splits, "modules")
        ]
        layers = [np.full(own.size, layer) for layer, own in enumerate(self._sampled(scene))]
        return {
            **_told(found),
            **{
                f"{name}_error": _number(error, f"standard error of {name}, of stimuli and of draws")
                for name, error in standard_errors(
                    found, np.array([[half.q for half in two] for two in by_half])
                ).items()
            },
            "rewired": Variable(("random_graph",), found.rewired, {"long_name": "Q of graphs with the same degrees"}),
            "rotated": Variable(
                ("random_graph",), found.rotated, {"long_name": "Q of random mixtures of the same components"}
            ),
            "community": Variable(
                ("neuron",), found.labels.astype(np.int16), {"long_name": f"a neuron's community, {NONE} for none"}
            ),
            "community_of_half": Variable(
                ("split", "half", "neuron"),
                np.array([[half.labels for half in two] for two in by_half], np.int16),
                {"long_name": "the same by one half of the stimuli"},
            ),
            "layer": Variable(("neuron",), np.concatenate(layers).astype(np.int32), {"long_name": "layer of a neuron"}),
        }

    def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
        return _told(self._modularity(self._values(scene), self.draws))

    def _modularity(self, values: Float[Array, "stimulus neuron"], draws: int) -> Modularity:
        return modularity(values, self.share, draws, "modules")

    def _sampled(self, scene: Scene) -> list[Array]:
        return sampled(scene.anatomy.widths("mlp"), self.neurons, "modules")

    def _values(self, scene: Scene) -> Float[Array, "stimulus neuron"]:
        pooling = POOLINGS.index("mean")
        layers = zip(layerwise(scene, _READING), self._sampled(scene), strict=True)
        return np.concatenate([one[pooling].numpy()[:, own] for one, own in layers], 1).astype(np.float64)


_READING = Reading("mlp", last_and_mean_magnitude, values=len(POOLINGS))


def _told(found: Modularity) -> dict[str, Variable]:
    return {
        "q": _number(found.q, "Newman's Q of neurons active on the same stimuli"),
        "excess": _number(
            found.excess,
            "Q less the mean of graphs with the same degrees",
            headline="modularity, over rewired",
            error="excess_error",
        ),
        "beyond": _number(
            found.beyond,
            "Q less the mean of random mixtures of the same components",
            headline="modularity, over rotated",
            error="beyond_error",
        ),
        "communities": _number(found.communities, "communities of two neurons or more"),
    }


def _number(value: float, meaning: str, **told: str) -> Variable:
    return Variable((), np.array(value, np.float64), {"long_name": meaning, "units": "1", **told})
