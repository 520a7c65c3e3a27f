"""What two representations of the same stimuli make alike: dissimilarities, their rank correlation, odd ones out."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from torch import Tensor

from observatory.measure.statistics import RESOLUTION
from observatory.observation import Array

CHANCE_OF_ODD = 1 / 3


def standardised(values: Float[Tensor, "stimulus unit"]) -> Float[Tensor, "stimulus usable"]:
    """Each unit with mean 0 and mean square 1 over the stimuli; without those that are constant or not finite."""
    wide = values.double()
    size, centred = wide.abs().amax(0), wide - wide.mean(0)
    spread = centred.square().mean(0).sqrt()
    usable: Bool[Tensor, " unit"] = spread > RESOLUTION * size  # not where it is nan or infinite
    usable &= spread.isfinite()
    return centred[:, usable] / spread[usable]


def dissimilarity(shown: Float[Tensor, "stimulus unit"]) -> Float[Tensor, "stimulus stimulus"]:
    """1 - Pearson's r of two stimuli over units; NaN where there are fewer than three, or where a stimulus is flat.

    Units are to be standardised: a few units of large size would otherwise decide alone.
    """
    if shown.shape[1] < 3:
        return torch.full((len(shown),) * 2, torch.nan, dtype=torch.float64)
    apart = shown - shown.mean(1, keepdim=True)
    unit = apart / apart.square().sum(1, keepdim=True).sqrt()
    return 1 - unit @ unit.T


def pairs(square: Float[Tensor, "*batch stimulus stimulus"]) -> Float[Tensor, "*batch pair"]:
    """The upper triangle."""
    rows, columns = torch.triu_indices(square.shape[-1], square.shape[-1], 1)
    return square[..., rows, columns]


def ranks(values: Float[Tensor, "*batch pair"]) -> Float[Tensor, "*batch pair"]:
    """Ranks, ties sharing theirs, with mean 0 and length 1, so that their product is Spearman's rho; NaN if any is."""
    if values.isnan().any():
        return torch.full(values.shape, torch.nan, dtype=torch.float64)
    ranked = torch.from_numpy(np.asarray(stats.rankdata(values.numpy(), axis=-1)))
    apart = ranked - ranked.mean(-1, keepdim=True)
    return apart / apart.square().sum(-1, keepdim=True).sqrt()


def rsa_ceiling(subjects: Float[Tensor, "subject pair"]) -> tuple[float, float]:
    """Between which a true model's mean rho would lie (Nili et al. 2014): each subject's ranks with the mean of the
    others', and with the mean of all, which no model can beat. Missing of a single subject."""
    if len(subjects) < 2:
        return float("nan"), float("nan")
    ranked = ranks(subjects)
    total = ranked.sum(0)
    lower = [_rho(one, total - one) for one in ranked]
    upper = [_rho(one, total) for one in ranked]
    return float(np.mean(lower)), float(np.mean(upper))


def _rho(one: Float[Tensor, " pair"], mean_ranks: Float[Tensor, " pair"]) -> float:
    return float((one * ranks(mean_ranks)).sum())


def odd_ones(
    apart: Float[Tensor, "stimulus stimulus"], triplets: Int[Tensor, "triplet 3"]
) -> Float[Tensor, " triplet"]:
    """Whether the first two of a triplet are the closest pair of it, 1 or 0; equally close pairs share."""
    a, b, odd = triplets.T
    distances = torch.stack([apart[a, b], apart[a, odd], apart[b, odd]])
    closest = distances == distances.amin(0)
    right = closest[0].double() / closest.sum(0).clamp(min=1)
    return torch.where(distances.isnan().any(0), torch.nan, right)


def odd_ceiling(triplets: Int[Tensor, "triplet 3"]) -> tuple[float, float]:
    """How often one judgement agrees with what most of the other judgements of its three stimuli say, and with what
    most of all say; ties count as shares. Over those that were judged more than once; missing if none was."""
    judged = np.asarray(triplets)
    _, which = np.unique(np.sort(judged, axis=1), axis=0, return_inverse=True)
    place = (np.sort(judged, axis=1) == judged[:, 2:]).argmax(1)
    votes = np.zeros((int(which.max()) + 1, 3))
    np.add.at(votes, (which.ravel(), place), 1)
    here = votes[which.ravel()]
    several = here.sum(1) > 1
    if not several.any():
        return float("nan"), float("nan")
    own = np.eye(3)[place]
    return _agreement(own, here - own, several), _agreement(own, here, several)


def _agreement(own: Array, votes: Array, several: Array) -> float:
    most = votes == votes.max(1, keepdims=True)
    return float(((most * own).sum(1) / most.sum(1))[several].mean())
