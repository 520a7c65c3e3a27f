"""What the nulls cost: `python benchmarks/nulls.py [--models ...] [--repeats N] [--items N]`.

Permutations and resamples, as many as an observation makes unless told, over a bare forward pass; all in one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import process_time
from typing import Any

import torch
from contrast import bare, peak, turn, without_chance
from subjects import SUBJECTS, Subject, battery

from observatory.measure.gathering import Gathering

PARTS = {
    "_choose": "permuting",
    "permuted_effects": "effects of it",
    "_keep": "keeping",
    "resampled_effects": "resampling",
}


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Adds up the CPU time of each part."""
    plain: dict[str, Callable[..., Any]] = {name: getattr(Gathering, name) for name in PARTS}

    def watched(name: str) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            began = process_time()
            try:
                return plain[name](*given)
            finally:
                spent[name] = spent.get(name, 0.0) + process_time() - began

        return run

    for name in PARTS:
        setattr(Gathering, name, watched(name))
    try:
        yield
    finally:
        for name, method in plain.items():
            setattr(Gathering, name, method)


def cost(name: str, subject: Subject, items: int | None, repeats: int) -> None:
    shown = battery(items)
    without, with_ = (without_chance(subject, shown, draws) for draws in (0, None))
    run = bare(subject, without)
    for observatory in (without, with_):
        observatory.provenance(subject.model)  # the tokens are encoded once a run
    wall, cpu, spent = [], [], dict[str, float]()
    for _ in range(repeats):
        alone, plain = turn(run), turn(lambda: without.observe(subject.model, 0))
        with timed(spent):
            full = turn(lambda: with_.observe(subject.model, 0))
        wall.append((full.wall - plain.wall) / alone.wall)
        cpu.append((full.cpu - plain.cpu) / alone.cpu)
    parts = ", ".join(f"{what} {spent[part] / repeats:.2f} s" for part, what in PARTS.items())
    print(
        f"{name:13} {items or 'all':>3} items {statistics.median(cpu):6.2f} of a pass in CPU time ({min(cpu):.2f} to "
        f"{max(cpu):.2f}; wall {statistics.median(wall):.2f}); pass {alone.cpu:.2f} s; {parts}",
        flush=True,
    )


def memory(name: str, items: int | None) -> None:
    plain, full = peak(name, "observe", items), peak(name, "nulls", items)
    print(
        f"{name:13} {items or 'all':>3} items {plain:7.0f} MiB {full:7.0f} MiB  + {full - plain:5.0f} MiB", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["pythia-14m", "pythia-70m"], help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each comparison")
    parser.add_argument("--items", type=int, help="items a family, if not all")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f}; an observation with its nulls less one without, over a bare pass")
    for name in chosen.models:
        cost(name, SUBJECTS[name](), chosen.items, chosen.repeats)
    print("\nPeak memory of a process: an observation without nulls, and with them")
    for name in chosen.models:
        memory(name, chosen.items)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
