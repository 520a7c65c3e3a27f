"""A run in which alignment with two outside representations rises when it is told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from planted_run import planted_run, rise

FIGURES = ("alignment",)
MIDDLES = {"early/predictivity": 12.0, "late/rsa": 900.0}
"""Steps at which they are half-way; margins are at 100, the benchmark at 200."""
PARTS, MASKS = 20, 19


def planted_alignment(
    steps: Sequence[int], names: Sequence[str], layers: int = 4, middles: Mapping[str, float] = MIDDLES
) -> xr.Dataset:
    """Rises of half of what is possible; the region of the first domain is far above its random masks, others not."""
    draw, book = np.random.default_rng(0), planted_run(steps, names, layers)
    mean = np.stack([rise(steps, middle, 0.5) for middle in middles.values()], 1)
    left_out = mean[..., None] * (1 + 0.01 * draw.standard_normal((len(middles), PARTS)))
    left_out += 0.002 * draw.standard_normal(left_out.shape)
    off = left_out - left_out.mean(-1, keepdims=True)
    matched = mean[..., None, None] / 2 + 0.02 * draw.standard_normal((len(steps), len(middles), len(names), MASKS))
    region = np.median(matched, -1)
    region[..., 0] += 0.2
    outside = ("step", "outside")
    return book.assign(
        {
            "alignment_score": ((*outside, "layer"), mean[..., None] * np.linspace(0.8, 1.2, layers)),
            "alignment_mean": (outside, mean),
            "alignment_error": (outside, np.sqrt((PARTS - 1) / PARTS * np.square(off).sum(-1))),
            "alignment_left_out": ((*outside, "part"), left_out),
            "alignment_ceiling": (
                (*outside, "bound"),
                np.tile([[0.7, 0.7], [0.6, 0.8]][: len(middles)], (len(steps), 1, 1)),
            ),
            "alignment_chance": (outside, np.zeros(mean.shape)),
            "alignment_region": ((*outside, "domain"), region),
            "alignment_matched": ((*outside, "domain", "matched_mask"), matched),
            "alignment_score_twins": (
                ("step", "twin", "outside", "layer"),
                0.05 * draw.standard_normal((len(steps), book.sizes["twin"], len(middles), layers)),
            ),
        }
    ).assign_coords(outside=list(middles))
