"""Verdicts as a table for the terminal."""

from __future__ import annotations

from math import isfinite

from rich.console import Group
from rich.table import Table
from rich.text import Text

from observatory.review.emergence import Emergence, Onset
from observatory.review.onset import Sigmoid
from observatory.review.order import Order
from observatory.review.verdict import NONE, UNKNOWN, Episode, Verdict

_MOST_ORDERS = 3


def verdict_table(judged: Emergence) -> Group:
    """One row a domain; below it what each lacks, the order of emergence, and what to know before believing it."""
    span = f"step {judged.steps[0]} to {judged.steps[-1]}" if judged.steps else "no observations"
    table = Table(
        title=f"Emergence, {span} ({len(judged.steps)} observations)",
        caption=f"alpha {judged.criteria.alpha:g} over all domains, delta {judged.criteria.delta:g}; "
        "E is Hedges' g on families not used to choose the region, with its 95% interval over stimuli.",
    )
    for heading in ("domain", "verdict", "emerged in (steps]", "E passes its floor at step", "E at the end", "readout"):
        table.add_column(heading)
    for verdict in judged.verdicts:
        table.add_row(
            verdict.domain,
            _level(verdict),
            _episodes(verdict),
            _crossing(judged.onsets.get(verdict.domain)),
            _strength(verdict),
            str(verdict.readout or "-"),
        )
    lines = [f"{verdict.domain}: {verdict.reason}" for verdict in judged.verdicts if verdict.reason]
    lines += [_rise(domain, onset) for domain, onset in judged.onsets.items()]
    lines += [f"order: {_order(order)}, probability {order.probability:.2f}" for order in judged.orders[:_MOST_ORDERS]]
    lines += [f"note: {note}" for note in judged.notes]
    return Group(table, *(Text(line) for line in lines))


def _level(verdict: Verdict) -> Text:
    if verdict.level == UNKNOWN:
        return Text(UNKNOWN, style="yellow")
    if verdict.level != NONE:
        now = "" if verdict.holds_at_last == verdict.level else f" ({verdict.holds_at_last} at the last observation)"
        return Text(verdict.level + now, style="green")
    return Text("lost again" if any(verdict.episodes.values()) else "not emerged", style="red")


def _episodes(verdict: Verdict) -> str:
    return "; ".join(map(_episode, verdict.episodes["selective"])) or "-"


def _episode(episode: Episode) -> str:
    appeared = f"there from the start (step {episode.by})" if episode.after is None else f"{episode.after}-{episode.by}"
    return appeared if episode.lost_by is None else f"{appeared}, lost in {episode.lost_after}-{episode.lost_by}"


def _crossing(onset: Onset | None) -> str:
    if onset is None:
        return "-"
    low, high, never = onset.crossing_interval
    share = f", never in {never:.0%}" if never else ""
    return f"{_step(onset.crossing)} [{_step(low)}, {_step(high)}]{share}"


def _rise(domain: str, onset: Onset) -> str:
    shape = onset.rise.shape
    low, high, _ = onset.midpoint_interval
    if isinstance(shape, Sigmoid):
        return f"{domain}: rises as a sigmoid with its middle at step {_step(shape.midpoint)} [{_step(low)}, {_step(high)}]"
    if shape is None:
        return f"{domain}: no single rise can be fitted; {onset.rise.reason}"
    first, last = shape.between
    return f"{domain}: changes between step {_step(first)} and {_step(last)}; no sigmoid: {onset.rise.reason}"


def _order(order: Order) -> str:
    groups = [" = ".join(group) for group in order.groups]
    return " < ".join(groups) + (f" (never: {', '.join(order.never)})" if order.never else "")


def _strength(verdict: Verdict) -> str:
    if not isfinite(verdict.index):
        return "-"
    low, high = verdict.interval
    return f"{verdict.index:+.2f} [{low:+.2f}, {high:+.2f}]"


def _step(step: float) -> str:
    return f"{step:.3g}" if step < 100 else f"{step:.0f}" if isfinite(step) else "never"
