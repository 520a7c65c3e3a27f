"""How well responses to stimuli are foreseen from activations, by ridge regression tested on groups held out of it.

Of each channel the penalty is the one that foresees best within the training part, where again one fold after another
is held out.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from observatory.measure.drawn import generator
from observatory.measure.statistics import RESOLUTION

PENALTIES = tuple(10.0**power for power in range(-3, 4))
"""In units of the mean square of a stimulus."""
_SPLITS = 50


def foreseen(
    shown: Float[Tensor, "stimulus unit"],
    responses: Float[Tensor, "stimulus channel"],
    folds: Int[Tensor, " stimulus"],
) -> Float[Tensor, "stimulus channel"]:
    """Each stimulus' responses, by w of the other folds = argmin |X w - y|^2 / u + penalty |w|^2 over u units.

    NaN without units.
    """
    if not shown.shape[1]:
        return torch.full_like(responses, torch.nan)
    x = _narrowed(shown / shown.shape[1] ** 0.5)
    count = int(folds.max()) + 1
    errors = torch.zeros(count, len(PENALTIES), responses.shape[1], dtype=torch.float64)
    for pair in combinations(range(count), 2):  # what is trained without both serves to test either
        test = (folds == pair[0]) | (folds == pair[1])
        off = (_ridge(x, responses, test) - responses[test]).square()
        for held, tested in (pair, pair[::-1]):
            errors[held] += off[:, folds[test] == tested].sum(1)
    found = torch.empty_like(responses)
    for held in range(count):
        test = folds == held
        best = errors[held].argmin(0)
        found[test] = _ridge(x, responses, test).gather(0, best.expand(1, int(test.sum()), -1))[0]
    return found


def _narrowed(x: Float[Tensor, "stimulus unit"]) -> Float[Tensor, "stimulus axis"]:
    """With the same products and no more columns than rows."""
    if x.shape[1] <= x.shape[0]:
        return x
    values, vectors = torch.linalg.eigh(x @ x.T)
    axes: Tensor = vectors * values.clamp(min=0).sqrt()
    return axes


def _ridge(
    x: Float[Tensor, "stimulus axis"], responses: Float[Tensor, "stimulus channel"], test: Bool[Tensor, " stimulus"]
) -> Float[Tensor, "penalty tested channel"]:
    """With each penalty; the intercept is free of it. Solved among axes or among stimuli, whichever are fewer."""
    middle, mean = x[~test].mean(0), responses[~test].mean(0)
    a, b, y = x[~test] - middle, x[test] - middle, responses[~test] - mean
    if a.shape[1] <= a.shape[0]:
        values, vectors = torch.linalg.eigh(a.T @ a)
        left, right = b @ vectors, vectors.T @ (a.T @ y)
    else:
        values, vectors = torch.linalg.eigh(a @ a.T)
        left, right = b @ (a.T @ vectors), vectors.T @ y
    penalties = torch.tensor(PENALTIES, dtype=torch.float64)[:, None, None]
    told: Tensor = (left / (values.clamp(min=0) + penalties)) @ right + mean
    return told


def within_folds(
    one: Float[Tensor, "stimulus channel"],
    other: Float[Tensor, "stimulus channel"],
    folds: Int[Tensor, " stimulus"],
) -> Float[Tensor, " channel"]:
    """Pearson's r of each channel in each fold, mean over folds by their degrees of freedom.

    What foresees nothing then has an r of 0 in expectation. Over folds at once it would be negative, even with each
    fold's means taken off: where one fold is foreseen well from another, that one is from it, and their predictions
    are large; where badly, they are small. What is missing in either is left out; in a fold where `one` does not vary
    r is 0, and one where `other` does not says nothing.
    """
    found, weights = [], []
    for fold in range(int(folds.max()) + 1):
        a, b = one[folds == fold].double(), other[folds == fold].double()
        there = a.isfinite() & b.isfinite()
        count = there.sum(0)
        a, b = (torch.where(there, x - x.where(there, 0.0).sum(0) / count, 0.0) for x in (a, b))
        along, across = a.square().sum(0).sqrt(), b.square().sum(0).sqrt()
        found.append(torch.where(along > RESOLUTION * across, (a * b).sum(0) / (along * across), 0.0))
        weights.append(torch.where(across > 0, count - 1.0, 0.0))
    r, weight = torch.stack(found), torch.stack(weights)
    return torch.where(weight > 0, r * weight, 0.0).sum(0) / weight.sum(0)


def ceiling(
    repeats: Float[Tensor, "stimulus channel repeat"], folds: Int[Tensor, " stimulus"], name: str
) -> Float[Tensor, " channel"]:
    """The r of each channel's mean over repeats that a model of all that is not noise would reach; NaN without repeats.

    The square root of the reliability, from the mean r of two halves of the repeats over random splits, raised from m
    repeats in a half to all n: k r / (1 + (k - 1) r) with k = n / m (Spearman and Brown 1910).
    """
    count = repeats.shape[2]
    if count < 2:
        return torch.full((repeats.shape[1],), torch.nan, dtype=torch.float64)
    draw, half = generator(name, "splits"), count // 2
    orders = [draw.permutation(count) for _ in range(_SPLITS if count > 2 else 1)]
    r = torch.stack(
        [
            within_folds(repeats[..., order[:half]].nanmean(2), repeats[..., order[half : 2 * half]].nanmean(2), folds)
            for order in map(np.ascontiguousarray, orders)
        ]
    )
    mean = r.nanmean(0).clamp(min=0)
    more = count / half
    return (more * mean / (1 + (more - 1) * mean)).sqrt()
