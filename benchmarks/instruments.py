"""What instruments add to the contrasts: `python benchmarks/instruments.py [--models ...] [--repeats N] [--items N]`.

Each is observed together with the contrast localizer, in turns with it alone, over the whole battery; those with a
schedule of their own are due at every turn here. Alignment has a file of simulated responses to 500 texts. It prints
what each adds, in seconds and over a bare forward pass.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from contrast import bare, load, turn
from simulated import simulate
from subjects import SUBJECTS, Subject, battery

from observatory import Instrument, Observatory
from observatory.measure.anatomy import anatomy
from observatory.measure.instruments import ContrastLocalizer, find_instrument
from observatory.measure.instruments.alignment import Alignment

INSTRUMENTS = (
    "massive",
    "sparsity",
    "rank",
    "weights",
    "pruning",
    "attention",
    "induction",
    "depth",
    "modules",
    "hidden",
)
"""Those that need nothing but their names; those of tasks have benchmarks/circuits.py."""
TEXTS = 500
"""Of the file that alignment is given, beside those of the battery."""


def observatory(subject: Subject, items: int | None, *added: Instrument) -> Observatory:
    """Without nulls and twins, whose cost other benchmarks measure."""
    instruments = [ContrastLocalizer(draws=0), *added]
    return Observatory(subject.tokenizer, battery=battery(items), instruments=instruments, twins=0)


def cost(name: str, subject: Subject, items: int | None, repeats: int, responses: Path) -> None:
    """The file is written here; its responses are made of the model's middle layer."""
    simulate(subject, anatomy(subject.model).layers // 2, TEXTS, responses)
    added = {**{one: find_instrument(one) for one in INSTRUMENTS}, "alignment": Alignment(responses)}
    watching = {"": observatory(subject, items), **{one: observatory(subject, items, added[one]) for one in added}}
    run = bare(subject, watching[""])
    for watched in watching.values():
        watched.provenance(subject.model)  # the tokens are encoded once a run
    sides: dict[str, Callable[[], object]] = {
        "pass": run,
        **{one: partial(watched.observe, subject.model, 0) for one, watched in watching.items()},
    }
    walls: dict[str, list[float]] = {one: [] for one in sides}
    cpus: dict[str, list[float]] = {one: [] for one in sides}
    for repeat in range(repeats):
        for one in sides if repeat % 2 else reversed(sides):
            taken = turn(sides[one])
            walls[one].append(taken.wall)
            cpus[one].append(taken.cpu)
    alone = statistics.median(cpus["pass"])
    print(f"{name}, {items or 'all'} items a family: a bare pass takes {alone:.2f} s of CPU time")
    for instrument in added:
        extra = [one - base for one, base in zip(cpus[instrument], cpus[""], strict=True)]
        wall = statistics.median(one - base for one, base in zip(walls[instrument], walls[""], strict=True))
        middle = statistics.median(extra)
        print(
            f"  {instrument:9} {middle:6.2f} s of CPU time ({min(extra):.2f} to {max(extra):.2f}), "
            f"{middle / alone:5.2f} of a pass; wall {wall:.2f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["pythia-14m"], help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each")
    parser.add_argument("--items", type=int, help="items a family, if not all")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f}; torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        for name, subject in load(chosen.models).items():
            cost(name, subject, chosen.items, chosen.repeats, Path(folder) / f"{name}.npz")
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
