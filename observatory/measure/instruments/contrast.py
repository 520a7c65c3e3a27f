"""Where a domain's stimuli stand out from matched controls, and whether that carries over to other surface forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from observatory.measure import regions
from observatory.measure.anatomy import SPACES
from observatory.measure.pooling import POOLINGS, last_and_mean_magnitude
from observatory.measure.reading import Reading
from observatory.measure.regions import Indices
from observatory.measure.scene import Scene
from observatory.measure.statistics import hedges_g, moments, welch_t
from observatory.observation import Array, Instrument, Variable

_BY_DOMAIN = ("space", "pooling", "domain")


@dataclass(frozen=True)
class Selectivity:
    """Every unit's statistics on every family, for one unit space."""

    t: Float[Tensor, "pooling family unit"]
    g: Float[Tensor, "pooling family unit"]


@dataclass(frozen=True)
class ContrastLocalizer(Instrument):
    """Regions chosen by Welch's t on one family and judged by their effect on the others."""

    share: float = 0.01
    """The share of the units that a region holds."""

    name = "contrast"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share is the part of all units that a region holds, between 0 and 1; got {self.share}")

    def readings(self) -> tuple[Reading, ...]:
        return tuple(_reading(space) for space in SPACES)

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        families = [f"{c.family.domain}/{c.family.name}" for c in scene.contrasts]
        domains = [domain.name for domain in scene.battery.domains]
        return {
            "space": np.array(SPACES),
            "pooling": np.array(POOLINGS),
            "domain": np.array(domains),
            "other_domain": np.array(domains),
            "family": np.array(families),
            "source_family": np.array(families),
            "layer": np.arange(scene.anatomy.layers),
        }

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        measured = selectivity(scene)
        found = [self._measure_space(scene, space, measured[space]) for space in SPACES]
        stacked = {
            name: Variable(("space", *variable.dims), np.stack([space[name].values for space in found]), variable.attrs)
            for name, variable in found[0].items()
            if name not in ("score", "region")
        }
        by_unit = {
            f"{name}_{space}": variables[name]
            for space, variables in zip(SPACES, found, strict=True)
            for name in ("score", "region")
        }
        return stacked | by_unit

    def _measure_space(self, scene: Scene, space: str, measured: Selectivity) -> dict[str, Variable]:
        widths = scene.anatomy.widths(space)
        effect, index = self._indices(scene, measured)
        score = torch.stack(
            [regions.conjunction(measured.t[:, rows]) for rows in _rows_by_domain(scene)], dim=1
        )  # (pooling, domain, unit)
        region = regions.top(score, regions.size(self.share, score.shape[-1]))
        layers = torch.stack(
            [
                self._indices(scene, Selectivity(t, g))[1].emergence
                for t, g in zip(_layers(measured.t, widths), _layers(measured.g, widths), strict=True)
            ],
            dim=-1,
        )
        by_layer = torch.stack([part.sum(-1) for part in _layers(region, widths)], dim=-1)
        before = _previous_region(scene, space)
        stability = (
            torch.full(score.shape[:2], torch.nan, dtype=torch.float64)
            if before is None
            else regions.corrected_jaccard(region, before)
        )
        values: dict[str, tuple[tuple[str, ...], Tensor, str]] = {
            "index": (_BY_DOMAIN, index.emergence, "emergence index E (Hedges' g)"),
            "specificity": (_BY_DOMAIN, index.specificity, "E less the effect of other domains' regions"),
            "generality": (_BY_DOMAIN, index.generality, "E on the family where it is smallest"),
            "effect": (
                ("space", "pooling", "source_family", "family"),
                effect,
                "mean Hedges' g on a family of the region chosen on another",
            ),
            "index_by_layer": ((*_BY_DOMAIN, "layer"), layers, "E of a region chosen within the layer"),
            "units_by_layer": ((*_BY_DOMAIN, "layer"), by_layer, "units of the conjunction region"),
            "overlap": (
                (*_BY_DOMAIN, "other_domain"),
                regions.corrected_jaccard(region[:, :, None], region[:, None]),
                "chance-corrected Jaccard of two domains' conjunction regions",
            ),
            "stability": (
                _BY_DOMAIN,
                stability,
                "chance-corrected Jaccard with the previous observation's region",
            ),
            "missing": (
                ("space", "pooling"),
                measured.t.isnan().any(1).sum(-1),
                "units that are constant or not finite on some family, which are in no region",
            ),
        }
        variables = {
            name: Variable(dims[1:], tensor.numpy(), {"long_name": meaning})
            for name, (dims, tensor, meaning) in values.items()
        }
        unit_dims = ("pooling", "domain", "layer", f"{space}_unit")
        variables["score"] = Variable(
            unit_dims,
            _unflatten(score, widths, torch.nan).float().numpy(),
            {"long_name": "smallest standardised t over the domain's families"},
        )
        variables["region"] = Variable(
            unit_dims,
            _unflatten(region, widths, False).numpy(),
            {"long_name": f"conjunction region: the {self.share:.2%} of the units with the largest score"},
        )
        return variables

    def _indices(self, scene: Scene, measured: Selectivity) -> tuple[Float[Tensor, "pooling source family"], Indices]:
        chosen = regions.top(measured.t, regions.size(self.share, measured.t.shape[-1]))
        effect = regions.effects(chosen, measured.g)
        names = [domain.name for domain in scene.battery.domains]
        owners = [names.index(contrast.family.domain) for contrast in scene.contrasts]
        return effect, regions.indices(effect, owners, len(names))


