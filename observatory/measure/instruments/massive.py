"""Massive activations: how far the few largest values of a block's output stand above the ordinary ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from scipy import integrate, special
from torch import Tensor

from observatory.measure.layerwise import layerwise
from observatory.measure.reading import Reading
from observatory.measure.scene import Scene
from observatory.observation import Array, Instrument, Variable

LARGEST = 3
_MEDIAN = LARGEST
_POSITIONS = slice(LARGEST + 1, 2 * LARGEST + 1)
_CHANNELS = slice(2 * LARGEST + 1, 3 * LARGEST + 1)
_HALF_NORMAL_MEDIAN = float(np.sqrt(2) * special.erfinv(0.5))


@dataclass(frozen=True)
class Massive(Instrument):
    """The largest magnitudes over tokens and channels of every block's output, beside the median, and where they are.

    Each stimulus is a sample of its own, position 0 included, since that is where massive activations live. Sun et
    al. 2024, arXiv:2402.17762.
    """

    name = "massive"

    def readings(self) -> tuple[Reading, ...]:
        return (_READING,)

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {"layer": np.arange(scene.anatomy.layers), "largest": np.arange(1, LARGEST + 1)}

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        found = _taken(scene)
        widths, lengths = scene.anatomy.widths("residual"), [len(tokens) for tokens in scene.tokens]
        places = [_commonest(one[_POSITIONS], one[_CHANNELS], width) for one, width in zip(found, widths, strict=True)]
        return {
            **_ratios(found),
            "top": _variable(
                np.stack([one[:LARGEST].mean(-1) for one in found]),
                "largest magnitudes of a block's output, mean over stimuli",
                "largest",
            ),
            "median": _variable(
                np.stack([one[_MEDIAN].mean() for one in found]), "median magnitude, mean over stimuli"
            ),
            "position": _variable(np.array([one[0] for one in places]), "token where it mostly is", "largest"),
            "channel": _variable(np.array([one[1] for one in places]), "channel where it mostly is", "largest"),
            "same_place": _variable(
                np.array([one[2] for one in places]), "share of the stimuli that have it there", "largest"
            ),
            "at_first": _variable(
                np.array([_mean_of((one[_POSITIONS][0] == 0), one) for one in found]),
                "share of the stimuli whose largest is at position 0",
            ),
            "floor": _variable(
                np.array([np.mean([gaussian_ratio(length * width) for length in lengths]) for width in widths]),
                "the ratio that independent Gaussian values would have",
            ),
        }

    def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
        return _ratios(_taken(scene))


def largest_and_median(activations: Float[Tensor, "item token unit"]) -> Float[Tensor, "value item 1"]:
    """The largest magnitudes, the median (of two, the lower), the positions of the largest and their channels."""
    magnitude = activations.float().abs().flatten(1)
    top = magnitude.topk(LARGEST)
    units = activations.shape[-1]
    parts = (
        top.values,
        magnitude.median(1).values[:, None],
        (top.indices // units).float(),
        (top.indices % units).float(),
    )
    values = torch.cat(parts, dim=1).T
    return torch.where(magnitude.isfinite().all(1), values, torch.nan)[..., None]


@cache
def gaussian_ratio(count: int) -> float:
    """E[max |z|] over the median of |z|, for so many independent Gaussian z: the integral of 1 - P(|z| < x)^n."""
    largest, _ = integrate.quad(lambda x: 1 - special.erf(x / np.sqrt(2)) ** count, 0, 40, limit=200, points=[3, 6])
    return float(largest) / _HALF_NORMAL_MEDIAN


_READING = Reading("residual", largest_and_median, values=3 * LARGEST + 1, of="layer")


def _taken(scene: Scene) -> list[Array]:
    """(value, stimulus) of each layer."""
    return [one[..., 0].double().numpy() for one in layerwise(scene, _READING)]


def _ratios(found: list[Array]) -> dict[str, Variable]:
    """Of each block, and the largest, which is not known where that of any block is not."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a block that writes nothing has no ratio
        ratios = np.stack([(one[0] / one[_MEDIAN]).mean() for one in found])
    known = np.where(np.isfinite(ratios), ratios, np.nan)
    told = {"long_name": "the same of the block where it is largest", "units": "1"}
    return {
        "ratio": _variable(known, "largest over median magnitude of a block's output"),
        "largest_ratio": Variable(
            (), known.max().astype(np.float32), {**told, "headline": "largest activation (medians)"}
        ),
    }


def _commonest(positions: Array, channels: Array, width: int) -> tuple[Array, Array, Array]:
    """Position, channel, and how many of the stimuli agree, of each of the largest; NaN where some are not finite."""
    if not np.isfinite(positions).all():
        unknown = np.full(LARGEST, np.nan)
        return unknown, unknown, unknown
    places, shares = np.empty(LARGEST), np.empty(LARGEST)
    for rank, codes in enumerate(positions * width + channels):
        met, counts = np.unique(codes, return_counts=True)
        places[rank], shares[rank] = met[counts.argmax()], counts.max() / codes.size
    return places // width, places % width, shares


def _mean_of(true: Array, one: Array) -> float:
    return float(true.mean()) if np.isfinite(one).all() else float("nan")


def _variable(values: Array, meaning: str, *dims: str) -> Variable:
    return Variable(("layer", *dims), values.astype(np.float32), {"long_name": meaning, "units": "1"})
