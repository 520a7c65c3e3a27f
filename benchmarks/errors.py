"""How often something is found where there is nothing: in untrained models and in scrambled ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from counted import Cell, Rate, Shares, Table
from ground_truth import late, scrambled
from measured import judge, logbook, of_seed, twins_of_others, verdicts

from observatory.observation import Array
from observatory.review.judge.evidence import LEVELS, READOUT, Criteria, evidence
from observatory.review.judge.verdict import Verdict

_TWINS = 16
_WIDE = 0.05
"""What a condition on its own is held to here."""


def untrained(folder: Path, seeds: int, criteria: Criteria) -> list[Table]:
    """Every seed by itself, two in a row as a run first seen trained, three in a row as a run from step 0."""
    parts = [of_seed(folder, seed) for seed in range(seeds)]
    twins = twins_of_others(folder)
    found = evidence(logbook(parts, twins, first=1), criteria)
    pairs = [verdicts(found.isel(step=[i, i + 1])) for i in range(0, seeds - 1, 2)]
    runs = [judge(parts[i : i + 3], _other_twins(parts, i), 0, criteria) for i in range(0, seeds - 2, 3)]
    columns = [_held_alone(found["holds"]), _emerged(pairs), _emerged(runs)]
    return [
        Table(
            "Untrained models: a level is reached",
            ["domain", "in one observation", "in two running, step 0 not seen", "in two running after step 0"],
            [[name, *(Rate(column[name], count, wrong=True) for column, count in columns)] for name in columns[0][0]],
            f"{seeds} seeds of the demo's model, each in one trial of a column. In the first two columns all are held "
            "against one set of 16 twins, in the third each run against twins of its own.",
        ),
        *_conditions(parts, found, criteria),
    ]


def _conditions(parts: Sequence[xr.Dataset], found: xr.Dataset, criteria: Criteria) -> Iterator[Table]:
    """Each on its own, and beside them the two that depend on what else is known."""
    names = [str(name) for name in found["condition"].values]
    anew = xr.concat(
        [
            evidence(logbook([parts[i - 1], parts[i]], _other_twins(parts, i - 1), first=0), criteria)["condition_p"]
            .isel(step=[1])
            .assign_coords(step=[i])
            for i in range(1, len(parts))
        ],
        "step",
        join="exact",
    )
    for title, p, note in (
        ("held against one set of twins, step 0 not seen", found["condition_p"], ""),
        (
            "held against other twins each time, step 0 seen",
            anew,
            "Another untrained seed stands for step 0, which only growth looks at.",
        ),
    ):
        rows: list[list[Cell]] = [[name, *_shares(p.sel(condition=name))] for name in names]
        yield Table(
            f"Untrained models: how often p is at most {_WIDE} by one condition alone, {title}",
            ["condition", *_readouts(p)],
            rows,
            f"The mean over domains, with the largest; of {p.sizes['step']} observations. {note}".strip(),
        )


def _shares(p: xr.DataArray) -> list[Shares]:
    rejected = (p <= _WIDE).sum("step").stack(readout=READOUT).transpose("readout", "domain")
    domains = [str(name) for name in p["domain"].values]
    return [Shares(dict(zip(domains, map(int, row), strict=True)), p.sizes["step"]) for row in rejected.values]


def _readouts(p: xr.DataArray) -> list[str]:
    return [f"{space}, {pooling}" for space in p["space"].values for pooling in p["pooling"].values]


def _other_twins(parts: Sequence[xr.Dataset], trial: int) -> xr.DataArray:
    """Of seeds that are not in the trial, which begins at that seed and has three at most."""
    others = [seed for seed in range(len(parts)) if not trial <= seed < trial + 3]
    chosen = np.random.default_rng(trial).choice(others, _TWINS, replace=False)
    twins: xr.DataArray = xr.concat([parts[seed]["contrast_index"] for seed in chosen], "twin", join="exact")
    return twins


def scrambles(folder: Path, runs: Sequence[Path], trials: int, criteria: Criteria) -> list[Table]:
    """Trained runs whose late checkpoints lost the places of their weights."""
    runs = [run for run in runs if len(late(run)) > 1]
    if not runs:
        raise ValueError("no finished training run has late checkpoints; make some with --parts train")
    chosen = [(runs[trial % len(runs)], trial) for trial in range(trials)]
    found = [evidence(scrambled(folder, run, trial), criteria) for run, trial in chosen]
    alone = _held_alone(xr.concat([one["holds"].isel(step=slice(1, None)) for one in found], "step", join="exact"))
    ever = _emerged([verdicts(one) for one in found])
    return [
        Table(
            "Scrambled weights: a level is reached",
            ["domain", "in one observation", "ever in a run"],
            [[name, *(Rate(column[name], count, wrong=True) for column, count in (alone, ever))] for name in ever[0]],
            f"{trials} runs of step 0 and the last {found[0].sizes['step'] - 1} checkpoints, each scrambled anew, from "
            f"{len(runs)} trainings.",
        )
    ]


Counted = tuple[dict[str, int], int]
"""How often, by domain and for any of them, and of how many."""


def _held_alone(holds: xr.DataArray) -> Counted:
    """At one observation, at any level."""
    return _counted(
        [str(name) for name in holds["domain"].values], holds.any("level").transpose("step", "domain").values
    )


def _emerged(trials: Sequence[tuple[Verdict, ...]]) -> Counted:
    """At any time, at any level."""
    held = np.array([[any(one.episodes[level] for level in LEVELS) for one in trial] for trial in trials])
    return _counted([one.domain for one in trials[0]], held)


def _counted(names: Sequence[str], held: Array) -> Counted:
    counts = dict(zip(names, map(int, held.sum(0)), strict=True))
    return {**counts, "any": int(held.any(1).sum())}, len(held)
