"""Logbooks of modules whose neurons change their communities from one known step on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

FIGURES = ("modules",)


def planted_modules(
    steps: Sequence[int], settled: int, layers: int = 4, neurons: int = 64, twins: int = 4
) -> xr.Dataset:
    """Four communities, the same from step `settled` on and drawn anew at each step before; two neurons are in none.

    By the other half of the stimuli a quarter of all neurons is elsewhere.
    """
    draw, count = np.random.default_rng(0), len(steps)
    final = np.arange(neurons) % 4
    community = np.stack([final if step >= settled else draw.permutation(final) for step in steps])
    community[:, :2] = -1
    halves = np.repeat(np.repeat(community[:, None, None], 2, 1), 2, 2)
    halves[..., 1, : neurons // 4] = (halves[..., 1, : neurons // 4] + 1) % 4
    q = 0.4 + 0.05 * np.log1p(steps) / np.log1p(max(steps))
    graphs = {
        name: middle + 0.01 * draw.standard_normal((count, 8)) for name, middle in (("rewired", 0.2), ("rotated", 0.38))
    }
    found = {
        "q": q,
        "excess": q - graphs["rewired"].mean(1),
        "beyond": q - graphs["rotated"].mean(1),
        "excess_error": np.full(count, 0.004),
        "beyond_error": np.full(count, 0.006),
        "communities": np.full(count, 4.0),
    }
    of_twins = {
        name: np.tile(found[name][:1] + 0.01 * draw.standard_normal(twins), (count, 1)) for name in list(found)[:3]
    }
    return xr.Dataset(
        {
            **{f"modules_{name}": ("step", values) for name, values in found.items()},
            **{f"modules_{name}_twins": (("step", "twin"), values) for name, values in of_twins.items()},
            "modules_communities_twins": (("step", "twin"), np.full((count, twins), 5.0)),
            **{f"modules_{name}": (("step", "random_graph"), values) for name, values in graphs.items()},
            "modules_community": (("step", "neuron"), community),
            "modules_community_of_half": (("step", "split", "half", "neuron"), halves),
            "modules_layer": (("step", "neuron"), np.tile(np.arange(neurons) * layers // neurons, (count, 1))),
        },
        {"step": np.array(steps), "tokens": ("step", 2048 * np.array(steps))},
    )
