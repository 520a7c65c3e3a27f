"""What instruments add to the contrasts: `python benchmarks/instruments.py [--models ...] [--repeats N] [--items N]`.

Each is observed together with the contrast localizer, in turns with it alone, over the whole battery; those with a
schedule of their own are due at every turn here. It prints what each adds, in seconds and over a bare forward pass.
"""

from __future__ import annotations

import argparse
import os
import statistics

import torch
from contrast import bare, load, turn
from subjects import SUBJECTS, Subject, battery

from observatory import Observatory
from observatory.measure.instruments import ContrastLocalizer, find_instrument

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
"""Those of tasks have benchmarks/circuits.py; alignment depends on its file."""


def observatory(subject: Subject, items: int | None, *names: str) -> Observatory:
    """Without nulls and twins, whose cost other benchmarks measure."""
    instruments = [ContrastLocalizer(draws=0), *map(find_instrument, names)]
    return Observatory(subject.tokenizer, battery=battery(items), instruments=instruments, twins=0)


def cost(name: str, subject: Subject, items: int | None, repeats: int) -> None:
    watching = {added: observatory(subject, items, *([added] if added else [])) for added in ("", *INSTRUMENTS)}
    run = bare(subject, watching[""])
    for one in watching.values():
        one.provenance(subject.model)  # the tokens are encoded once a run
    walls: dict[str, list[float]] = {added: [] for added in (*watching, "pass")}
    cpus: dict[str, list[float]] = {added: [] for added in (*watching, "pass")}
    for repeat in range(repeats):
        order = list(walls)
        for added in order if repeat % 2 else reversed(order):
            taken = turn(run if added == "pass" else lambda one=watching[added]: one.observe(subject.model, 0))
            walls[added].append(taken.wall)
            cpus[added].append(taken.cpu)
    alone = statistics.median(cpus["pass"])
    print(f"{name}, {items or 'all'} items a family: a bare pass takes {alone:.2f} s of CPU time")
    for added in INSTRUMENTS:
        extra = [one - base for one, base in zip(cpus[added], cpus[""], strict=True)]
        wall = statistics.median(one - base for one, base in zip(walls[added], walls[""], strict=True))
        middle = statistics.median(extra)
        print(
            f"  {added:9} {middle:6.2f} s of CPU time ({min(extra):.2f} to {max(extra):.2f}), {middle / alone:5.2f} of "
            f"a pass; wall {wall:.2f} s",
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
    for name, subject in load(chosen.models).items():
        cost(name, subject, chosen.items, chosen.repeats)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
