"""A run in which sinks, induction and readable domains come at known steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from planted_run import TEN, TOKENS, rise

DOMAINS = ("language", "math", "physical", "social")
FIGURES = ("attention", "induction", "depth")
HEADS, PERIOD, SEQUENCES = 4, 5, 8
SINKS_AT, INDUCTION_AT, READ_AT = 1000, 100, 30


def planted_attention(
    steps: Sequence[int] = tuple(TEN), names: Sequence[str] = DOMAINS, layers: int = 4, seed: int = 0
) -> xr.Dataset:
    """Sinks in the upper half, induction in the last layer; each domain is read from a layer further up."""
    draw = np.random.default_rng(seed)
    up, count = np.arange(layers), len(steps)
    upper = (up >= layers / 2).astype(float)
    sink = rise(steps, SINKS_AT)[:, None, None] * upper[:, None] * np.linspace(0.5, 1, HEADS)
    induction = np.full((count, layers, HEADS), 0.03)
    induction[:, -1, 1] += rise(steps, INDUCTION_AT)
    previous = np.full((count, layers, HEADS), 0.05)
    previous[:, 0, 2] += rise(steps, INDUCTION_AT / 2)
    score = 8 * rise(steps, INDUCTION_AT)
    loss = np.stack([np.full((count, PERIOD), 10.0), np.tile(10 - score[:, None], PERIOD)], 1)
    first = np.minimum(np.arange(len(names)), layers - 1)
    told = 0.5 + rise(steps, READ_AT, 0.48)[:, None, None] * (up >= first[:, None])
    both = np.stack([told, told], 1)
    passed = both >= 0.75
    depth = np.where(passed.any(-1), (passed.argmax(-1) + 1) / layers, np.nan)
    sides = ("pooling", "domain")
    return xr.Dataset(
        {
            "attention_sink": (("step", "layer", "head"), sink),
            "attention_secondary": (("step", "layer"), 0.3 * sink.mean(-1)),
            "attention_induction": (("step", "layer", "head"), induction),
            "attention_previous": (("step", "layer", "head"), previous),
            "induction_loss": (("step", "showing", "period_position"), loss),
            "induction_drop": (
                ("step", "random_sequence"),
                score[:, None] + draw.normal(0, 0.2, (count, SEQUENCES)),
            ),
            "induction_score": (("step",), score),
            "induction_in_context": (
                ("step", "domain"),
                -rise(steps, INDUCTION_AT)[:, None] * np.linspace(0.5, 1.5, len(names)),
            ),
            "depth_domain_accuracy": (("step", *sides, "layer"), both, {"space": "mlp"}),
            "depth_depth": (("step", *sides), depth),
        },
        coords={
            "step": list(steps),
            "tokens": ("step", TOKENS * np.asarray(steps)),
            "layer": up,
            "domain": list(names),
            "pooling": ["last", "mean"],
            "showing": ["first", "second"],
            "gap_step": [20 * steps[-1]],
            "gap_tokens": ("gap_step", [20 * TOKENS * steps[-1]]),
        },
    )
