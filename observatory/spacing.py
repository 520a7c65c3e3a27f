"""When to observe next, so that observing takes no more than a given share of training."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf


@dataclass(frozen=True)
class Budget:
    """What observing may cost, and what it has cost so far."""

    share: float
    """Of the time that training takes without it."""
    spent: float = 0.0
    """Seconds."""
    cost: float = 0.0
    """Seconds of the dearest observation so far."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"max_overhead is a share of training, such as 0.01; got {self.share}")

    def after(self, seconds: float, once: float) -> Budget:
        """Another observation has been made; `once` is what of it will not come again."""
        return Budget(self.share, self.spent + seconds, max(self.cost, seconds - once))

    def affordable(self, pace: float, end: int) -> int:
        """How many more observations there is room for in a run of so many steps, at so many seconds a step."""
        return max(0, int((self.share * pace * end - self.spent) / self.cost)) if self.cost else 0

    def next(self, step: int, pace: float, end: int | None) -> float:
        """The step of the next observation; inf for none.

        Of a run whose end is known, what is left is spread evenly on a log axis, with the last at the end. Of another,
        the next comes when training has taken so long that it is paid for.
        """
        if end is None:
            paid = (self.spent + self.cost) / (self.share * pace)
            return max(step + 1, ceil(paid))
        left = self.affordable(pace, end)
        if not left or step >= end:
            return inf
        start = max(step, 1)
        following: float = start * (end / start) ** (1 / left)
        return max(step + 1, round(following))
