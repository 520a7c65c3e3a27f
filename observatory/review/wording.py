"""How verdicts are put into words, in tables and figures alike."""

from __future__ import annotations

from observatory.review.order import Order
from observatory.review.verdict import NONE, UNKNOWN, Verdict


def standing(verdict: Verdict) -> str:
    """The level that lasts, or why there is none."""
    if verdict.level not in (NONE, UNKNOWN):
        return verdict.level
    if verdict.level == UNKNOWN:
        return UNKNOWN
    return "lost again" if any(verdict.episodes.values()) else "not emerged"


def sequence(order: Order) -> str:
    """Domains from the first to the last, and those that never emerge."""
    groups = " < ".join(" = ".join(group) for group in order.groups)
    never = f"never: {', '.join(order.never)}" if order.never else ""
    return f"{groups} ({never})" if groups and never else groups or never
