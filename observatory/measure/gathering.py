"""What a forward pass says of one unit space, put together block of layers after block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from observatory.measure import nulls, regions
from observatory.measure.nulls import Chosen
from observatory.measure.scene import Contrast
from observatory.measure.statistics import hedges_g, moments, welch_t


@dataclass(frozen=True)
class Selectivity:
    """Every unit's statistics on every family, for one unit space."""

    t: Float[Tensor, "pooling family unit"]
    g: Float[Tensor, "pooling family unit"]


@dataclass(frozen=True)
class _Kept:
    """The pooled values of the units that are in some region so far: all that resampling will need."""

    units: Int[Tensor, " unit"]
    values: Float[Tensor, "stimulus unit"]


@dataclass
class Gathering:
    """Takes the pooled values in, and keeps no more of them than the nulls will need.

    A region is chosen among the units of all layers, so neither a draw's region nor the units to resample are known
    before the last block; of each block there is kept what could still be among the first.
    """

    contrasts: Sequence[Contrast]
    count: int
    """How many units a region holds."""
    draws: int
    """How many label permutations and resamples; 0 for the statistics alone."""
    _parts: list[Selectivity] = field(default_factory=list)
    _chosen: dict[tuple[int, int], Chosen] = field(default_factory=dict)
    _kept: dict[int, _Kept] = field(default_factory=dict)
    _seen: int = 0

    def add(self, values: Float[Tensor, "pooling stimulus unit"]) -> None:
        """The next block of layers."""
        pairs = [(moments(values[:, c.targets]), moments(values[:, c.controls])) for c in self.contrasts]
        self._parts.append(
            Selectivity(
                t=torch.stack([welch_t(t, c) for t, c in pairs], dim=1),
                g=torch.stack([hedges_g(t, c) for t, c in pairs], dim=1),
            )
        )
        if self.draws:
            self._choose(values)
            self._keep(values)
        self._seen += values.shape[-1]

    @property
    def selectivity(self) -> Selectivity:
        """Of all blocks so far, side by side."""
        return Selectivity(
            torch.cat([part.t for part in self._parts], dim=-1), torch.cat([part.g for part in self._parts], dim=-1)
        )

    def permuted_effects(self) -> Float[Tensor, "pooling draw source family"]:
        """The effect on each family of regions that permuted labels chose on another."""
        g = self.selectivity.g
        return torch.stack(
            [
                torch.stack(
                    [nulls.effects_of(self._chosen[pooling, row], g[pooling]) for row in range(len(self.contrasts))],
                    dim=1,
                )
                for pooling in range(len(g))
            ]
        )

    def resampled_effects(self) -> Float[Tensor, "pooling draw source family"]:
        """The effect of the regions as they are on resampled stimuli, the same draw of stimuli for all regions."""
        chosen = self._regions()
        return torch.stack(
            [
                torch.stack(
                    [
                        nulls.resampled_effects(
                            kept.values[contrast.targets],
                            kept.values[contrast.controls],
                            nulls.resampled_counts(len(contrast.family.items), self.draws, _label(contrast)),
                            chosen[pooling][:, kept.units],
                        )
                        for contrast in self.contrasts
                    ],
                    dim=-1,
                )
                for pooling, kept in sorted(self._kept.items())
            ]
        )

    def _regions(self) -> Bool[Tensor, "pooling family unit"]:
        t = self.selectivity.t
        return regions.top(t, min(self.count, t.shape[-1]))

    def _choose(self, values: Float[Tensor, "pooling stimulus unit"]) -> None:
        for row, contrast in enumerate(self.contrasts):
            labels = nulls.swapped_labels(len(contrast.family.items), self.draws, _label(contrast))
            for pooling, shown in enumerate(values[:, contrast.targets.start : contrast.controls.stop]):
                found = nulls.chosen_by(labels, shown, self.count, self._seen)
                before = self._chosen.get((pooling, row))
                self._chosen[pooling, row] = found if before is None else before.merged(found, self.count)

    def _keep(self, values: Float[Tensor, "pooling stimulus unit"]) -> None:
        wanted = self._regions().any(1)
        for pooling, here in enumerate(values):
            before = self._kept.get(pooling)
            fresh = wanted[pooling, self._seen :].nonzero()[:, 0]
            units, kept = fresh + self._seen, here[:, fresh]
            if before is not None:
                still = wanted[pooling, before.units]
                units = torch.cat([before.units[still], units])
                kept = torch.cat([before.values[:, still], kept], dim=-1)
            self._kept[pooling] = _Kept(units, kept)


def _label(contrast: Contrast) -> str:
    return f"{contrast.family.domain}/{contrast.family.name}"
