"""In which layer a domain can be read off linearly, in a form of words that the probe has not been trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from observatory.measure import nulls
from observatory.measure.anatomy import SPACES
from observatory.measure.drawn import generator
from observatory.measure.pooling import POOLINGS, last_and_mean_magnitude
from observatory.measure.probe import across_families, products
from observatory.measure.reading import Reading
from observatory.measure.scene import Contrast, Scene
from observatory.measure.unit_axis import by_layer
from observatory.observation import Array, Instrument, Variable

_FLOOR = 0.95


@dataclass(frozen=True)
class ConceptDepth(Instrument):
    """Probes of every layer, each trained on all families of a domain but one and tested on that one."""

    space: str = "mlp"
    threshold: float = 0.75
    """The share of pairs told right from which on a domain counts as read; half is chance."""
    penalty: float = 0.1
    """Of the ridge regression, in units of the mean square of a pair."""
    draws: int = 199
    """How often labels are swapped within pairs, for what chance gives."""

    name = "depth"

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise ValueError(f"space is one of {', '.join(SPACES)}; got {self.space!r}")
        if not 0.5 < self.threshold <= 1:
            raise ValueError(f"threshold is a share of pairs above chance, over 0.5 and up to 1; got {self.threshold}")
        if self.penalty <= 0 or self.draws < 19:
            raise ValueError(
                f"penalty is above 0 and draws 19 or more, below which 95% cannot be told; got penalty={self.penalty} "
                f"and draws={self.draws}"
            )

    def readings(self) -> tuple[Reading, ...]:
        return (Reading(self.space, last_and_mean_magnitude, values=len(POOLINGS)),)

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {
            "pooling": np.array(POOLINGS),
            "domain": np.array([domain.name for domain in scene.battery.domains]),
            "family": np.array([f"{one.family.domain}/{one.family.name}" for one in scene.contrasts]),
            "layer": np.arange(scene.anatomy.layers),
        }

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        accuracy = self._accuracy(scene, self.draws)
        true = self._by_domain(scene, accuracy[:1])[0]
        swapped = self._by_domain(scene, _half_of_families(accuracy[1:], _owners(scene)))
        floor = _largest(swapped).nanquantile(_FLOOR, dim=0)
        passed = (true >= self.threshold) & (true > floor[..., None])
        first = (passed.double().argmax(-1) + 1) / scene.anatomy.layers
        asked: dict[str, float | str] = {"space": self.space, "penalty": self.penalty}
        told = {
            "accuracy": (("pooling", "family", "layer"), accuracy[0], "share of pairs told right by other families"),
            "domain_accuracy": (("pooling", "domain", "layer"), true, "the same, mean over the domain's families"),
            "swapped": (
                ("pooling", "domain", "layer"),
                swapped.nanquantile(_FLOOR, dim=0),
                "95% quantile of it after training on swapped labels",
            ),
            "floor": (("pooling", "domain"), floor, "95% quantile of the same in the layer where it is largest"),
            "depth": (
                ("pooling", "domain"),
                torch.where(passed.any(-1), first, torch.nan),
                f"first layer with {self.threshold:.0%} right and more than the floor, as a share of all layers",
            ),
        }
        return {
            "best_accuracy": _best(scene, true),
            **{
                name: Variable(dims, values.float().numpy(), {"long_name": meaning, **asked})
                for name, (dims, values, meaning) in told.items()
            },
        }

    def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
        values = self._by_domain(scene, self._accuracy(scene, draws=0))[0]
        meaning = "share of pairs told right by other families, of a twin"
        return {
            "domain_accuracy": Variable(("pooling", "domain", "layer"), values.float().numpy(), {"long_name": meaning}),
            "best_accuracy": _best(scene, values),
        }

    def _accuracy(self, scene: Scene, draws: int) -> Float[Tensor, "draw pooling family layer"]:
        """With the labels as they are, and then with swapped ones, the same in all layers."""
        shape = (1 + draws, len(POOLINGS), len(scene.contrasts), scene.anatomy.layers)
        found = torch.full(shape, torch.nan, dtype=torch.float64)
        labels = [_labels(one, draws) for one in scene.contrasts]
        for layer, values in enumerate(self._by_layer(scene)):
            for pooling, shown in enumerate(values):
                for rows in filter(None, _owners(scene).values()):
                    own = [scene.contrasts[row] for row in rows]
                    kernel = products(
                        torch.cat([shown[one.targets] for one in own]), torch.cat([shown[one.controls] for one in own])
                    )
                    found[:, pooling, rows, layer] = across_families(
                        kernel, torch.cat([labels[row] for row in rows], 1), _families(own), self.penalty
                    )
        return found

    def _by_layer(self, scene: Scene) -> Iterator[Float[Tensor, "pooling stimulus unit"]]:
        (reading,) = self.readings()
        widths: Sequence[int] = scene.anatomy.widths(self.space)
        for block in scene.blocks(reading):
            values, here = block[reading], 0
            while sum(widths[:here]) < values.shape[-1]:
                here += 1
            yield from by_layer(values, widths[:here])
            widths = widths[here:]

    def _by_domain(
        self, scene: Scene, accuracy: Float[Tensor, "draw pooling family layer"]
    ) -> Float[Tensor, "draw pooling domain layer"]:
        rows = _owners(scene)
        return torch.stack([_mean(accuracy[:, :, rows[one.name]]) for one in scene.battery.domains], dim=2)


def _owners(scene: Scene) -> dict[str, list[int]]:
    """The rows of each domain's families."""
    return {
        domain.name: [row for row, one in enumerate(scene.contrasts) if one.family.domain == domain.name]
        for domain in scene.battery.domains
    }


