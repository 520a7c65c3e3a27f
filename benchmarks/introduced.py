"""Of runs whose data are known: what was found without the data for it, and how soon it was found with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from counted import Cell, Rate, Table
from ground_truth import Run

from observatory.review.judge.evidence import LEVELS
from observatory.train.mixture import Source

SOON = 2
"""Observations after a domain was introduced, within which it should be found."""


def introduced(runs: Sequence[Run]) -> list[Table]:
    """Errors, delays, and the domains that were there from the start."""
    return [_errors(runs), _delays(runs), _from_the_start(runs)]


Cases = dict[str, list[tuple[Run, str]]]
"""What is known of a domain in some runs, and those runs with the domain's name."""


def _cases(runs: Sequence[Run], told: Callable[[Source | None], str]) -> Cases:
    cases: Cases = defaultdict(list)
    for run in runs:
        for name in run.verdicts:
            if what := told(run.sources.get(name)):
                cases[f"{name}, {what} ({run.steps[-1]} steps)"].append((run, name))
    return dict(sorted(cases.items()))


def _errors(runs: Sequence[Run]) -> Table:
    def told(source: Source | None) -> str:
        if source is None:
            return "never in the data"
        if source.shuffled:
            return "shuffled throughout"
        return f"until it is introduced at step {source.start}" if source.start else ""

    cases = _cases(runs, told)
    for name in dict.fromkeys(name for own in cases.values() for _, name in own):
        cases[f"{name}, all of these"] = [one for own in cases.values() for one in own if one[1] == name]
    rows: list[list[Cell]] = []
    for what, own in cases.items():
        emerged = [[_first(run, name, level) <= _without_data(run, name) for level in LEVELS] for run, name in own]
        seen = [step for run, name in own for step in run.steps if step <= _without_data(run, name)]
        held = sum(len(_held(run, name)) for run, name in own)
        by_level = [Rate(sum(of_level), len(own), wrong=True) for of_level in zip(*emerged, strict=True)]
        rows.append([what, *by_level, Rate(held, len(seen), wrong=True)])
    return Table(
        "Runs with known data: a level is reached without the data for it",
        ["domain", *LEVELS, "any level in one observation"],
        rows,
        "The observations of one run depend on each other, so the interval of the last column is too narrow.",
    )


def _delays(runs: Sequence[Run]) -> Table:
    cases = _cases(runs, lambda source: f"introduced at step {source.start}" if source and source.start else "")
    rows: list[list[Cell]] = []
    for what, own in cases.items():
        for level in LEVELS:
            delays = [_delay(run, name, level) for run, name in own]
            soon = sum(delay is not None and delay <= SOON for delay in delays)
            listed = ", ".join("never" if delay is None else str(delay) for delay in delays)
            rows.append([what, level, Rate(soon, len(own)), listed])
    return Table(
        f"Runs with known data: found within {SOON} observations of being introduced",
        ["domain", "level", f"within {SOON}", "observations, by run"],
        rows,
        "Counted to the first of two observations running at which it holds; the one at the step of the introduction "
        "has seen nothing yet.",
    )


def _from_the_start(runs: Sequence[Run]) -> Table:
    long = [run for run in runs if run.steps[-1] == max(run.steps[-1] for run in runs)]
    cases = _cases(long, lambda source: "from the start" if source and not (source.start or source.shuffled) else "")
    rows: list[list[Cell]] = []
    for what, own in cases.items():
        for level in LEVELS:
            episodes = [run.verdicts[name].episodes[level] for run, name in own]
            at_the_end = sum(bool(found) and found[-1].lost_by is None for found in episodes)
            first = ", ".join(f"({found[0].after}, {found[0].by}]" if found else "never" for found in episodes)
            rows.append([what, level, Rate(at_the_end, len(own)), first])
    return Table(
        "Runs with known data: domains that are there from the start",
        ["domain", "level", "at the end", "emerged between steps, by run"],
        rows,
        "Short runs are left out: in 121 steps hardly anything can be learned.",
    )


def _without_data(run: Run, name: str) -> int:
    """The last step at which the model has seen nothing of the domain in order."""
    source = run.sources.get(name)
    return run.steps[-1] if source is None or source.shuffled else source.start


def _first(run: Run, name: str, level: str) -> float:
    """The step by which it first emerged."""
    return next((episode.by for episode in run.verdicts[name].episodes[level]), float("inf"))


def _held(run: Run, name: str) -> list[int]:
    held = run.evidence["holds"].sel(domain=name).any("level").values
    return [step for step, here in zip(run.steps, held, strict=True) if here and step <= _without_data(run, name)]


def _delay(run: Run, name: str, level: str) -> int | None:
    introduced = _without_data(run, name)
    after = [step for step in run.steps if step > introduced]
    found = [episode.by for episode in run.verdicts[name].episodes[level] if episode.by > introduced]
    return after.index(found[0]) + 1 if found else None
