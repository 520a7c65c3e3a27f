"""A small battery with tasks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from loop import WORDS, small_battery

from observatory.stimuli.battery import Battery, Pair, Task


def battery_with_tasks() -> Battery:
    """Random words to be continued by random words, in two kinds of tasks and two formats."""
    draw = np.random.default_rng(0)

    def pair(name: str, number: int, words: int) -> Pair:
        clean, corrupted = (" ".join(draw.choice(WORDS, words)) for _ in range(2))
        one, other = (f" {word}" for word in draw.choice(WORDS, 2, replace=False))
        return Pair(f"{name}-{number}", clean, corrupted, one, other, f"{number % 4}")

    def task(domain: str, kind: str, form: str) -> Task:
        pairs = tuple(pair(f"{kind}-{form}", number, 3 + (form == "long")) for number in range(8))
        return Task(domain, f"{kind}_{form}", form, pairs)

    plain = small_battery()
    return Battery(
        "tasks",
        tuple(
            replace(one, tasks=tuple(task(one.name, kind, form) for kind in ("x", "y") for form in ("short", "long")))
            for one in plain.domains
        ),
    )
