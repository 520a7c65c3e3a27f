"""The circuits that a logbook holds, of one unit space, at the steps at which they were looked for."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.sharing.overlap import Coefficients, Tasks, coefficients

_NEEDED = ("shared", "gate_p", "format", "kind", "units", "hubs", "shared_halves", "units_by_layer")


@dataclass(frozen=True)
class Choice:
    """What a verdict is of: one space and one share of its units, said before looking."""

    space: str = "mlp"
    share: float = 0.01
    alpha: float = 0.05
    """The error of one step's verdict, and that of calling a task done that is not, over all tasks."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha is an error rate between 0 and 0.5; got {self.alpha}")


@dataclass(frozen=True)
class CircuitRecord:
    """Counts of units: what tasks share on the model and on its untrained twins."""

    tasks: Tasks
    steps: Array
    tokens: Array
    shares: Array
    gate_p: Array
    """(step, task): of a margin that ignores the prompt."""
    units: Array
    """(step): that a circuit could hold, so without hubs."""
    shared: Array
    """(step, share, task, task)"""
    halves: Array
    """(step, share, task): shared by the circuits of either half of a task's templates."""
    twins: Array
    """(twin, share, task, task)"""
    ranked: Array
    """(step, task, rank): the units with the largest scores."""
    domains: tuple[str, ...]
    layers: Array
    """(step, domain, layer): how many units of the domain's region lie there."""

    def done(self, alpha: float) -> Array:
        """(step, task): whether the model does the task, at this error over all of them, and it has a circuit."""
        return np.asarray((self.gate_p < alpha / self.gate_p.shape[-1]) & (self.sizes > 0).all(1))

    @property
    def sizes(self) -> Array:
        """(step, share, task): units of a circuit."""
        return np.diagonal(self.shared, axis1=-2, axis2=-1)

    def place(self, share: float) -> int:
        """Of a share among those recorded."""
        return int(np.flatnonzero(np.isclose(self.shares, share))[0])

    def overlaps(self, step: int, share: int, done: Array) -> tuple[Coefficients, Coefficients]:
        """Of all tasks, those not done missing: on the model, and on its twins, held to the same tasks."""
        found = []
        for counts in (self.shared[step, share], self.twins[:, share]):
            sizes = np.where(done, np.diagonal(counts, axis1=-2, axis2=-1), np.nan)
            found.append(coefficients(counts, sizes, np.full(sizes.shape[:-1], self.units[step])))
        return found[0], found[1]

    def ceiling(self, step: int, share: int, done: Array) -> Coefficients:
        """(task): how well the circuits of a task's two halves agree, which no two tasks can be asked to surpass."""
        size, half = np.where(done, self.sizes[step, share], np.nan), self.halves[step, share]
        pairs = coefficients(
            np.stack([np.stack([size, half], -1), np.stack([half, size], -1)], -1),
            np.stack([size, size], -1),
            np.full(size.shape, self.units[step]),
        )
        return Coefficients(*(value[..., 0, 1] for value in (pairs.overlap, pairs.jaccard, pairs.corrected)))


def no_circuits(logbook: xr.Dataset, choice: Choice | None = None) -> str | None:
    """Why nothing can be said of circuits, if so."""
    choice = choice or Choice()
    if "circuits_shared" not in logbook:
        return "no circuits were recorded; observe with the instrument circuits, as in instruments=[contrast, circuits]"
    spaces, shares = logbook["circuit_space"].values.tolist(), logbook["share"].values
    if choice.space not in spaces:
        return f"no circuits of {choice.space!r} units were recorded; there are {', '.join(spaces)}"
    if not np.isclose(shares, choice.share).any():
        return (
            f"no circuits of a share of {choice.share:g} were recorded; there are {', '.join(f'{s:g}' for s in shares)}"
        )
    absent = [name for name in (*_NEEDED, f"top_{choice.space}") if f"circuits_{name}" not in logbook]
    if absent:
        return f"circuits_{absent[0]} was not recorded; observe again"
    return None if _looked(logbook).any() else "circuits were looked for at no step"


def circuit_record(logbook: xr.Dataset, choice: Choice) -> CircuitRecord:
    """At the steps at which the instrument was due; ValueError where it never was."""
    if reason := no_circuits(logbook, choice):
        raise ValueError(f"nothing can be said of circuits: {reason}")
    seen = logbook.isel(step=_looked(logbook))
    here = seen.sel(circuit_space=choice.space)
    twins = (
        here["circuits_shared_twins"].isel(step=0).values.astype(float)
        if "circuits_shared_twins" in here
        else np.empty((0, *here["circuits_shared"].shape[1:]))
    )
    return CircuitRecord(
        tasks=_tasks(seen),
        steps=seen["step"].values,
        tokens=seen["tokens"].values,
        shares=seen["share"].values,
        gate_p=seen["circuits_gate_p"].values,
        units=(here["circuits_units"] - here["circuits_hubs"]).values.astype(float),
        shared=here["circuits_shared"].values.astype(float),
        halves=here["circuits_shared_halves"].values.astype(float),
        twins=twins,
        ranked=seen[f"circuits_top_{choice.space}"].values.astype(np.int64),
        domains=tuple(map(str, seen["domain"].values)),
        layers=here["circuits_units_by_layer"].values.astype(float),
    )


def looked(logbook: xr.Dataset) -> xr.Dataset:
    """The steps at which circuits were looked for: elsewhere their counts are missing."""
    return logbook.isel(step=_looked(logbook))


def _looked(logbook: xr.Dataset) -> Array:
    counts = logbook["circuits_shared"].transpose("step", ...).values
    return np.asarray(np.isfinite(counts).reshape(len(counts), -1).any(1))


def _tasks(seen: xr.Dataset) -> Tasks:
    """A task is labelled domain/name."""
    labels = [str(label) for label in seen["task"].values]
    known = sorted(map(str, seen["domain"].values), key=len, reverse=True)
    domains = [next(domain for domain in known if label.startswith(f"{domain}/")) for label in labels]
    names = [label.removeprefix(f"{domain}/") for label, domain in zip(labels, domains, strict=True)]
    return Tasks(names, domains, _texts(seen["circuits_format"]), _texts(seen["circuits_kind"]))


def _texts(numbers: xr.DataArray) -> list[str]:
    known = json.loads(numbers.attrs["labels"])
    return [known[int(number)] for number in numbers.isel(step=0).values]
