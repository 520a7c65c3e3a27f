"""Circuits and lesions of finished models: `python benchmarks/real_circuits.py --out FOLDER` makes the figures."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch
from real_models import MODELS, installed, recorded
from rich.console import Console
from subjects import Subject, battery

from observatory import Observatory, open_logbook
from observatory.measure.instruments import Circuits, Competence, ContrastLocalizer, Lesions
from observatory.review.figures.plot import plot
from observatory.review.sharing.circuits import circuits
from observatory.review.sharing.circuits_table import circuits_table
from observatory.stimuli.battery import Battery, Pair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder for logbooks and figures")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--pairs", type=int, default=8, help="of each task, in turn from its templates")
    parser.add_argument("--twins", type=int, default=4)
    parser.add_argument("--controls", type=int, default=4, help="random masks of either kind for each region")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, subject in installed(chosen.models):
        began = time.perf_counter()
        measured(subject, path := chosen.out / f"{name}.h5", chosen)
        print(f"\n{name}, {time.perf_counter() - began:.0f} s")
        logbook = open_logbook(path)
        Console().print(circuits_table(circuits(logbook)))
        print(*plot(logbook, chosen.out / name), sep="\n")


def measured(subject: Subject, path: Path, chosen: argparse.Namespace) -> None:
    instruments = (
        ContrastLocalizer(draws=0),
        Competence(texts=4),
        Circuits(),
        Lesions(controls=chosen.controls, pairs=4, texts=2),
    )
    observatory = Observatory(
        subject.tokenizer, battery=shown(chosen.pairs), instruments=instruments, twins=chosen.twins
    )
    recorded(observatory, subject, path)


def shown(pairs: int) -> Battery:
    """Few items of each family, and of each task one pair of every template before any second one."""
    whole = battery(4)
    domains = tuple(
        replace(domain, tasks=tuple(replace(task, pairs=in_turn(task.pairs)[:pairs]) for task in domain.tasks))
        for domain in whole.domains
    )
    return Battery(f"{whole.name}, {pairs} pairs a task", domains)


def in_turn(pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """One of each template, then the second of each."""
    seen: Counter[str] = Counter()
    places = []
    for pair in pairs:
        places.append(seen[pair.template])
        seen[pair.template] += 1
    return tuple(pair for _, pair in sorted(zip(places, pairs, strict=True), key=lambda one: one[0]))


if __name__ == "__main__":
    main()
