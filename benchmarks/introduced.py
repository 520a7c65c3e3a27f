"""Of runs into which domains were introduced: what was found before, and how soon after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from counted import Cell, Rate, Table
from ground_truth import ARMS, INTRODUCED, Run

from observatory.review.evidence import LEVELS

SOON = 2
"""Observations after a domain was introduced, within which it should be found."""
_EVER = 10**9


def introduced(runs: Sequence[Run]) -> list[Table]:
    """Errors, delays, and the domains that were there from the start."""
    return [_errors(runs), _delays(runs), _from_the_start(runs)]


def _cases(runs: Sequence[Run], start: int) -> Iterator[tuple[str, str, list[Run]]]:
    """The arms and domains in whose data the domain appears, unshuffled, at that step."""
    for arm, mixture in ARMS.items():
        for name, source in mixture.domains.items():
            if source.start == start and not source.shuffled:
                yield arm, name, [run for run in runs if run.arm == arm]


def _errors(runs: Sequence[Run]) -> Table:
    cases = [
        (f"{name}, until it is introduced (arm {arm})", name, own, INTRODUCED)
        for arm, name, own in _cases(runs, INTRODUCED)
    ]
    without = [run for run in runs if run.arm == "A"]
    cases += [
        ("physical, which never occurs (arm A)", "physical", without, _EVER),
        ("language, shuffled throughout (arm A)", "language", without, _EVER),
    ]
    rows: list[list[Cell]] = []
    for what, name, own, upto in cases:
        emerged = [[_first(run, name, level) <= upto for level in LEVELS] for run in own]
        rows.append(
            [
                what,
                *(Rate(sum(of_level), len(own), wrong=True) for of_level in zip(*emerged, strict=True)),
                Rate(
                    sum(len(_held(run, name, upto)) for run in own),
                    sum(step <= upto for run in own for step in run.steps),
                    wrong=True,
                ),
            ]
        )
    return Table(
        "Runs with ground truth: a level is reached without the data for it",
        ["domain", *LEVELS, "any level in one observation"],
        rows,
        "The observations of one run depend on each other, so the interval of the last column is too narrow.",
    )


def _delays(runs: Sequence[Run]) -> Table:
    rows: list[list[Cell]] = []
    for arm, name, own in _cases(runs, INTRODUCED):
        for level in LEVELS:
            delays = [_delay(run, name, level) for run in own]
            soon = sum(delay is not None and delay <= SOON for delay in delays)
            told = ", ".join("never" if delay is None else str(delay) for delay in delays)
            rows.append([f"{name} (arm {arm})", level, Rate(soon, len(own)), told])
    return Table(
        f"Runs with ground truth: emerged within {SOON} observations of step {INTRODUCED}",
        ["domain", "level", f"within {SOON}", "observations, by seed"],
        rows,
        f"The first of two observations running at which it holds; the one at step {INTRODUCED} has seen nothing yet.",
    )


def _from_the_start(runs: Sequence[Run]) -> Table:
    rows: list[list[Cell]] = []
    for arm, name, own in _cases(runs, 0):
        for level in LEVELS:
            lasting = [run.verdicts[name].episodes[level] for run in own]
            at_the_end = sum(bool(episodes) and episodes[-1].lost_by is None for episodes in lasting)
            first = ", ".join(f"({found[0].after}, {found[0].by}]" if found else "never" for found in lasting)
            rows.append([f"{name} (arm {arm})", level, Rate(at_the_end, len(own)), first])
    return Table(
        "Runs with ground truth: domains that are there from the start",
        ["domain", "level", "at the end", "emerged between steps, by seed"],
        rows,
    )


def _first(run: Run, name: str, level: str) -> int:
    """The step by which it first emerged."""
    return next((episode.by for episode in run.verdicts[name].episodes[level]), _EVER + 1)


def _held(run: Run, name: str, upto: int) -> list[int]:
    held = run.evidence["holds"].sel(domain=name).any("level").values
    return [step for step, here in zip(run.steps, held, strict=True) if here and step <= upto]


def _delay(run: Run, name: str, level: str) -> int | None:
    after = [step for step in run.steps if step > INTRODUCED]
    found = [episode.by for episode in run.verdicts[name].episodes[level] if episode.by > INTRODUCED]
    return after.index(found[0]) + 1 if found else None
