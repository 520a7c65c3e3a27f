"""The weight matrices of a model's blocks; neither the embeddings nor the head."""

from __future__ import annotations

from torch import nn

from observatory.measure.anatomy import Anatomy

Matrices = dict[str, nn.Parameter]
"""By their paths in the block, in its order."""


def matrices(anatomy: Anatomy) -> tuple[Matrices, ...]:
    """Of each block; a matrix that several blocks share is the first one's alone."""
    seen: set[int] = set()
    found = []
    for site in anatomy.sites["residual"]:
        own = {
            name: parameter
            for name, parameter in site.module.named_parameters()
            if parameter.ndim > 1 and parameter.is_floating_point() and id(parameter) not in seen
        }
        seen.update(map(id, own.values()))
        found.append(own)
    return tuple(found)
