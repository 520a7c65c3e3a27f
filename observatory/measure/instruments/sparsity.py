"""How few units each token makes use of, and which units are of no use to any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from observatory.measure.layerwise import layerwise
from observatory.measure.reading import Reading
from observatory.measure.scene import Scene
from observatory.measure.sparseness import gini, hoyer
from observatory.observation import Array, Instrument, Variable

ACTIVE = 0.1
"""A unit is active on a token where its magnitude is above this share of the mean over its layer's units.

So it is told without knowing the activation function: a unit of ReLU is active about where it is not zero, the small
negative values of GELU and SiLU are not, and a gated unit, whose sign says nothing, is where it matters.
"""
DEAD = 0.001
"""A unit is dead that is active on a smaller share of the tokens."""
_SPACES = ("mlp", "residual")


@dataclass(frozen=True)
class Sparsity(Instrument):
    """Gini and Hoyer of the units of a layer on each token, the share that is active, and the share that is dead.

    Of every stimulus the tokens from the second on, of which each counts the same.
    """

    name = "sparsity"

    def readings(self) -> tuple[Reading, ...]:
        return (_ACTIVITY, *_CONCENTRATION.values())

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {"layer": np.arange(scene.anatomy.layers)}

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        variables: dict[str, Variable] = {}
        for space, reading in _CONCENTRATION.items():
            sums = torch.stack([one[..., 0].double().sum(-1) for one in layerwise(scene, reading)])  # (layer, value)
            for name, values in (("gini", sums[:, 0] / sums[:, 2]), ("hoyer", sums[:, 1] / sums[:, 2])):
                variables[f"{name}_{space}"] = _variable(
                    values, f"{name.capitalize()} sparsity of the {space} units of a layer, mean over tokens"
                )
        tokens = sum(len(one) - 1 for one in scene.tokens)
        shares = [one[0].double().sum(0) / tokens for one in layerwise(scene, _ACTIVITY)]
        dead = [torch.where(one.isnan(), torch.nan, (one < DEAD).double()).mean() for one in shares]
        gini_mlp = variables["gini_mlp"]
        return {
            **variables,
            "gini": Variable(
                (),
                gini_mlp.values.mean(),  # NaN wins
                {
                    "long_name": "Gini sparsity of MLP units, mean over layers",
                    "units": "1",
                    "headline": "neuron sparsity (Gini)",
                },
            ),
            "active_mlp": _variable(
                torch.stack([one.mean() for one in shares]), "share of MLP neurons that are active on a token"
            ),
            "dead_mlp": _variable(
                torch.stack(dead), f"share of MLP neurons that are active on less than {DEAD:.1%} of the tokens"
            ),
        }

    def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
        return self.measure(scene)


def concentration(activations: Float[Tensor, "item token unit"]) -> Float[Tensor, "value item 1"]:
    """Gini and Hoyer summed over the tokens on which any unit does something, and how many these are."""
    read = activations[:, 1:].float()
    silent = (read == 0).all(-1)
    sums = [torch.where(silent, 0.0, of(read)).sum(1) for of in (gini, hoyer)]
    return torch.stack([*sums, (~silent).double().sum(1)])[..., None]


def activity(activations: Float[Tensor, "item token unit"]) -> Float[Tensor, "value item unit"]:
    """On how many tokens each unit is active; NaN for all of a layer that is not finite on some."""
    magnitude = activations[:, 1:].float().abs()
    level = ACTIVE * magnitude.mean(-1, keepdim=True)
    count = (magnitude > level).float().sum(1)
    finite = magnitude.isfinite().flatten(1).all(1)
    return torch.where(finite[:, None], count, torch.nan)[None]


_ACTIVITY = Reading("mlp", activity, values=1)
_CONCENTRATION = {space: Reading(space, concentration, values=3, of="layer") for space in _SPACES}


def _variable(values: Float[Tensor, " layer"], meaning: str) -> Variable:
    return Variable(("layer",), values.float().numpy(), {"long_name": meaning, "units": "1"})
