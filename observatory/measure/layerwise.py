"""The values of a reading one layer after another, whatever blocks of layers memory allows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from observatory.measure.reading import Reading
from observatory.measure.scene import Scene


def layerwise(scene: Scene, reading: Reading) -> Iterator[Float[Tensor, "value item unit"]]:
    """Of the shared pass."""
    widths = iter([reading.width(site) for site in scene.anatomy.sites[reading.space]])
    for block in scene.blocks(reading):
        left = block[reading].shape[-1]
        within = []
        while left:
            within.append(next(widths))
            left -= within[-1]
        yield from torch.split_with_sizes(block[reading], within, -1)
