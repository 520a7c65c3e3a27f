"""What observing will cost, from what one observation took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from observatory.choice import due
from observatory.observation import Instrument, Observation

TWINS = "twins"


def forecast(first: Observation, instruments: Sequence[Instrument], steps: Sequence[int]) -> str:
    """In words: the cost of each instrument, how often it is due of these observed steps, and of all together."""
    seconds, times, once = _expected(first, instruments, steps)
    told = ", ".join(f"{name} {_duration(cost)}{_often(times[name], len(steps))}" for name, cost in seconds.items())
    if not steps:
        return f"An observation takes {told}."
    whole = once + sum(cost * times[name] for name, cost in seconds.items())
    untrained = f", and untrained twins {_duration(once)} once" if once >= 0.05 else ""
    return f"An observation takes {told}{untrained}; {len(steps)} observations take {_duration(whole)} in all."


def _expected(
    first: Observation, instruments: Sequence[Instrument], steps: Sequence[int]
) -> tuple[dict[str, float], Counter[str], float]:
    """Seconds of each instrument, how often it is due, and seconds of what is done once."""
    times: Counter[str] = Counter()
    for after, step in pairwise((-1, *steps)):
        times.update(one.name for one in due(instruments, after, step, last=step == steps[-1]))
    seconds = {
        one.name: one.expected(first.costs[one.name], first.variables) for one in instruments if one.name in first.costs
    }
    return seconds, times, first.costs.get(TWINS, 0.0)


def share_of_run(
    first: Observation, instruments: Sequence[Instrument], steps: Sequence[int], pace: float, end: int
) -> str:
    """In words: what observing at these steps takes of a run to its end, at so many seconds a step."""
    seconds, times, once = _expected(first, instruments, steps)
    whole = once + sum(cost * times[name] for name, cost in seconds.items())
    told = "observation is" if len(steps) == 1 else "observations are"
    return (
        f"{len(steps)} {told} scheduled, {_duration(whole)}: {100 * whole / (pace * end):.2g} % of what {end:,} steps "
        f"of {pace:.2g} s take without them."
    )


def _often(times: int, of: int) -> str:
    return "" if times == of or not of else f" ({times} of {of} times)"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