def _best(scene: Scene, accuracy: Float[Tensor, "pooling domain layer"]) -> Variable:
    """Of domains that have another family to learn from; NaN in any of their layers wins."""
    told = [place for place, rows in enumerate(_owners(scene).values()) if len(rows) > 1]
    best = accuracy[POOLINGS.index("mean"), told].amax(-1).mean()
    meaning = "share of pairs told right in a domain's best layer, mean over domains, with mean pooling"
    return Variable((), best.float().numpy(), {"long_name": meaning, "headline": "read by a probe (share)"})


def _half_of_families(
    accuracy: Float[Tensor, "draw pooling family layer"], owners: Mapping[str, Sequence[int]]
) -> Float[Tensor, "draw pooling family layer"]:
    """NaN for all but half of each domain's families, drawn at random for each draw.

    Where families have directions of their own that are not alike, whether one tells another goes both ways at once;
    swapped labels vary from family to family, so the mean of all of them would be too narrow a null. With F families
    the mean varies as that of F / (1 + (F - 1) 2/pi asin(1 / (F - 1))) that are independent: of two one, of six 3.7.
    """
    draw = generator("depth", "half")
    keep = torch.zeros(len(accuracy), accuracy.shape[2], dtype=torch.bool)
    for rows in owners.values():
        for one in range(len(accuracy)):
            keep[one, draw.permutation(rows)[: len(rows) // 2]] = True
    return torch.where(keep[:, None, :, None], accuracy, torch.nan)


def _mean(accuracy: Float[Tensor, "draw pooling family layer"]) -> Float[Tensor, "draw pooling layer"]:
    """Over the families that are there."""
    return accuracy.nanmean(2)


def _largest(accuracy: Float[Tensor, "*batch layer"]) -> Float[Tensor, "*batch"]:
    """Of the layers where it is known."""
    known = accuracy.nan_to_num(nan=-torch.inf).amax(-1)
    return torch.where(known.isfinite(), known, torch.nan)


def _labels(contrast: Contrast, draws: int) -> Float[Tensor, "draw pair"]:
    pairs = len(contrast.family.items)
    name = f"{contrast.family.domain}/{contrast.family.name}"
    return torch.cat([torch.ones(1, pairs), nulls.swapped_labels(pairs, draws, name)])


def _families(contrasts: Sequence[Contrast]) -> list[slice]:
    """Where the pairs of each lie, one family after another."""
    ends = list(accumulate(len(one.family.items) for one in contrasts))
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
