"""Training runs whose corpus says what there is to find, and what is left of them when their weights are scrambled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import xarray as xr
import yaml
from measured import TWINS, judged_part, kept, observatory, verdicts
from torch import nn
from transformers import AutoModelForCausalLM

from observatory import open_logbook
from observatory.review.judge.evidence import Criteria, evidence, observations
from observatory.review.judge.verdict import Verdict
from observatory.train.demo import _recipe
from observatory.train.mixture import Mixture, Source

INTRODUCED = 400
"""The first step whose batch may hold what was withheld: an observed step, at which nothing of it has been seen."""


@dataclass(frozen=True)
class Arm:
    """Training runs that differ in their seed alone."""

    mixture: Mixture
    seeds: range
    steps: int
    observed: str
    """The schedule of observations."""
    saved: str
    """The schedule of checkpoints."""


_EARLY = "at 0 3 5 6 8 10 12 15 18 22 26 32 38 46 56 68 83 100 121"
_ALL = "at 0 1 2 3 4 5 6 7 8 10 12 15 18 22 26 32 38 46 56 68 83 100 121 147 178 215 261 316 400 600 800 1000"
_SAVED = "at 0 10 32 100 316 400 600 800 1000"
_LATER = Source(start=INTRODUCED)
ARMS = {
    "A": Arm(
        Mixture({"language": Source(shuffled=True), "math": _LATER, "social": Source()}), range(5), 1000, _ALL, _SAVED
    ),
    "B": Arm(
        Mixture({"math": Source(), "language": _LATER, "social": _LATER, "physical": _LATER}),
        range(5),
        1000,
        _ALL,
        _SAVED,
    ),
    "N1": Arm(Mixture({"language": Source(), "social": Source()}), range(10), 121, _EARLY, "at 0 10 32"),
    "N2": Arm(Mixture({"math": Source(), "physical": Source()}), range(10), 121, _EARLY, "at 0 10 32"),
}
"""Two that introduce domains, and two short ones without: the fewest dimensions are in use at some 50 steps."""
_WARMUP = 10
"""Steps over which the demo's learning rate rises; a shorter run has to be told, or it would rise faster."""
_LATE = 300
"""Checkpoints from here on are scrambled, the last three of them."""


@dataclass(frozen=True)
class Run:
    """One finished training run, judged, and what its recipe says that there was to find."""

    name: str
    sources: Mapping[str, Source]
    evidence: xr.Dataset
    verdicts: Mapping[str, Verdict]

    @property
    def steps(self) -> list[int]:
        return [int(step) for step in self.evidence["step"].values]


def train(folder: Path) -> None:
    """Makes the runs that are not there yet; the longer ones take some minutes each."""
    for name, arm in ARMS.items():
        for seed in arm.seeds:
            place = folder / f"{name}{seed}"
            if (place / "done").exists():
                continue
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            recipe = place / "recipe.yaml"
            recipe.write_text(yaml.safe_dump(_recipe_of(arm, place, seed), sort_keys=False))
            command = [sys.executable, "-m", "observatory", "train", "fit", "--config", str(recipe)]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            (place / "done").touch()


def _recipe_of(arm: Arm, place: Path, seed: int) -> dict[str, Any]:
    """The demo's, with another mixture and other schedules."""
    recipe = _recipe(place, seed)
    recipe["data"]["init_args"]["mixture"]["domains"] = {
        name: asdict(source) for name, source in arm.mixture.domains.items()
    }
    recipe["trainer"]["max_steps"] = arm.steps
    recipe["model"]["warmup_share"] = _WARMUP / arm.steps
    monitor, checkpoints = recipe["trainer"]["callbacks"]
    monitor["init_args"]["schedule"] = arm.observed
    checkpoints["init_args"]["schedule"] = arm.saved
    return recipe


def finished(folder: Path) -> list[Path]:
    """The runs that are there."""
    return sorted(path.parent for path in folder.glob("*/done"))


def judged(place: Path, criteria: Criteria) -> Run:
    """As the command line judges it."""
    recipe = yaml.safe_load((place / "recipe.yaml").read_text())
    domains = recipe["data"]["init_args"]["mixture"]["domains"]
    looked, _ = observations(open_logbook(place / "observations.h5"))
    found = evidence(looked, criteria)
    sources = {name: Source(**source) for name, source in domains.items()}
    return Run(place.name, sources, found, {one.domain: one for one in verdicts(found)})


def late(run: Path) -> list[int]:
    """The last checkpoints of a longer run."""
    steps = sorted(int(path.name.removeprefix("step")) for path in (run / "checkpoints").glob("step*"))
    return [step for step in steps if step > _LATE][-3:]


def scrambled(cache: Path, run: Path, trial: int) -> xr.Dataset:
    """A run's logbook as it would be had every late checkpoint been scrambled: step 0 and its twins are its own."""
    start = open_logbook(run / "observations.h5").reset_coords(drop=True).sel(step=[0])
    found = []
    for step in late(run):
        path = cache / "scrambled" / f"{run.name}-{trial}-{step}.nc"
        part = kept(path, partial(_of_scrambled, run / "checkpoints" / f"step{step}", trial, step))
        found.append(part.expand_dims(step=[step]))
    together = xr.concat([start[list(found[0])], *found], "step", join="exact")
    return together.assign({TWINS: start[TWINS].isel(step=0, drop=True).expand_dims(step=together["step"])})


def _of_scrambled(checkpoint: Path, trial: int, step: int) -> xr.Dataset:
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    scramble(model, seed=1000 * trial + step)
    return judged_part(observatory().observe(model, step))


def scramble(model: nn.Module, seed: int) -> None:
    """Every parameter keeps its values and loses their places."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
