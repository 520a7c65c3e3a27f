"""Every instrument on a finished model: `python benchmarks/real_instruments.py --out FOLDER` prints what each says.

Beside the contrasts, few items a family; `hidden` on the tasks in raw sentences, of which a model that follows no
instructions is capable; `alignment` with responses made of one of the model's own layers (benchmarks/simulated.py).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from instruments import INSTRUMENTS
from quoted import told
from real_models import MODELS, installed, recorded
from rich.console import Console
from simulated import simulate
from subjects import Subject, battery

from observatory import Instrument, Observatory, open_logbook
from observatory.measure.instruments import ContrastLocalizer, find_instrument
from observatory.measure.instruments.alignment import Alignment
from observatory.stimuli.battery import Battery

ALIGNMENT = "alignment"
FORMAT = "completion"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder for logbooks and simulated responses")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--of", nargs="+", default=[*INSTRUMENTS, ALIGNMENT], choices=[*INSTRUMENTS, ALIGNMENT])
    parser.add_argument("--items", type=int, default=4, help="of each family")
    parser.add_argument("--twins", type=int, default=0)
    parser.add_argument("--texts", type=int, default=200, help="of the simulated responses")
    parser.add_argument("--layer", type=int, default=14, help="of which the responses are made")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, subject in installed(chosen.models):
        began = time.perf_counter()
        measured(subject, path := chosen.out / f"{name}.h5", chosen)
        print(f"\n{name}, {time.perf_counter() - began:.0f} s")
        Console().print(told(open_logbook(path), [1], [f"{one}_" for one in chosen.of]))


def measured(subject: Subject, path: Path, chosen: argparse.Namespace) -> None:
    asked: list[Instrument] = [find_instrument(name) for name in chosen.of if name != ALIGNMENT]
    if ALIGNMENT in chosen.of:
        responses = path.with_suffix(".npz")
        simulate(subject, chosen.layer, chosen.texts, responses)
        asked.append(Alignment({"simulated": responses}))
    observatory = Observatory(
        subject.tokenizer,
        battery=raw(battery(chosen.items)),
        instruments=[ContrastLocalizer(draws=0), *asked],
        twins=chosen.twins,
    )
    recorded(observatory, subject, path)


def raw(shown: Battery) -> Battery:
    """With the tasks in raw sentences alone."""
    domains = tuple(
        replace(domain, tasks=tuple(task for task in domain.tasks if task.format == FORMAT)) for domain in shown.domains
    )
    return Battery(f"{shown.name}, tasks in raw sentences", domains)


if __name__ == "__main__":
    main()
