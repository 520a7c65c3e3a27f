"""When to observe: a schedule is a function from a step to a bool, made by a named function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import log10

Schedule = Callable[[int], bool]


def every(steps: int) -> Schedule:
    """Each multiple of `steps`, and step 0."""
    if steps < 1:
        raise ValueError(f"every() needs a positive number of steps, got {steps}")
    return lambda step: step % steps == 0


def at(steps: Iterable[int]) -> Schedule:
    """Just these steps."""
    wanted = frozenset(steps)
    return lambda step: step in wanted


def logarithmic(per_decade: int = 12) -> Schedule:
    """Step 0, then steps evenly spaced on a log axis, each rounded to a whole step."""
    if per_decade < 1:
        raise ValueError(f"logarithmic() needs at least 1 observation per decade, got {per_decade}")

    def due(step: int) -> bool:
        if step < 1:
            return step == 0
        nearest = round(per_decade * log10(step))
        # Rounding moves a grid point by at most half a step, so only its neighbours can round to `step`.
        return any(round(10 ** (k / per_decade)) == step for k in (nearest - 1, nearest, nearest + 1))

    return due


def pythia() -> Schedule:
    """Pythia's checkpoints: 0, the powers of two up to 512, then every 1000."""
    early = at([0, *(2**k for k in range(10))])
    return lambda step: early(step) or (step > 0 and step % 1000 == 0)


def either(*schedules: Schedule) -> Schedule:
    """Whenever one of them is due."""
    return lambda step: any(schedule(step) for schedule in schedules)


def crossed(schedule: Schedule, last: int, now: int) -> bool:
    """Whether the schedule was due anywhere in (last, now]: some loops advance several steps at a time."""
    return any(schedule(step) for step in range(last + 1, now + 1))


def parse(text: str) -> Schedule:
    """The schedule that a configuration names: `logarithmic`, `logarithmic 20`, `pythia`, `every 500`, `at 0 10 99`."""
    name, *arguments = text.replace(",", " ").split() or [""]
    makers: dict[str, Callable[[list[int]], Schedule]] = {
        "every": lambda numbers: every(*numbers),
        "at": at,
        "logarithmic": lambda numbers: logarithmic(*numbers),
        "pythia": lambda numbers: pythia(*numbers),
    }
    try:
        return makers[name]([int(argument) for argument in arguments])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"no schedule {text!r}; use one of 'logarithmic', 'logarithmic 20' (per decade), 'pythia', "
            f"'every 500', 'at 0 10 100'"
        ) from error
