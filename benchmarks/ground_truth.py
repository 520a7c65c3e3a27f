"""Training runs whose corpus says what there is to find, and what is left of them when their weights are scrambled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
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
from observatory.review.evidence import Criteria, evidence, observations
from observatory.review.verdict import Verdict
from observatory.train.demo import _recipe
from observatory.train.mixture import Mixture, Source

INTRODUCED = 464
"""The first step whose batch may hold what was withheld: an observed step, at which nothing of it has been seen."""
ARMS = {
    "A": Mixture({"language": Source(shuffled=True), "math": Source(start=INTRODUCED), "social": Source()}),
    "B": Mixture(
        {
            "math": Source(),
            "language": Source(start=INTRODUCED),
            "social": Source(start=INTRODUCED),
            "physical": Source(start=INTRODUCED),
        }
    ),
}
SEEDS = range(5)
LATE = (316, 562, 1000)
"""The last checkpoints of a run."""


@dataclass(frozen=True)
class Run:
    """One finished training run, judged."""

    arm: str
    seed: int
    evidence: xr.Dataset
    verdicts: Mapping[str, Verdict]

    @property
    def steps(self) -> list[int]:
        return [int(step) for step in self.evidence["step"].values]


def train(folder: Path) -> None:
    """Makes the runs that are not there yet, some minutes each."""
    for seed in SEEDS:
        for arm in ARMS:
            place = folder / f"{arm}{seed}"
            if (place / "done").exists():
                continue
            place.mkdir(parents=True, exist_ok=True)
            recipe = place / "recipe.yaml"
            recipe.write_text(yaml.safe_dump(_of_arm(place, arm, seed), sort_keys=False))
            command = [sys.executable, "-m", "observatory", "train", "fit", "--config", str(recipe)]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            (place / "done").touch()


def _of_arm(place: Path, arm: str, seed: int) -> dict[str, Any]:
    """The demo's recipe with another mixture."""
    recipe = _recipe(place, seed)
    recipe["data"]["init_args"]["mixture"]["domains"] = {
        name: {"weight": source.weight, "start": source.start, "shuffled": source.shuffled}
        for name, source in ARMS[arm].domains.items()
    }
    return recipe


def finished(folder: Path) -> list[Path]:
    """The runs that are there."""
    places = [folder / f"{arm}{seed}" for arm in ARMS for seed in SEEDS]
    return [place for place in places if (place / "done").exists()]


def judged(place: Path) -> Run:
    """As the command line judges it."""
    arm, seed = place.name[0], int(place.name[1:])
    looked, _ = observations(open_logbook(place / "observations.h5"))
    found = evidence(looked, Criteria())
    return Run(arm, seed, found, {one.domain: one for one in verdicts(found)})


def scrambled(cache: Path, run: Path, trial: int) -> xr.Dataset:
    """A run's logbook as it would be had every late checkpoint been scrambled: step 0 and its twins are its own."""
    start = open_logbook(run / "observations.h5").reset_coords(drop=True).sel(step=[0])
    found = []
    for step in LATE:
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