def selectivity(scene: Scene) -> dict[str, Selectivity]:
    """Welch's t and Hedges' g of each unit on each family, for every unit space."""
    parts: dict[str, list[Selectivity]] = {space: [] for space in SPACES}
    for block in scene.blocks(*map(_reading, SPACES)):
        for space in SPACES:
            values = block[_reading(space)]
            pairs = [(moments(values[:, c.targets]), moments(values[:, c.controls])) for c in scene.contrasts]
            parts[space].append(
                Selectivity(
                    t=torch.stack([welch_t(t, c) for t, c in pairs], dim=1),
                    g=torch.stack([hedges_g(t, c) for t, c in pairs], dim=1),
                )
            )
    return {
        space: Selectivity(torch.cat([p.t for p in found], dim=-1), torch.cat([p.g for p in found], dim=-1))
        for space, found in parts.items()
    }


def _reading(space: str) -> Reading:
    return Reading(space, last_and_mean_magnitude, values=len(POOLINGS))


def _rows_by_domain(scene: Scene) -> list[list[int]]:
    return [
        [row for row, contrast in enumerate(scene.contrasts) if contrast.family.domain == domain.name]
        for domain in scene.battery.domains
    ]


def _previous_region(scene: Scene, space: str) -> Bool[Tensor, "pooling domain unit"] | None:
    name = f"contrast_region_{space}"
    if scene.previous is None or name not in scene.previous.variables:
        return None
    stored = torch.from_numpy(scene.previous[name].astype(bool))
    return torch.cat([stored[..., layer, :width] for layer, width in enumerate(scene.anatomy.widths(space))], dim=-1)


def _unflatten(
    flat: Shaped[Tensor, "pooling domain unit"], widths: tuple[int, ...], fill: float | bool
) -> Shaped[Tensor, "pooling domain layer unit_of_layer"]:
    widest = max(widths)
    return torch.stack(
        [torch.nn.functional.pad(part, (0, widest - part.shape[-1]), value=fill) for part in _layers(flat, widths)],
        dim=-2,
    )


def _layers(flat: Tensor, widths: tuple[int, ...]) -> tuple[Tensor, ...]:
    return torch.split_with_sizes(flat, widths, -1)
