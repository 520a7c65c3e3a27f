"""Logbooks of structural instruments, in which it is known beforehand what comes and goes, and when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.effects.massive_curve import MassiveCurve

TOKENS = 2048
BY_LAYER = {
    "sparsity": ("gini_mlp", "hoyer_mlp", "gini_residual", "hoyer_residual", "active_mlp", "dead_mlp"),
    "rank": ("effective_mlp", "participation_mlp", "effective_residual", "participation_residual"),
}
OF_MATRICES = ("near_zero", "gini", "hoyer", "effective_rank")
FIGURES = ("massive", "sparsity", "rank", "weights", "pruning")


def published(peak: float = 400.0) -> MassiveCurve:
    """A curve of the published form that rises from about 6 to about 50, with its peak at a step."""
    top = 3.1  # x ln x there is 1 / lambda
    return MassiveCurve(amplitude=64.0, decay=1 / (top * np.log(top)), pace=(top - 0.9) / peak, start=0.9, level=12.0)


def planted_structure(
    steps: Sequence[int], layers: int = 4, curve: MassiveCurve | None = None, gaps: Sequence[int] = (), twins: int = 4
) -> xr.Dataset:
    """Layer by layer a little more; weights and pruning at every other step, the last among them."""
    draw, step = np.random.default_rng(0), np.asarray(steps)
    depth = 1 + np.arange(layers) / layers
    shape = (len(steps), layers)

    of_twins = ("step", "twin", "layer")

    def variable(dims: tuple[str, ...], values: Array) -> tuple[tuple[str, ...], Array]:
        return dims, np.asarray(values, np.float32)

    by_layer = ("step", "layer")
    ratio = np.outer((curve or published()).at(step), depth) * np.exp(0.02 * draw.standard_normal(shape))
    found = {
        "massive_ratio": variable(by_layer, ratio),
        "massive_floor": variable(by_layer, np.full(shape, 5.3)),
        "massive_ratio_twins": variable(
            ("step", "twin", "layer"), 5.3 + 0.2 * draw.random((len(steps), twins, layers))
        ),
        **{
            f"massive_{name}": variable((*by_layer, "largest"), np.full((*shape, 3), value))
            for name, value in (("position", 0.0), ("channel", 7.0), ("same_place", 0.9))
        },
    }
    rising = np.outer(0.3 + 0.02 * np.log1p(step), depth)
    for instrument, names in BY_LAYER.items():
        for name in names:
            values = 20 * rising if "participation" in name else rising
            values = 0 * rising if "dead" in name else values
            found[f"{instrument}_{name}"] = variable(by_layer, values)
            twin = np.broadcast_to(values[:1, None], (len(steps), twins, layers))
            found[f"{instrument}_{name}_twins"] = variable(of_twins, twin)
    rarely = np.where(np.arange(len(steps))[::-1] % 2 == 0, 1.0, np.nan)[:, None]
    for name in OF_MATRICES:
        found[f"weights_{name}"] = variable((*by_layer, "matrix"), np.stack([rarely * rising, rarely * rising**2], -1))
    falling = rarely * (1 - 0.08 * np.log1p(step))[:, None]
    found |= {
        "pruning_removed": variable(("step",), falling[:, 0]),
        "pruning_removed_by_layer": variable(by_layer, falling * depth / 2),
        "pruning_loss": variable(("step",), 8 - 0.5 * np.log1p(step)),
        "pruning_loss_emptied": variable(("step",), 8 + 0.5 * np.log1p(step)),
    }
    coordinates = {"step": step, "tokens": ("step", step * TOKENS), "layer": np.arange(layers), "largest": [1, 2, 3]}
    gap = {"gap_step": ("gap", list(gaps)), "gap_tokens": ("gap", [TOKENS * one for one in gaps])} if gaps else {}
    return xr.Dataset({**found, **gap}, coords={**coordinates, "matrix": ["up", "down"]})
