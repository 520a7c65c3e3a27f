"""How verdicts are put into words, in tables and figures alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from observatory.review.judge.order import Order
from observatory.review.judge.verdict import NONE, UNKNOWN, Verdict

LOST, ABSENT = "lost again", "not emerged"


def standing(verdict: Verdict) -> str:
    """The level that lasts, or why there is none."""
    if verdict.level not in (NONE, UNKNOWN):
        return verdict.level
    if verdict.level == UNKNOWN:
        return UNKNOWN
    return LOST if any(verdict.episodes.values()) else ABSENT


def explained(verdicts: Sequence[Verdict], standings: Collection[str]) -> list[str]:
    """Why domains stand as they do, those with the same reason together."""
    alike: dict[str, list[str]] = {}
    for one in verdicts:
        if standing(one) in standings:
            alike.setdefault(f"{standing(one)}; {one.reason}", []).append(one.domain)
    return [f"{', '.join(domains)}: {why}" for why, domains in alike.items()]


def sequence(order: Order) -> str:
    """Domains from the first to the last, and those that never emerge."""
    groups = " < ".join(" = ".join(group) for group in order.groups)
    never = f"never: {', '.join(order.never)}" if order.never else ""
    return f"{groups} ({never})" if groups and never else groups or never
