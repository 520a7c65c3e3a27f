"""When a run is observed: by a schedule, or as often as a share of its time allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from observatory import schedules
from observatory.measure.ranks import Ranks
from observatory.schedules import Schedule, crossed
from observatory.spacing import Budget

_USUAL = "logarithmic"


class Plan:
    """Keeps what observing has cost, where that decides."""

    def __init__(self, schedule: str | Schedule | None, max_overhead: float | None) -> None:
        if schedule is not None and max_overhead is not None:
            raise ValueError(f"give a schedule or max_overhead, not both; got {schedule!r} and {max_overhead}")
        self._given = _USUAL if schedule is None else schedule
        self._schedule = schedules.parse(self._given) if isinstance(self._given, str) else self._given
        self._budget = None if max_overhead is None else Budget(max_overhead)
        self._next: float | None = None
        """The step of the next observation, once it is known how long a step takes."""

    @property
    def by_cost(self) -> bool:
        """Whether it is cost that decides."""
        return self._budget is not None

    def due(self, before: int, now: int) -> bool:
        """Whether to observe, of the steps since the one before."""
        if self._budget is None:
            return crossed(self._schedule, before, now)
        return self._next is not None and now >= self._next

    def steps(self, end: int | None) -> list[int]:
        """At which it observes, up to the last; none where that is not known beforehand."""
        if not end or self._budget is not None:
            return []
        return [step for step in range(end + 1) if step in (0, end) or self._schedule(step)]

    def room(self, pace: float, end: int) -> str:
        """For how many more observations, in words."""
        assert self._budget is not None
        more = self._budget.affordable(pace, end)
        return f"{self._budget.share:.2g} of {end:,} steps of {pace:.2g} s has room for {more} more observations."

    def told(self) -> dict[str, str | int | float]:
        """By which whoever follows the run knows what is still to come; of a schedule that is a function, nothing."""
        if self._budget is not None:
            return {"max_overhead": self._budget.share}
        return {"schedule": self._given} if isinstance(self._given, str) else {}

    def forget(self) -> None:
        """What was before belongs to another run."""
        self._next = None
        if self._budget is not None:
            self._budget = Budget(self._budget.share)

    def begin(self) -> None:
        """How long a step takes is not known yet."""
        self._next = None

    def learn(self, cost: float) -> None:
        """What an observation took that was made before."""
        if self._budget is not None and not self._budget.cost:
            self._budget = self._budget.after(cost, 0.0)

    def spend(self, seconds: float, once: float) -> None:
        """Another observation has been made; `once` is what of it will not come again."""
        if self._budget is not None:
            self._budget = self._budget.after(seconds, once)

    def decide(self, step: int, pace: float, end: int | None, ranks: Ranks) -> None:
        """The next step, where cost decides, by the clock of the first process, since each goes its own way."""
        if self._budget is not None:
            self._next = ranks.from_first(self._budget.next(step, pace, end))

    def state_dict(self) -> dict[str, float] | None:
        """What has been spent."""
        return None if self._budget is None else {"spent": self._budget.spent, "cost": self._budget.cost}

    def load_state_dict(self, state: Mapping[str, float] | None) -> None:
        """Of the same run, up to here."""
        if self._budget is not None and state is not None:
            self._budget = replace(self._budget, **state)
