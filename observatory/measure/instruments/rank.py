"""In how many directions the stimuli lie apart, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from observatory.measure.layerwise import layerwise
from observatory.measure.reading import Reading
from observatory.measure.scene import Scene
from observatory.measure.spectrum import effective_rank, participation_ratio, variances
from observatory.observation import Array, Instrument, Variable

_SPACES = ("mlp", "residual")


@dataclass(frozen=True)
class Rank(Instrument):
    """The effective rank and the participation ratio of activations at the last token of every stimulus.

    Each unit less its mean over the stimuli: what all stimuli share is no direction in which they differ.
    """

    name = "rank"

    def readings(self) -> tuple[Reading, ...]:
        return tuple(_READINGS.values())

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {"layer": np.arange(scene.anatomy.layers)}

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        variables: dict[str, Variable] = {}
        for space, reading in _READINGS.items():
            pairs = [ranks(one[0]) for one in layerwise(scene, reading)]
            variables[f"effective_{space}"] = Variable(
                ("layer",),
                np.array([effective for effective, _ in pairs], np.float32),
                {"long_name": f"effective rank of {space} activations over the largest possible", "units": "1"},
            )
            variables[f"participation_{space}"] = Variable(
                ("layer",),
                np.array([participation for _, participation in pairs], np.float32),
                {"long_name": f"participation ratio of {space} activations", "units": "directions"},
            )
        variables["participation"] = Variable(
            (),
            variables["participation_residual"].values.mean(),  # NaN wins
            {
                "long_name": "participation ratio of the residual stream, mean over layers",
                "units": "directions",
                "headline": "residual rank (directions)",
            },
        )
        return variables

    def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
        return self.measure(scene)


def ranks(values: Float[Tensor, "stimulus unit"]) -> tuple[float, float]:
    """The effective rank as a share of what it can be, and the participation ratio."""
    exact = values.double()
    found = variances(exact - exact.mean(0))
    most = min(len(values) - 1, values.shape[1])
    return float(effective_rank(found)) / most, float(participation_ratio(found))


def at_last_token(activations: Float[Tensor, "item token unit"]) -> Float[Tensor, "value item unit"]:
    """As they are, with their signs."""
    return activations[:, -1].float()[None]


_READINGS = {space: Reading(space, at_last_token, values=1) for space in _SPACES}
