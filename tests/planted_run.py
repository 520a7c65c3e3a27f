"""A run of any size with all that figures draw: curves, nulls, regions, competence, benchmarks, gaps and doubts."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from test_competence_review import TWINS, competent
from verdicts import planted

from observatory.observation import Array

DOMAINS = ["language", "math", "physical", "social", "music", "chess", "law", "smell", "touch", "time"]
HOSTILE = ["$x_1^2$", "costs $5", "_hidden", "a name of\ntwo lines", "a long name " * 9, "100 % & <b>", "\\alpha"]
WIDE = ["WWWWWWWWWWWWWWWWWWWW", "mmmmmmmmmmmmmmmmmmmm", "language", "math"]
"""Names of letters wider than others."""
TEN = [0, 3, 10, 30, 100, 300, 1000, 3000, 6000, 9990]
THOUSAND = list(range(0, 10000, 10))
TOKENS = 2048


def rise(steps: Sequence[int], middle: float, height: float = 0.8) -> Array:
    """From nothing to a height, half-way at a step."""
    values: Array = height / (1 + np.exp(-(np.log1p(steps) - np.log1p(middle)) / 0.4))
    return values


def rises(steps: Sequence[int], names: Sequence[str], height: float = 0.8) -> dict[str, Array]:
    """Each later than the one before."""
    return {name: rise(steps, 10 * 1.5**place, height) for place, name in enumerate(names)}


def planted_run(
    steps: Sequence[int], names: Sequence[str] = tuple(DOMAINS[:4]), layers: int = 4, benchmarks: int = 1, seed: int = 0
) -> xr.Dataset:
    """Each region rises later than the one before, its tasks' margin twice as late; the loss falls first."""
    random = np.random.default_rng(seed)
    book = planted(steps, rises(steps, names), twins=TWINS, gaps=[steps[-1] + 5], layers=layers, loss=True)
    book = book.sel(space=["mlp"]) if len(steps) * len(names) > 2000 else book
    done = competent(2.5 * rise(steps, 100, 1.0), names, tasks=2, seed=seed)
    done = done.assign_coords(step=book["step"], tokens=book["tokens"])
    score = np.tile(rise(steps, 200, 0.5)[:, None] + 0.25, benchmarks)
    return (
        book.assign(done.data_vars)
        .assign(
            contrast_region_mlp=_regions(steps, names, layers, random),
            benchmark_score=(("benchmark_step", "benchmark"), score),
            benchmark_error=(("benchmark_step", "benchmark"), np.full_like(score, 0.02)),
        )
        .assign_coords(
            benchmark=[f"benchmark_{number}/acc" for number in range(benchmarks)], benchmark_step=list(steps)
        )
        .assign_attrs(
            doctor=json.dumps([{"kind": "norm", "steps": [steps[-2]], "text": "it is odd", "severity": "warning"}])
        )
    )


def _regions(steps: Sequence[int], names: Sequence[str], layers: int, random: np.random.Generator) -> xr.DataArray:
    """Ten units a region, of scores that change less and less."""
    scores = random.normal(size=(len(names), layers * 20)) + np.cumsum(
        random.normal(size=(len(steps), len(names), layers * 20)) / (1 + np.arange(len(steps)))[:, None, None], 0
    )
    masks = scores >= np.sort(scores, -1)[..., [-10]]
    both = np.broadcast_to(masks[:, None], (len(steps), 2, *masks.shape[1:])).reshape(
        len(steps), 2, len(names), layers, 20
    )
    dims = ("step", "pooling", "domain", "layer", "mlp_unit")
    return xr.DataArray(both, dims=dims, attrs={"units_in_all": str(layers * 20)})
