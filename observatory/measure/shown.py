"""One pass over other texts than the battery's: their activations layer by layer, or of units from all layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from observatory.measure.layerwise import layerwise
from observatory.measure.reading import Reading
from observatory.measure.scene import Scene
from observatory.measure.unit_axis import by_layer


class Shown:
    """With the signs of activations, of the residual stream and of one more unit space."""

    def __init__(self, scene: Scene, texts: Sequence[str], tokens: str, space: str = "residual") -> None:
        self._layers, self._units = (Reading(one, POOLED[tokens], values=1) for one in ("residual", space))
        self._scene = replace(scene, shared=scene.reads(scene.encode(texts), self._layers, self._units))
        self._widths = scene.anatomy.widths(space)

    def layers(self) -> Iterator[Float[Tensor, "stimulus unit"]]:
        """Of the residual stream."""
        return (values[0] for values in layerwise(self._scene, self._layers))

    def chosen(self, masks: Bool[Tensor, "mask unit"]) -> Iterator[Float[Tensor, "stimulus unit"]]:
        """Of the other space, the units of one mask after another."""
        wanted = masks.any(0)
        here = by_layer(wanted, self._widths)
        kept = [values[0][:, some] for values, some in zip(layerwise(self._scene, self._units), here, strict=True)]
        values = torch.cat(kept, dim=1)
        return (values[:, mask[wanted]] for mask in masks)


def mean_over_tokens(activations: Float[Tensor, "item token unit"]) -> Float[Tensor, "1 item unit"]:
    """From the second token on: position 0 is an attention sink."""
    return activations[:, 1:].float().mean(1)[None]


def last_token(activations: Float[Tensor, "item token unit"]) -> Float[Tensor, "1 item unit"]:
    """Of each text."""
    return activations[:, -1].float()[None]


POOLED: Mapping[str, Callable[[Tensor], Tensor]] = {"mean": mean_over_tokens, "last": last_token}
