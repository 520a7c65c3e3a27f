"""How much of the communities of neurons stays as training goes on, and how much hangs on the stimuli."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.sharing.clustering import adjusted_rand


@dataclass(frozen=True)
class Stability:
    """Adjusted Rand indices of every step at which modules were measured; NaN where there are no communities."""

    to_previous: Array
    to_last: Array
    of_halves: Array
    """Of the communities by either half of the stimuli: what agreement other stimuli would leave."""
    with_layers: Array
    """Of communities with layers: 1 if they are the layers."""


def community_stability(measured: xr.Dataset) -> Stability:
    """Of the neurons that are in a community both times."""
    labels = measured["modules_community"].transpose("step", "neuron").values
    halves = measured["modules_community_of_half"].transpose("step", "split", "half", "neuron").values
    layers = measured["modules_layer"].transpose("step", "neuron").values
    steps = range(len(labels))
    return Stability(
        to_previous=np.array([_agreement(labels[one - 1], labels[one]) if one else np.nan for one in steps]),
        to_last=np.array([_agreement(labels[one], labels[-1]) for one in steps[:-1]] + [np.nan] * bool(steps)),
        of_halves=np.array([np.mean([_agreement(*both) for both in splits]) for splits in halves]),
        with_layers=np.array([_agreement(one, layer) for one, layer in zip(labels, layers, strict=True)]),
    )


def _agreement(one: Array, other: Array) -> float:
    known = (one >= 0) & (other >= 0)
    return float(adjusted_rand(one[known], other[known])) if known.any() else np.nan
