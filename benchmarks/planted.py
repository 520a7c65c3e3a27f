"""Regions of known truth: what one forward pass left is changed before anything is computed from it.

A plant adds a constant to chosen units on the targets of chosen families, so which units a detector ought to find, and
for which domain, is known exactly. The network it is planted in is untrained: nothing else is there to be found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from observatory.measure.instruments.contrast import ContrastLocalizer
from observatory.measure.reading import Reading, SharedPass
from observatory.measure.scene import Contrast, Scene
from observatory.observation import Variable
from observatory.stimuli.battery import Battery


@dataclass(frozen=True)
class Plant:
    """What is added, where, and on which stimuli."""

    space: str
    units: tuple[int, ...]
    """Numbered through all layers."""
    families: tuple[str, ...]
    """As `domain/family`; their targets are raised, never their controls."""
    dose: float
    """In standard deviations of each unit over all stimuli."""


class PlantedPass(SharedPass):
    """Another pass's values, with the plants added."""

    def __init__(self, shared: SharedPass, contrasts: Sequence[Contrast], plants: Sequence[Plant]) -> None:
        self._shared = shared
        self._contrasts = contrasts
        self._plants = plants

    def blocks(self, *readings: Reading) -> Iterator[dict[Reading, Float[Tensor, "value item unit"]]]:
        seen = dict.fromkeys(readings, 0)
        for block in self._shared.blocks(*readings):
            yield {reading: self._planted(reading, values, seen[reading]) for reading, values in block.items()}
            seen = {reading: seen[reading] + block[reading].shape[-1] for reading in readings}

    def _planted(
        self, reading: Reading, values: Float[Tensor, "value item unit"], first: int
    ) -> Float[Tensor, "value item unit"]:
        changed = values.clone()
        for plant in self._plants:
            here = [unit - first for unit in plant.units if 0 <= unit - first < values.shape[-1]]
            if plant.space != reading.space or not here:
                continue
            units = torch.tensor(here)
            added = plant.dose * values[..., units].std(1, keepdim=True)
            for contrast in self._contrasts:
                if family_name(contrast) in plant.families:
                    changed[:, contrast.targets, units] += added
        return changed


@dataclass(frozen=True)
class PlantedLocalizer(ContrastLocalizer):
    """The contrast localizer on a model with plants; several of them, named apart, share one forward pass."""

    plants: tuple[Plant, ...] = ()
    name: str = "contrast"

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        return super().measure(replace(scene, shared=PlantedPass(scene.shared, scene.contrasts, self.plants)))

    def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
        """Twins have no plants; they are measured without."""
        return {}


def family_name(contrast: Contrast) -> str:
    return f"{contrast.family.domain}/{contrast.family.name}"


def families_of(battery: Battery, *domains: str) -> tuple[str, ...]:
    """The matched families of these domains, or of all."""
    return tuple(f"{f.domain}/{f.name}" for f in battery.families if not domains or f.domain in domains)


def chosen_units(seed: int, count: int, units: int) -> tuple[int, ...]:
    """Units at random in all layers."""
    return tuple(sorted(int(unit) for unit in np.random.default_rng(seed).choice(units, count, replace=False)))


def family_plants(battery: Battery, domain: str, units: tuple[int, ...], doses: Sequence[float]) -> dict[str, Plant]:
    """All families of the domain planted, at each dose: `dose0`, `dose1`, ..."""
    own = families_of(battery, domain)
    return {f"dose{number}": Plant("mlp", units, own, dose) for number, dose in enumerate(doses)}


def decoys(battery: Battery, domain: str, units: tuple[int, ...], odd: int, dose: float) -> dict[str, Plant]:
    """What must not be taken for a region of the domain, or for one of that domain alone, or for one of all of it."""
    own = families_of(battery, domain)
    alone = own[odd % len(own)]
    return {
        "one": Plant("mlp", units, (alone,), dose),
        "everywhere": Plant("mlp", units, families_of(battery), dose),
        "butone": Plant("mlp", units, tuple(name for name in own if name != alone), dose),
    }
