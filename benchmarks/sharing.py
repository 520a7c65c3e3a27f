"""How often sharing by domain or by format is told rightly: `python benchmarks/sharing.py [--trials N]`.

Of each task's circuit a unit comes from the pool of its domain, of its kind or of its format with the stated chances,
and else from anywhere. It prints the table of docs/circuits.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, fields
from itertools import product

import numpy as np

from observatory.observation import Array
from observatory.review.sharing.overlap import Coefficients, Tasks, coefficients
from observatory.review.sharing.sharing_verdict import sharing_verdict
from observatory.review.sharing.task_sharing import sharing

UNITS, SIZE, TWINS, ALPHA = 1024, 11, 8, 0.05
ROWS = list(product(range(4), range(2), range(3)))
"""The domain, the kind and the format of each task."""
TASKS = Tasks(
    names=[f"{d}/{k}_{f}" for d, k, f in ROWS],
    domains=[str(d) for d, _, _ in ROWS],
    formats=[str(f) for _, _, f in ROWS],
    kinds=[str(k) for _, k, _ in ROWS],
)
SAID = ("shared by domain", "shared by format", "not told apart", "can't say")


@dataclass(frozen=True)
class Plant:
    """What the units of a circuit come from."""

    domain: float = 0.0
    kind: float = 0.0
    format: float = 0.0
    format_in_twins: float = 0.0
    done: int = len(ROWS)
    """How many tasks the model does, at random."""

    def __str__(self) -> str:
        given = [f"{one.name.replace('_', ' ')} {value}" for one in fields(self) if (value := getattr(self, one.name))]
        return ", ".join(given)


PLANTS = (
    Plant(),
    Plant(done=14),
    Plant(kind=0.5),
    Plant(format=0.3, format_in_twins=0.3),
    Plant(domain=0.2),
    Plant(domain=0.3),
    Plant(domain=0.3, done=14),
    Plant(format=0.2),
    Plant(domain=0.2, format=0.4),
    Plant(domain=0.3, format=0.3),
    Plant(domain=0.4, format=0.2),
)


def said(plant: Plant, seed: int) -> str:
    """The verdict on one trial."""
    draw = np.random.default_rng(seed)
    own = overlaps(circuits(draw, plant.domain, plant.kind, plant.format))
    twins = overlaps(np.stack([circuits(draw, 0.0, 0.0, plant.format_in_twins) for _ in range(TWINS)]))
    done = np.zeros(len(ROWS), bool)
    done[draw.permutation(len(ROWS))[: plant.done]] = True
    return sharing_verdict(sharing(own, twins, TASKS, done), ALPHA).said


def circuits(draw: np.random.Generator, domain: float, kind: float, form: float) -> Array:
    """(task, unit)"""
    pools = draw.permutation(UNITS)
    found = np.zeros((len(ROWS), UNITS), int)
    for row, (d, k, f) in enumerate(ROWS):
        for place in range(SIZE):
            chance = draw.random()
            if chance < domain:
                unit = pools[d * SIZE + place]
            elif chance < domain + kind:
                unit = pools[100 + (2 * d + k) * SIZE + place]
            elif chance < domain + kind + form:
                unit = pools[400 + f * SIZE + place]
            else:
                unit = draw.integers(UNITS)
            found[row, unit] = 1
    return found


def overlaps(masks: Array) -> Coefficients:
    shared = masks @ masks.swapaxes(-1, -2)
    return coefficients(shared, np.diagonal(shared, axis1=-2, axis2=-1), np.full(shared.shape[:-2], UNITS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    trials = parser.parse_args().trials
    print(f"| planted, of {trials} trials each | {' | '.join(SAID)} |")
    print("|" + "---|" * (len(SAID) + 1))
    for plant in PLANTS:
        counts = Counter(said(plant, seed) for seed in range(trials))
        print(f"| {plant} | {' | '.join(str(counts[verdict]) for verdict in SAID)} |", flush=True)


if __name__ == "__main__":
    main()
