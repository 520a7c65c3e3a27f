"""Finished models against their untrained twins; `python benchmarks/real_models.py` prints the table of the docs."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from subjects import Missing, Subject, battery, gemma3, smollm2

from observatory import Logbook, Observatory, emergence, open_logbook
from observatory.review.judge.verdict import Verdict

MODELS: dict[str, Callable[[], Subject]] = {"SmolLM2-135M": smollm2, "Gemma-3-270M": gemma3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=8, help="of each family")
    parser.add_argument("--twins", type=int, default=4)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | domain | E | readout | holds |")
    print("|---|---|---|---|---|")
    for name, subject in installed(MODELS):
        for verdict in judged(subject, chosen.items, chosen.twins):
            low, high = verdict.interval
            where = verdict.readout
            print(
                f"| {name} | {verdict.domain} | {verdict.index:.2f} ({low:.2f} to {high:.2f}) | {where} | "
                f"{verdict.holds_at_last} |"
            )


def installed(names: Iterable[str]) -> Iterator[tuple[str, Subject]]:
    """One after another, those that are there; of the others it is said why not."""
    for name in names:
        try:
            subject = MODELS[name]()
        except Missing as reason:
            print(f"{name} is left out: {reason}")
            continue
        yield name, subject


def recorded(observatory: Observatory, subject: Subject, path: Path) -> None:
    """One observation, and what each instrument took; step 1 stands for any at which it is trained."""
    with Logbook(path) as logbook:
        observation = observatory.observe(subject.model, step=1, last=True)
        logbook.record(observation)
    print({name: round(seconds) for name, seconds in observation.costs.items()}, flush=True)


def judged(subject: Subject, items: int, twins: int) -> tuple[Verdict, ...]:
    """What holds at one observation of it; step 1 stands for any at which it is trained."""
    observatory = Observatory(subject.tokenizer, battery=battery(items), twins=twins)
    with tempfile.TemporaryDirectory() as folder:
        with Logbook(Path(folder) / "observations.h5") as logbook:
            logbook.record(observatory.observe(subject.model, step=1))
        return emergence(open_logbook(logbook.path)).verdicts


if __name__ == "__main__":
    main()
