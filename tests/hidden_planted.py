"""A run in which what tasks come to, asked and steered, rises after steps that are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

FIGURES = ("hidden",)
TEMPLATES, PAIRS, TWINS, CONTROLS = 8, 16, 16, 8
STEPS = sorted({0, *(round(10 ** (k / 10)) for k in range(36))})
WAYS = ("prompted", "steered")


def capable(
    rises: dict[str, tuple[float, float]],
    seed: int = 0,
    noise: float = 0.05,
    height: float = 4.0,
    steps: Sequence[int] = STEPS,
) -> xr.Dataset:
    """Two tasks a domain whose margins, prompted and steered, begin to rise after these steps.

    What is constant about a template, a twin and a control comes from one spread, as it does in an untrained model.
    """
    random, count = np.random.default_rng(seed), 2 * len(rises)
    x = np.log1p(steps)
    after = np.log1p(np.repeat(np.array(list(rises.values())).T, 2, 1))  # way, task
    rise = height * np.clip(x[:, None, None] - after, 0, None)
    template = np.repeat(random.normal(0, noise, (2, count, TEMPLATES)), PAIRS // TEMPLATES, -1)
    pairs = rise[..., None] + template + random.normal(0, noise / 4, (len(steps), 2, count, PAIRS))
    spread = noise / np.sqrt(TEMPLATES)
    twins = random.normal(0, spread, (TWINS, 2, count))
    return xr.Dataset(
        {
            "hidden_pair_margin": (("step", "way", "task", "steered_pair"), pairs),
            "hidden_template": (
                ("step", "task", "steered_pair"),
                np.broadcast_to(np.repeat(np.arange(TEMPLATES), PAIRS // TEMPLATES), (len(steps), count, PAIRS)),
            ),
            "hidden_control": (
                ("step", "control", "task"),
                random.normal(0, spread, (len(steps), CONTROLS, count)),
            ),
            "hidden_margin_twins": (
                ("step", "twin", "way", "task"),
                np.broadcast_to(twins, (len(steps), *twins.shape)),
            ),
        },
        {
            "step": steps,
            "tokens": ("step", 10 * np.array(steps) ** 2),
            "way": list(WAYS),
            "task": [f"{name}/task_{number}" for name in rises for number in range(2)],
            "domain": list(rises),
        },
    )
