"""A lead or a lag in words."""

from __future__ import annotations

from observatory.review.effects.lead import Estimate, Lead


def lead_text(found: Lead) -> str:
    """One line an estimate; factors are of 1 + step, since time is taken on its logarithm."""
    lines = []
    for meaning, estimate in (("half of the way", found.halfway), ("best shift", found.shift)):
        if estimate is not None:
            lines.append(f"{meaning}: {_told(found, estimate)}")
    if found.reason:
        lines.append(f"can't say more: {found.reason}" if lines else f"can't say: {found.reason}")
    return "\n".join(lines)


def _told(found: Lead, estimate: Estimate) -> str:
    names = (found.first, found.second)
    first, second = (f"{name} (falling)" if falls else name for name, falls in zip(names, found.falling, strict=True))
    if estimate.ratio_interval is None:
        return f"{second} at {estimate.ratio:.2f} times the steps of {first} (no interval)"
    low, high = estimate.ratio_interval
    told = f"{second} at {estimate.ratio:.2f} [{low:.2f}, {high:.2f}] times the steps of {first}"
    verdict = (
        f"{found.first} comes first"
        if low > 1
        else f"{found.second} comes first"
        if high < 1
        else "neither is clearly first"
    )
    return f"{told}: {verdict}" + (" (at the edge of the shifts that were tried)" if estimate.at_bound else "")
