"""Verdicts as a table for the terminal."""

from __future__ import annotations

from math import isfinite

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from observatory.review.judge.emergence import Emergence, Onset
from observatory.review.judge.evidence import LEVELS
from observatory.review.judge.rise import Sigmoid
from observatory.review.judge.verdict import NONE, UNKNOWN, Episode, Verdict
from observatory.review.judge.wording import ABSENT, LOST, sequence, standing

_MOST_ORDERS = 3
_STYLES = {UNKNOWN: "yellow", ABSENT: "red", LOST: "red"}


def verdict_table(judged: Emergence) -> Group:
    """One row a domain; below it what each lacks, the order of emergence, and what to know before believing it."""
    span = f"step {judged.steps[0]} to {judged.steps[-1]}" if judged.steps else "no observations"
    table = Table(
        title=f"Emergence, {span} ({len(judged.steps)} observations)",
        caption="In steps. E is Hedges' g on families not used to choose the region, with its 95% interval over "
        f"stimuli; alpha {judged.criteria.alpha:g} over all domains, delta {judged.criteria.delta:g}.",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for heading in ("domain", "verdict", "emerged in", "E passes its floor", "E at the end"):
        table.add_column(heading, no_wrap=heading != "domain", overflow="fold")
    for verdict in judged.verdicts:
        table.add_row(
            Text(verdict.domain),  # a string is read as markup
            Text(standing(verdict), style=_STYLES.get(standing(verdict), "green")),
            _emerged(verdict),
            Text(_crossing(judged.onsets.get(verdict.domain))),
            Text(_strength(verdict)),
        )
    lines = [line for verdict in judged.verdicts for line in _about(verdict, judged.onsets.get(verdict.domain))]
    lines += [f"P({sequence(order)}) = {order.probability:.2f}" for order in judged.orders[:_MOST_ORDERS]]
    lines += [f"note: {note}" for note in judged.notes]
    return Group(table, *(Text(line) for line in lines))


def _about(verdict: Verdict, onset: Onset | None) -> list[str]:
    """What does not fit into a row."""
    said = [f"E is that of {verdict.readout}"] if verdict.readout else []
    episodes = verdict.episodes[LEVELS[0]]
    if len(episodes) > 1 or any(episode.lost_by is not None for episode in episodes):
        said.append(f"selective in {'; '.join(map(_episode, episodes))}")
    if verdict.level not in (UNKNOWN, NONE, verdict.holds_at_last):
        now = "no level holds" if verdict.holds_at_last == NONE else f"only {verdict.holds_at_last}"
        said.append(f"{now} at the last observation")
    if onset is not None and onset.crossing_interval.share_never:
        said.append(f"E passes its floor never in {onset.crossing_interval.share_never:.1%} of resamples")
    if verdict.reason:
        said.append(verdict.reason)
    if onset is not None:
        said.append(_rise(onset))
    return [f"{verdict.domain}: {'; '.join(said)}"] if said else []


def _emerged(verdict: Verdict) -> str:
    """The first time; whether it lasted stands below."""
    episodes = verdict.episodes[LEVELS[0]]
    if not episodes:
        return "-"
    return f"start-{episodes[0].by}" if episodes[0].after is None else f"{episodes[0].after}-{episodes[0].by}"


def _episode(episode: Episode) -> str:
    appeared = f"there from the start (step {episode.by})" if episode.after is None else f"{episode.after}-{episode.by}"
    return appeared if episode.lost_by is None else f"{appeared}, lost in {episode.lost_after}-{episode.lost_by}"


def _crossing(onset: Onset | None) -> str:
    if onset is None:
        return "-"
    low, high, _ = onset.crossing_interval
    return f"{_step(onset.crossing)} [{_step(low)}, {_step(high)}]"


def _rise(onset: Onset) -> str:
    shape = onset.rise.shape
    low, high, _ = onset.midpoint_interval
    if isinstance(shape, Sigmoid):
        return f"rises as a sigmoid with its middle at step {_step(shape.midpoint)} [{_step(low)}, {_step(high)}]"
    if shape is None:
        return f"no single rise can be fitted: {onset.rise.reason}"
    first, last = shape.between
    return f"changes between step {first:.0f} and {last:.0f}, and no sigmoid fits: {onset.rise.reason}"


def _strength(verdict: Verdict) -> str:
    if not isfinite(verdict.index):
        return "-"
    low, high = verdict.interval
    return f"{verdict.index:.2f} [{low:.2f}, {high:.2f}]"


def _step(step: float) -> str:
    if not isfinite(step):
        return "never"
    return f"{step / 1000:.3g}K" if step >= 10_000 else f"{step:.3g}" if step < 1000 else f"{step:.0f}"
