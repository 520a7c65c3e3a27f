"""What replaying costs: `python benchmarks/replay.py [--tables ...] [--checkpoints N] [--items N]`.

A suite of checkpoints of one of the subjects is written to a temporary folder, each of other weights: copies would not
be measured. 154 of the 14M shape take 9 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from contrast import compare
from localization import localize
from subjects import SUBJECTS, battery
from transformers import AutoModelForCausalLM

from observatory.measure.anatomy import Anatomy, anatomy
from observatory.measure.instruments import ContrastLocalizer
from observatory.measure.scene import contrasts, texts
from observatory.replay.checkpoints import find_checkpoints
from observatory.replay.engine import replay
from observatory.replay.model import Replayed
from observatory.stimuli.battery import Battery
from observatory.stimuli.tokens import encode

TABLES = ("forward", "swap", "workers", "memory", "localization")
SWAPPED = 8


def suite(folder: Path, shape: str, count: int) -> Path:
    """Folders step0, step1000 ... with weights that differ, and a tokenizer."""
    subject = SUBJECTS[shape]()
    for number in range(count):
        path = folder / f"step{1000 * number}"
        with torch.no_grad():
            for parameter in subject.model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        subject.model.save_pretrained(path)
        subject.tokenizer.save_pretrained(path)
    return folder


@contextmanager
def forward_time() -> Iterator[list[float]]:
    """The seconds that go into forward passes, with what hooks read of them."""
    taken, run = [0.0], Anatomy.run

    def timed(self: Anatomy, ids: torch.Tensor) -> None:
        began = time.perf_counter()
        try:
            run(self, ids)
        finally:
            taken[0] += time.perf_counter() - began

    Anatomy.run = timed  # type: ignore[method-assign]
    try:
        yield taken
    finally:
        Anatomy.run = run  # type: ignore[method-assign]


def forward(folder: Path, shown: Battery, shape: str) -> None:
    for name, draws in (("with nulls", None), ("without", 0)):
        began = time.perf_counter()
        with forward_time() as taken:
            replay(
                folder,
                folder / f"{name}.h5",
                battery=shown,
                instruments=[ContrastLocalizer(draws=draws)],
                twins=0,
                device="cpu",
            )
        wall = time.perf_counter() - began
        count = len(find_checkpoints(folder))
        share = f"{taken[0] / wall:.0%} of {wall:.1f} s in forward passes"
        print(f"{shape} {name:10}  {share}, {60 * count / wall:.1f} checkpoints a minute")


def swap(folder: Path, shape: str) -> None:
    """In place, over building anew."""
    checkpoints = find_checkpoints(folder)[:SWAPPED]
    replayed = Replayed()
    for one in checkpoints:
        replayed.at(one, one.place)

    def swapped() -> None:
        for one in checkpoints:
            replayed.at(one, one.place)

    def built() -> None:
        for one in checkpoints:
            AutoModelForCausalLM.from_pretrained(one.place, dtype=torch.float32)

    print(f"{shape} from_pretrained / swap, {len(checkpoints)} checkpoints: {compare(built, swapped, 3)}")


def workers(folder: Path, shown: Battery, shape: str) -> None:
    for count in (1, 2):
        began = time.perf_counter()
        replay(folder, folder / f"workers{count}.h5", battery=shown, twins=0, workers=count)
        print(f"{shape} {count} worker(s): {time.perf_counter() - began:.1f} s with starting them")


def memory(folder: Path, shape: str, items: int) -> None:
    """Each in a process of its own: all checkpoints, and the first one alone."""
    peaks = []
    for steps in ("all", "at 0"):
        code = (
            f"import sys; sys.path[:0] = {sys.path!r}; import replay as r, json, resource; from pathlib import Path;"
            f"r.replay({str(folder)!r}, Path({str(folder)!r}) / ('memory ' + {steps!r} + '.h5'), steps={steps!r}, "
            f"battery=r.battery({items}), twins=0);"
            f"print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append(json.loads(done.stdout.splitlines()[-1]) / 1024)
    print(f"{shape} peak memory: {peaks[0]:.0f} MiB for all, {peaks[1]:.0f} MiB for one")


def against_localization(folder: Path, shown: Battery, shape: str) -> None:
    """Its procedure for every checkpoint and family, with the model built anew for each checkpoint."""
    checkpoints = find_checkpoints(folder)[:3]
    tokenizer = SUBJECTS[shape]().tokenizer

    def theirs() -> None:
        for one in checkpoints:
            model = AutoModelForCausalLM.from_pretrained(one.place, dtype=torch.float32)
            found = anatomy(model)
            tokens = encode(tokenizer, texts(shown), found.context)
            blocks = [site.module for site in found.sites["residual"]]
            for each in contrasts(shown):
                localize(model, blocks, tokens[each.targets], tokens[each.controls], 8)

    def ours() -> None:
        out = folder / "localization.h5"
        for file in folder.glob("localization.h5*"):
            file.unlink()
        replay(folder, out, steps="at 0 1000 2000", battery=shown, twins=0)

    print(f"{shape} llm-localization once a checkpoint / replay, 3 checkpoints: {compare(theirs, ours, 2)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["pythia-14m"], choices=SUBJECTS)
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--checkpoints", type=int, default=154)
    parser.add_argument("--items", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{given.checkpoints} checkpoints, {given.items} items a family, load {os.getloadavg()[0]:.1f}")
    shown = battery(given.items)
    for shape in given.shapes:
        with tempfile.TemporaryDirectory() as name:
            folder = suite(Path(name), shape, given.checkpoints)
            if "forward" in given.tables:
                forward(folder, shown, shape)
            if "swap" in given.tables:
                swap(folder, shape)
            if "workers" in given.tables:
                workers(folder, shown, shape)
            if "memory" in given.tables:
                memory(folder, shape, given.items)
            if "localization" in given.tables:
                against_localization(folder, battery(min(given.items, 4)), shape)


if __name__ == "__main__":
    main()
