"""How much what a model makes of texts is like what others make of them: brains, raters, those who choose odd ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from observatory.measure.comparisons import Comparison, comparisons
from observatory.measure.folds import folds, jackknife_error
from observatory.measure.matched import layer_matched
from observatory.measure.pooling import POOLINGS
from observatory.measure.ranks import Ranks
from observatory.measure.scene import Scene
from observatory.measure.shown import POOLED, Shown
from observatory.measure.unit_axis import from_grid
from observatory.observation import Array, Instrument, Variable
from observatory.stimuli.outside import Outside
from observatory.stimuli.readers.outside import read_outside

_Found = tuple[tuple[str, ...], Tensor, str]
PARTS = 20
"""Into which the stimuli are cut to tell errors, or as many as there are groups."""


@dataclass(frozen=True, eq=False)
class Alignment(Instrument):
    """Scores of the residual stream layer by layer, and of each domain's region beside random units of its layers.

    The record holds a hash of what the files say, and not where they lie: a run is not gone on with after a change of
    them, but may be after a move.
    """

    path: str | Path | dict[str, str | Path] = ""
    """A file or folder as docs/instruments.md describes it, or several by the names under which they are recorded."""
    tokens: str = "mean"
    """Activations over the tokens of a text from the second on: their mean, or the last one's."""
    of: str | None = "contrast"
    """The instrument whose regions they are; None leaves regions out."""
    space: str = "mlp"
    """Of the regions' units."""
    controls: int = 19
    """Random masks for each region, with as many units in every layer."""
    schedule: str | None = None

    name = "alignment"

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError(
                "alignment needs the path of what models are held against; make it with one, "
                "Alignment(path='norms.csv'), or in YAML {class_path: observatory.measure.instruments.alignment."
                "Alignment, init_args: {path: norms.csv}}"
            )
        if self.tokens not in POOLED or self.space not in ("mlp", "residual"):
            raise ValueError(
                f"tokens is mean or last and space mlp or residual; got {self.tokens!r} and {self.space!r}"
            )
        if self.controls < 1:
            raise ValueError(f"controls are a count of random masks, 1 or more; got {self.controls}")
        self._comparisons  # noqa: B018 (read now, so that what is wrong with a file is said before training)

    @cached_property
    def outside(self) -> tuple[Outside, ...]:
        """What the files hold."""
        if isinstance(self.path, dict):
            return tuple(read_outside(path, name) for name, path in self.path.items())
        return (read_outside(self.path),)

    @cached_property
    def _comparisons(self) -> tuple[Comparison, ...]:
        return tuple(comparison for one in self.outside for comparison in comparisons(one))

    def __repr__(self) -> str:
        given = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        held = {**given, "path": {one.name: one.hash for one in self.outside}}
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in sorted(held.items()))})"

    def needs(self) -> tuple[str, ...]:
        return () if self.of is None else (self.of,)

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {
            "outside": np.array([one.name for one in self._comparisons]),
            "bound": np.array(["lower", "upper"]),
            "domain": np.array([domain.name for domain in scene.battery.domains]),
            "layer": np.arange(scene.anatomy.layers),
        }

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        layers, masked = self._scored(scene, self._masks(scene), errors=True)
        left_out = torch.stack([_padded(one[:, 1:].mean(0)) for one in layers])
        scored = [(one[:, 0], comparison) for one, comparison in zip(layers, self._comparisons, strict=True)]
        found = {
            **_of_layers(layers),
            "layer_error": (
                ("outside", "layer"),
                torch.stack([jackknife_error(one[:, 1:]) for one in layers]),
                "standard error of a layer's score, over groups of stimuli",
            ),
            "error": (("outside",), jackknife_error(left_out), "standard error of the mean over layers"),
            "left_out": (("outside", "part"), left_out, "mean over layers without a part of the groups of stimuli"),
            "ceiling": (
                ("outside", "bound"),
                torch.tensor([one.ceiling for one in self._comparisons]),
                "the score of a true model, as far as noise lets it come",
            ),
            "chance": (("outside",), torch.tensor([one.chance for one in self._comparisons]), "the score of chance"),
            "normalised": (
                ("outside", "layer"),
                torch.stack([(score - one.chance) / (one.ceiling[1] - one.chance) for score, one in scored]),
                "score above chance as a share of the upper ceiling above chance",
            ),
        }
        if masked:
            regions = torch.stack(masked)
            found |= {
                "region": (("outside", "domain"), regions[..., 0], "score of a domain's region"),
                "matched": (
                    ("outside", "domain", "matched_mask"),
                    regions[..., 1:],
                    "score of as many random units in every layer",
                ),
            }
        told = {"tokens": self.tokens, "space": self.space}
        return {**_variables(found, told), **self._headline(found)}

    def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
        return _variables(_of_layers(self._scored(scene, None, errors=False)[0]), {"tokens": self.tokens})

    def _headline(self, found: Mapping[str, _Found]) -> dict[str, Variable]:
        """Of the first comparison."""
        label = self._comparisons[0].name
        return {
            "overall": Variable(
                (),
                found["mean"][1][0].float().numpy(),
                {
                    "long_name": f"{label}, mean over layers",
                    "headline": f"alignment: {label}",
                    "error": "overall_error",
                },
            ),
            "overall_error": Variable((), found["error"][1][0].float().numpy(), {"long_name": "its standard error"}),
        }

    def _scored(
        self, scene: Scene, masks: Bool[Tensor, "domain mask unit"] | None, errors: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Of each comparison (layer, score with all stimuli and without each part), and (domain, mask)."""
        layers: list[Tensor] = []
        masked: list[Tensor] = []
        ranks = scene.anatomy.ranks
        for outside in self.outside:
            own = [one for one in self._comparisons if one.outside is outside]
            shown = Shown(scene, outside.stimuli, self.tokens, self.space)
            part = folds(outside.groups, PARTS, "jackknife")
            rows = torch.stack([part != left for left in (-1, *range(int(part.max()) + 1))])
            layers += _scores(ranks, own, shown.layers(), scene.anatomy.layers, rows if errors else rows[:1])
            if masks is not None:
                sets, all_rows = masks.flatten(0, 1), rows[:1]
                found = _scores(ranks, own, shown.chosen(sets), len(sets), all_rows)
                masked += [one[:, 0].reshape(masks.shape[:2]) for one in found]
        return layers, masked

    def _masks(self, scene: Scene) -> Bool[Tensor, "domain mask unit"] | None:
        """Each domain's region, and random ones of its units a layer."""
        if self.of is None:
            return None
        widths, name = scene.anatomy.widths(self.space), f"{self.of}_region_{self.space}"
        if name not in scene.found:
            raise ValueError(f"{self.of} has no regions of {self.space} units; use of='contrast', or of=None for none")
        variable = scene.found[name]
        grid = torch.from_numpy(variable.values)
        regions = from_grid(grid[POOLINGS.index("mean")] if "pooling" in variable.dims else grid, widths)
        return torch.stack(
            [
                torch.cat([region[None], layer_matched(region, widths, self.controls, f"{self.name}/{domain.name}")])
                for domain, region in zip(scene.battery.domains, regions, strict=True)
            ]
        )


def _scores(
    ranks: Ranks,
    own: Sequence[Comparison],
    sets: Iterable[Float[Tensor, "stimulus unit"]],
    count: int,
    rows: Bool[Tensor, "selection stimulus"],
) -> list[Float[Tensor, "set selection"]]:
    """Of each comparison; every process scores its share of the sets of units."""
    numbers = list(ranks.own(range(count)))
    kept = [[one.kept(values) for one in own] for number, values in enumerate(sets) if number in numbers]
    found = []
    for place, one in enumerate(own):
        scores = torch.zeros(count, len(rows), dtype=torch.float64)
        for selection, some in enumerate(rows):
            if numbers:
                scores[numbers, selection] = torch.tensor(one.scores([each[place] for each in kept], some)).double()
        found.append(ranks.total(scores))
    return found


def _of_layers(layers: Sequence[Float[Tensor, "layer _"]]) -> dict[str, _Found]:
    scores = torch.stack([one[:, 0] for one in layers])
    return {
        "score": (("outside", "layer"), scores, "score of the residual stream after a layer"),
        "mean": (("outside",), scores.mean(-1), "mean over layers"),
    }


def _variables(found: Mapping[str, _Found], told: Mapping[str, str]) -> dict[str, Variable]:
    return {
        name: Variable(dims, values.float().numpy(), {"long_name": meaning, "units": "1", **told})
        for name, (dims, values, meaning) in found.items()
    }


def _padded(left_out: Float[Tensor, " part"]) -> Float[Tensor, " all_parts"]:
    """Missing where there are fewer groups than parts."""
    return torch.nn.functional.pad(left_out, (0, PARTS - len(left_out)), value=torch.nan)
