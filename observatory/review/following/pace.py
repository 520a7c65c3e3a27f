"""When the next observation of a run can be expected, from its schedule and the pace of the last ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from observatory.observation import Array
from observatory.schedules import parse

_RECENT = 5
"""Observations that the pace is taken from."""
_FARTHEST = 10**6
"""Steps ahead that a schedule is asked about, where the end of the run is not known."""


@dataclass(frozen=True)
class Next:
    """The step of the next observation, and when it will have been made; or why that cannot be said."""

    step: int | None = None
    time: float | None = None
    """Seconds since 1970."""
    reason: str = ""


def next_observation(attributes: Mapping[str, Any], steps: Array, times: Array, seconds: Array, last: int) -> Next:
    """From observations and how long each took; `last` is the last step that is accounted for, by a gap perhaps."""
    end = int(attributes["max_steps"]) if "max_steps" in attributes else None
    if end is not None and last >= end:
        return Next(reason="this was the last one")
    if "max_overhead" in attributes:
        return Next(reason="it comes when its share of the time allows")
    if "schedule" not in attributes:
        return Next(reason="the logbook holds no schedule")
    step = _next_step(str(attributes["schedule"]), last, end)
    if step is None:
        return Next(reason="the schedule has no further step")
    pace = _seconds_per_step(steps, times, seconds)
    if pace is None:
        return Next(step, reason="the pace is known from two observations on")
    recent = float(np.median(seconds[-_RECENT:]))
    return Next(step, float(times[-1] + pace * (step - steps[-1]) + recent))


def _next_step(schedule: str, last: int, end: int | None) -> int | None:
    due = parse(schedule)
    farthest = last + _FARTHEST if end is None else end
    return next((step for step in range(last + 1, farthest + 1) if step == end or due(step)), None)


def _seconds_per_step(steps: Array, times: Array, seconds: Array) -> float | None:
    """What lies between two observations, without observing; the median, since a run may have stood still."""
    began = times - seconds
    recent = list(zip(steps, times, began, strict=True))[-1 - _RECENT :]
    paces = [(start - done) / (step - before) for (before, done, _), (step, _, start) in pairwise(recent)]
    return max(0.0, float(np.median(paces))) if paces else None
