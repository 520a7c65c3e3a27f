"""What chance gives: regions chosen by swapped labels, and effects on resampled stimuli.

Both work on values that a forward pass has left, as matrix products over draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from observatory.measure.statistics import RESOLUTION, small_sample_correction

_AT_ONCE = 2**18
"""About how many values are worked on together, so that they stay in the cache."""


def swapped_labels(pairs: int, draws: int, name: str) -> Float[Tensor, "draw pair"]:
    """+1 for a pair as it is and -1 for one whose target and control are swapped; the same for the same name.

    Within pairs, since only there are the two exchangeable: a control has the words of its target. Shuffling over pairs
    chooses by what sets the pairs apart, and is too narrow a null early in training (docs/emergence.md).
    """
    return torch.from_numpy(_generator(name, "labels").choice(np.array([1.0, -1.0], np.float32), (draws, pairs)))


def resampled_counts(pairs: int, draws: int, name: str) -> Float[Tensor, "draw pair"]:
    """How often each pair of a target and its control is drawn, with replacement; the same for the same name.

    A draw of one pair throughout has no spread to measure an effect by, and is drawn again.
    """
    generator = _generator(name, "pairs")
    drawn = generator.integers(pairs, size=(draws, pairs))
    while pairs > 1 and (alike := np.ptp(drawn, axis=1) == 0).any():
        drawn[alike] = generator.integers(pairs, size=(int(alike.sum()), pairs))
    rows = np.arange(draws)[:, None] * pairs
    counts = np.bincount((rows + drawn).ravel(), minlength=draws * pairs).reshape(draws, pairs)
    return torch.from_numpy(counts.astype(np.float32))


def standardised(values: Float[Tensor, "stimulus unit"]) -> Float[Tensor, "stimulus unit"]:
    """Centred and of length one; NaN for a constant unit.

    Where targets and controls are equally many, Welch's t is a rising function of the product with the labels: with m
    the mean of the targets and S the sum of squares, both of centred values, t = 2m sqrt(n (n - 1) / (S - 2 n m^2)).
    """
    mean = values.mean(0)
    centred = values - mean
    length = centred.square().sum(0).sqrt()
    alive = (length > sqrt(len(values)) * RESOLUTION * mean.abs()) & length.isfinite()
    return torch.where(alive, centred / length, torch.nan)


@dataclass(frozen=True)
class Chosen:
    """For each draw the units that stand out most, in no order, with their scores; a missing score is -inf."""

    units: Int[Tensor, "draw rank"]
    scores: Float[Tensor, "draw rank"]

    def merged(self, other: Chosen, count: int) -> Chosen:
        """The most outstanding of two sets of units."""
        scores = torch.cat([self.scores, other.scores], 1)
        kept = _largest(scores, count)
        return Chosen(torch.cat([self.units, other.units], 1).gather(1, kept), scores.gather(1, kept))


def chosen_by(
    labels: Float[Tensor, "draw pair"], values: Float[Tensor, "stimulus unit"], count: int, first: int = 0
) -> Chosen:
    """The `count` units with the largest Welch t under each row of labels; `first` is the number of the first unit."""
    targets, controls = standardised(values).chunk(2)
    apart = targets - controls
    parts = []
    for rows in labels.chunk(ceil(len(labels) * apart.shape[1] / _AT_ONCE)):
        scores = (rows @ apart).nan_to_num_(-torch.inf)
        units = _largest(scores, count)
        parts.append(Chosen(units + first, scores.gather(1, units)))
    return Chosen(torch.cat([part.units for part in parts]), torch.cat([part.scores for part in parts]))


def _largest(scores: Float[Tensor, "draw unit"], count: int) -> Int[Tensor, "draw rank"]:
    """numpy selects without sorting, in half of torch's time."""
    if scores.shape[1] <= count:
        return torch.arange(scores.shape[1]).expand(scores.shape)
    return torch.from_numpy(np.argpartition(scores.numpy(), -count, axis=1)[:, -count:])


def effects_of(chosen: Chosen, effect: Float[Tensor, "family unit"]) -> Float[Tensor, "draw family"]:
    """The mean effect of each draw's region on each family, over the units that have one."""
    values = effect.T.float().contiguous()[chosen.units]  # (draw, rank, family)
    usable = chosen.scores.isfinite()[..., None]
    return torch.where(usable, values, torch.nan).nanmean(1)


def one_direction(effect: Float[Tensor, "pooling draw family family"]) -> Float[Tensor, "pooling draw family family"]:
    """Of every two families the effect in one direction, drawn at random for each draw, in the place of both.

    With the true labels the effect of one family's region on another and that of the other's on it rise and fall
    together, since both come of how the two contrasts lie to each other among correlated units. Sources are permuted
    each by itself, so there the two directions vary apart, and the mean of both would be too narrow a null: p <= .05 in
    up to .16 of data sets without any effect, .05 at most with one direction (tests/test_nulls.py).
    """
    draws, families = effect.shape[1:3]
    coins = torch.from_numpy(_generator("directions").random((draws, families, families)) < 0.5).triu(1)
    there = coins | (~coins.mT).tril(-1)
    return torch.where(there, effect, effect.mT)


def resampled_effects(
    targets: Float[Tensor, "pair unit"],
    controls: Float[Tensor, "pair unit"],
    counts: Float[Tensor, "draw pair"],
    regions: Bool[Tensor, "source unit"],
) -> Float[Tensor, "draw source"]:
    """The mean Hedges' g of fixed regions on resampled pairs; a unit that is constant in a draw is left out of it."""
    total = counts.new_zeros(len(counts), len(regions))
    alive = torch.zeros_like(total)
    parts = max(1, ceil(len(counts) * targets.shape[1] / _AT_ONCE))
    for t, c, chosen in zip(
        targets.chunk(parts, 1), controls.chunk(parts, 1), regions.float().T.chunk(parts), strict=True
    ):
        g = _resampled_g(t, c, counts)
        total += g.nan_to_num(0.0) @ chosen
        alive += g.isfinite().float() @ chosen
    return total / alive


def _resampled_g(
    targets: Float[Tensor, "pair unit"], controls: Float[Tensor, "pair unit"], counts: Float[Tensor, "draw pair"]
) -> Float[Tensor, "draw unit"]:
    pairs = len(targets)
    middle = torch.cat([targets, controls]).mean(0)  # taken out, so that squares lose nothing to rounding
    t, c = targets - middle, controls - middle
    mean_t, mean_c = counts @ t / pairs, counts @ c / pairs
    squares = counts @ (t.square() + c.square())
    variance = (squares - pairs * (mean_t.square() + mean_c.square())) / (2 * (pairs - 1))
    floor = (RESOLUTION * middle).square() + RESOLUTION * squares / pairs
    difference = small_sample_correction(2 * pairs - 2) * (mean_t - mean_c)
    return torch.where(variance > floor, difference / variance.clamp(min=0).sqrt(), torch.nan)


def _generator(*name: str) -> np.random.Generator:
    return np.random.default_rng(list("/".join(name).encode()))
