"""What is found where there is something: plants of known units, and decoys that ought not to be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from counted import Cell, Rate, Table
from measured import battery, judge, judged_part, kept, observatory, of_seed, twins_of_others, untrained
from planted import Plant, PlantedLocalizer, chosen_units, decoys, family_plants

from observatory.measure import regions
from observatory.measure.anatomy import anatomy
from observatory.observation import Array
from observatory.review.judge.evidence import LEVELS, Criteria
from observatory.review.judge.verdict import Verdict

DOSES = (0.25, 0.5, 0.75, 1.0, 1.5)
STRONG = 2.0
PLANTED = 0.8
"""Units that are planted, as a share of those that a region holds."""
_REGION = "contrast_region_mlp"
_FIRST, _OBSERVED = 10_000, 2
"""Seeds from here on are planted in, so many a trial."""


@dataclass(frozen=True)
class Trial:
    """One domain, the units planted for it, and what was said of all domains for each kind of plant."""

    domain: str
    units: tuple[int, ...]
    observed: Sequence[xr.Dataset]
    """The observations with plants, along `plant`."""
    verdicts: dict[str, tuple[Verdict, ...]]

    def reached(self, plant: str, level: str, own: bool = True) -> bool:
        """Whether the domain ever reached a level, or else any of the others."""
        return any(one.episodes[level] for one in self.verdicts[plant] if (one.domain == self.domain) == own)

    def found(self, plant: str) -> Array:
        """(observation, pooling): how many of the units in the recorded region were planted."""
        regions_ = [one[_REGION].sel(plant=plant, domain=self.domain).values for one in self.observed]
        return np.stack([region.reshape(len(region), -1)[:, list(self.units)].sum(-1) for region in regions_])

    def index(self, plant: str) -> float:
        """E of the MLP neurons, over observations and poolings."""
        found = [
            one["contrast_index"].sel(plant=plant, domain=self.domain, space="mlp").mean() for one in self.observed
        ]
        return float(np.mean(found))


def trials(folder: Path, count: int, criteria: Criteria) -> list[Trial]:
    """Each plants in two untrained models, after another that is step 0; the domains take turns."""
    twins = twins_of_others(folder)
    found = []
    for number in range(count):
        domain = battery().domains[number % len(battery().domains)].name
        units = chosen_units(number, _count(PLANTED), _units())
        plants = family_plants(battery(), domain, units, DOSES) | decoys(
            battery(), domain, units, number // len(battery().domains), STRONG
        )
        seeds = range(_FIRST + _OBSERVED * number, _FIRST + _OBSERVED * (number + 1))
        observed = [kept(folder / "planted" / f"{seed}.nc", partial(_planted, seed, plants)) for seed in seeds]
        start = of_seed(folder, number)
        verdicts = {
            plant: judge([start, *(one.sel(plant=plant)[list(start)] for one in observed)], twins, 0, criteria)
            for plant in plants
        }
        found.append(Trial(domain, units, observed, verdicts))
    return found


def _planted(seed: int, plants: dict[str, Plant]) -> xr.Dataset:
    localizers = [PlantedLocalizer(name=name, plants=(plant,)) for name, plant in plants.items()]
    seen = observatory(localizers).observe(untrained(seed), step=1)
    parts = [judged_part(seen, name, more=[_REGION]).assign_coords(plant=name) for name in plants]
    return xr.concat(parts, "plant", join="exact")


def _units() -> int:
    return sum(anatomy(untrained(0)).widths("mlp"))


def _count(share: float) -> int:
    """That share of a region."""
    return round(share * _size())


def _size() -> int:
    return regions.size(PlantedLocalizer().share, _units())


def plants(folder: Path, count: int, criteria: Criteria) -> list[Table]:
    """Whole domains planted at several doses."""
    done = trials(folder, count, criteria)
    rows: list[list[Cell]] = []
    by_domain: list[list[Cell]] = []
    names = [domain.name for domain in battery().domains]
    for place, dose in enumerate(DOSES):
        plant = f"dose{place}"
        found = np.stack([trial.found(plant) for trial in done])  # (trial, observation, pooling)
        recall, precision = found / _count(PLANTED), found / _size()
        rows.append(
            [
                f"{dose:g}",
                f"{np.mean([trial.index(plant) for trial in done]):.2f}",
                *(Rate(sum(trial.reached(plant, level) for trial in done), count) for level in LEVELS),
                Rate(sum(trial.reached(plant, LEVELS[0], own=False) for trial in done), count, wrong=True),
                *(_of_poolings(values) for values in (recall, precision)),
            ]
        )
        of = [[trial for trial in done if trial.domain == name] for name in names]
        by_domain.append(
            [f"{dose:g}", *(Rate(sum(trial.reached(plant, LEVELS[0]) for trial in own), len(own)) for own in of)]
        )
    note = (
        f"{count} trials: {_count(PLANTED)} MLP neurons at random of {_units()} are raised, in two untrained models "
        f"running, by the dose times their own sd over all stimuli, on the targets of one domain. A region "
        f"holds {_size()}, so a precision of {_count(PLANTED) / _size():.2f} is all that can be had."
    )
    header = ["dose", "E", *LEVELS, "another domain", "recall: last, mean", "precision: last, mean"]
    return [
        Table("Plants: what is found", header, rows, note),
        Table("Plants: found (selective), by planted domain", ["dose", *names], by_domain),
    ]


def _of_poolings(values: Array) -> str:
    last, mean = values.mean((0, 1))
    return f"{last:.2f}, {mean:.2f}"


def deceived(folder: Path, count: int, criteria: Criteria) -> list[Table]:
    """What must not be found, or not be called more than it is."""
    done = trials(folder, count, criteria)

    def rate(plant: str, level: str, *, own: bool | None = True, wrong: bool = False) -> Rate:
        sides = (True, False) if own is None else (own,)
        return Rate(sum(any(trial.reached(plant, level, side) for side in sides) for trial in done), count, wrong)

    selective, specific, general = LEVELS
    rows: list[list[Cell]] = [
        ["one family of a domain", "the domain emerges", rate("one", selective, wrong=True), ""],
        ["one family of a domain", "another emerges", rate("one", selective, own=False, wrong=True), ""],
        [
            "every family of every domain",
            "a domain is specific",
            rate("everywhere", specific, own=None, wrong=True),
            rate("everywhere", selective, own=None),
        ],
        ["all families of a domain but one", "the domain is general", rate("butone", general, wrong=True), ""],
        ["", "it is specific (not wrong)", rate("butone", specific), rate("butone", selective)],
    ]
    return [
        Table(
            f"Decoys: planted at {STRONG:g} sd",
            ["planted on", "what is counted", "how often", "selective"],
            rows,
            f"{count} trials as above.",
        )
    ]
