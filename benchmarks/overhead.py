"""What observing adds to a run: `python benchmarks/overhead.py [--models ...] [--tables run growth] [--device cuda]`.

A run of 10,000 steps of 65,536 tokens with the default schedule is worked out from what a step and an observation take,
measured in turns. A step is measured on fewer tokens and multiplied: it is the sum of micro-batches and one update.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from contrast import turn
from subjects import SUBJECTS, Subject, battery, pythia
from torch import nn

from observatory import Logbook, Observatory
from observatory.observation import Observation
from observatory.schedules import logarithmic
from observatory.stimuli.battery import Battery

STEPS, TOKENS = 10_000, 65_536
LENGTH = 512
GROWTH: dict[str, Sequence[tuple[str, tuple[int, int, int], int, int]]] = {
    "layers": [(f"{layers} layers", (128, 4, layers), 8, 4) for layers in (6, 12, 24)],
    "width": [(f"{width} wide", (width, 4, 6), 8, 4) for width in (128, 256, 512)],
    "stimuli": [(f"{items} items a family", (128, 4, 6), items, 4) for items in (6, 12, 24, 48)],
    "domains": [(f"{domains} domains", (128, 4, 6), 8, domains) for domains in (1, 2, 4)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["pythia-14m", "pythia-70m"], choices=SUBJECTS)
    parser.add_argument("--tables", nargs="+", default=["run", "growth"], choices=["run", "growth"])
    parser.add_argument("--micro", type=int, default=4, help="sequences of 512 tokens in a micro-batch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--items", type=int, help="of a family; all unless given")
    parser.add_argument("--twins", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if "run" in given.tables:
        print("| model | observation | recording it, of that | twins, once | step | observations | share of the run |")
        print("|---|---|---|---|---|---|---|")
        for name in given.models:
            print(run(name, SUBJECTS[name](), given), flush=True)
    if "growth" in given.tables:
        print("\n| | observation with nulls | over the first |\n|---|---|---|")
        for cases in GROWTH.values():
            print(growth(cases, given), flush=True)


def run(name: str, subject: Subject, given: argparse.Namespace) -> str:
    model = subject.model.to(given.device, getattr(torch, given.dtype)).train()
    observatory = Observatory(subject.tokenizer, battery=battery(given.items), twins=given.twins)
    first = observatory.observe(model, 0)
    step = training_step(model, given.micro, given.device)
    step()  # the optimizer makes its state
    observing, training, recording = [], [], []
    with tempfile.TemporaryDirectory() as folder, Logbook(Path(folder) / "observations.h5") as logbook:
        logbook.record(first)
        for number in range(given.repeats):
            made: list[Observation] = []

            def observe(at: int = 1 + number, to: list[Observation] = made) -> None:
                to.append(observatory.observe(model, at, previous=first))

            observing.append(waited(observe, given.device))
            training.append(waited(step, given.device))
            recording.append(turn(partial(logbook.record, *made)).wall)
    observation, micro, append = map(statistics.median, (observing, training, recording))
    whole = micro * TOKENS / (given.micro * LENGTH)
    due = logarithmic()
    count = sum(due(one) for one in range(STEPS)) + 1
    once = first.costs["twins"]
    share = (count * observation + once) / (STEPS * whole)
    return (
        f"| {name} | {observation:.2f} s | {append / observation:.2%} | {once:.0f} s | {whole:.2f} s | {count} | "
        f"{share:.3%} |"
    )


def training_step(model: nn.Module, micro: int, device: str) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    ids = torch.randint(0, 49_000, (micro, LENGTH), device=device)

    def step() -> None:
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def waited(do: Callable[[], object], device: str) -> float:
    """A GPU is asked to have finished."""

    def done() -> None:
        do()
        if device != "cpu":
            torch.cuda.synchronize()

    return turn(done).wall


def growth(cases: Sequence[tuple[str, tuple[int, int, int], int, int]], given: argparse.Namespace) -> str:
    lines, first = [], 0.0
    for name, (width, heads, layers), items, domains in cases:
        subject = pythia(width, heads, layers)
        observatory = Observatory(subject.tokenizer, battery=some(items, domains), twins=0)
        observatory.provenance(subject.model)  # the tokens are encoded once a run
        observe = partial(observatory.observe, subject.model, 0)
        taken = [turn(observe).cpu for _ in range(given.repeats)]
        middle = statistics.median(taken)
        first = first or middle
        lines.append(f"| {name} | {middle:.2f} s | {middle / first:.2f} |")
    return "\n".join(lines)


def some(items: int, domains: int) -> Battery:
    shown = battery(items)
    return Battery(f"{shown.name}, {domains} domains", shown.domains[:domains])


if __name__ == "__main__":
    main()
