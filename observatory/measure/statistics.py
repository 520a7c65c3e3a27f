"""Two-sample statistics of every unit, from moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

RESOLUTION = 2.0**-20
"""A unit whose spread is below this share of its size is constant: what is left is float32 rounding."""
_AT_ONCE = 2**19
"""About how many values are widened to float64 together; more are slower, since they do not stay in the cache."""


@dataclass(frozen=True)
class Moments:
    """Mean and unbiased variance over the stimuli of one condition, in float64."""

    count: int
    mean: Float[Tensor, "*unit"]
    variance: Float[Tensor, "*unit"]


def moments(values: Float[Tensor, "*batch item unit"]) -> Moments:
    """Exact moments over the items: the mean is taken out before squaring."""
    count = values.shape[-2]
    if count < 2:
        raise ValueError(f"a condition needs 2 stimuli or more to have a spread; got {count}")
    parts = [_moments(part) for part in values.chunk(max(1, values.numel() // _AT_ONCE), dim=-1)]
    return parts[0] if len(parts) == 1 else join(parts)


def _moments(values: Float[Tensor, "*batch item unit"]) -> Moments:
    wide = values.to(torch.float64, copy=True)
    mean = _total(wide) / wide.shape[-2]
    wide -= mean.unsqueeze(-2)
    return Moments(wide.shape[-2], mean, _total(wide.square_()) / (wide.shape[-2] - 1))


def _total(values: Float[Tensor, "*batch item unit"]) -> Float[Tensor, "*batch unit"]:
    """The sum over the items, one after another, as numpy takes it along any axis but the last.

    torch's order depends on how many units lie side by side, and a unit's statistics should not depend on its block.
    """
    if values.shape[-1] == 1:  # then the items lie side by side, and numpy sums those pairwise
        return _total(values.expand(*values.shape[:-1], 2))[..., :1]
    return torch.from_numpy(np.add.reduce(values.numpy(), axis=-2))


def join(parts: Sequence[Moments]) -> Moments:
    """The moments of units measured block by block, side by side."""
    return Moments(
        parts[0].count,
        torch.cat([part.mean for part in parts], dim=-1),
        torch.cat([part.variance for part in parts], dim=-1),
    )


def welch_t(target: Moments, control: Moments) -> Float[Tensor, "*unit"]:
    """Welch's t; NaN for a unit that is constant or not finite, since it tells the conditions apart in no sense."""
    error = (target.variance / target.count + control.variance / control.count).sqrt()
    return _where_alive(target, control, (target.mean - control.mean) / error)


def hedges_g(target: Moments, control: Moments) -> Float[Tensor, "*unit"]:
    """Standardised mean difference with Hedges' exact correction for small samples."""
    freedom = target.count + control.count - 2
    pooled = ((target.count - 1) * target.variance + (control.count - 1) * control.variance) / freedom
    difference = small_sample_correction(freedom) * (target.mean - control.mean)
    return _where_alive(target, control, difference / pooled.sqrt())


def small_sample_correction(freedom: int) -> float:
    """What makes Cohen's d unbiased (Hedges 1981, eq. 6e)."""
    return exp(lgamma(freedom / 2) - lgamma((freedom - 1) / 2)) / sqrt(freedom / 2)


def _where_alive(target: Moments, control: Moments, statistic: Float[Tensor, "*unit"]) -> Float[Tensor, "*unit"]:
    spread = torch.maximum(target.variance, control.variance).sqrt()
    size = torch.maximum(target.mean.abs(), control.mean.abs())
    return torch.where((spread > RESOLUTION * size) & statistic.isfinite(), statistic, torch.nan)
