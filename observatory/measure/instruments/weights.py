"""How sparse the weight matrices are, and how many directions they make use of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from observatory.measure.matrices import matrices
from observatory.measure.scene import Scene
from observatory.measure.sparseness import gini, hoyer
from observatory.measure.spectrum import effective_rank, variances
from observatory.observation import Array, Instrument, Variable

NEAR_ZERO = 0.01
"""Of the root mean square of the matrix. Of Gaussian weights 0.8% are as small."""
_MEANINGS = {
    "near_zero": f"share of a matrix's weights within {NEAR_ZERO:g} of its root mean square from zero",
    "gini": "Gini sparsity of a matrix's weights",
    "hoyer": "Hoyer sparsity of a matrix's weights",
    "effective_rank": "effective rank of a matrix over the largest possible",
}


@dataclass(frozen=True)
class Weights(Instrument):
    """Near-zero share, Gini, Hoyer and effective rank of every weight matrix in the blocks.

    It runs no model, but it sorts every weight, and takes the singular values of every matrix.
    """

    schedule: str | None = "logarithmic 3"

    name = "weights"

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {"layer": np.arange(scene.anatomy.layers), "matrix": np.array(_names(scene))}

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        names, layers = _names(scene), matrices(scene.anatomy)
        found = np.full((len(_MEANINGS), len(layers), len(names)), np.nan, np.float32)
        for layer, own in enumerate(layers):
            for name, matrix in own.items():
                found[:, layer, names.index(name)] = _of_matrix(matrix.detach().flatten(1))
        ranks = found[list(_MEANINGS).index("effective_rank")]
        there = np.array([[name in own for name in names] for own in layers])
        return {
            **{
                name: Variable(("layer", "matrix"), values, {"long_name": meaning, "units": "1"})
                for (name, meaning), values in zip(_MEANINGS.items(), found, strict=True)
            },
            "rank": Variable(
                (),
                ranks[there].mean(),  # NaN of a matrix that is not finite wins, that of one that is not there does not
                {
                    "long_name": "effective rank, mean over matrices",
                    "units": "1",
                    "headline": "rank of weights (share)",
                },
            ),
        }


def _of_matrix(matrix: Tensor) -> list[float]:
    """In the order of the meanings; NaN for one that is not finite."""
    flat = matrix.flatten().float()
    if not flat.isfinite().all():
        return [float("nan")] * len(_MEANINGS)
    level = NEAR_ZERO * flat.double().square().mean().sqrt()
    return [
        float((flat.abs() <= level).double().mean()),
        float(gini(flat)),
        float(hoyer(flat)),
        float(effective_rank(variances(matrix.float()))) / min(matrix.shape),
    ]


def _names(scene: Scene) -> list[str]:
    """Of the matrices of all blocks, as they come; not every block need have every one."""
    return list(dict.fromkeys(name for own in matrices(scene.anatomy) for name in own))
