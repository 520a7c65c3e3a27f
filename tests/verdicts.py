"""Logbooks of planted curves, in which it is known beforehand what emerges, when, and at which level."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import ceil

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

Floats = np.ndarray
SPACES, POOLINGS = ("mlp", "heads"), ("last", "mean")


def step_up(steps: Sequence[int], at: int, until: float = np.inf, height: float = 0.6) -> Floats:
    """No region, and from one step on until another a strong one: emerged at the first that is not before `at`."""
    step = np.asarray(steps)
    curve: Floats = np.where((step >= at) & (step < until), height, 0.0)
    return curve


def planted(
    steps: Sequence[int],
    curves: Mapping[str, ArrayLike],
    specific: Collection[str] | None = None,
    general: Collection[str] | None = None,
    spread: float = 0.02,
    twins: int = 8,
    tokens: int = 2048,
    gaps: Sequence[int] = (),
    layers: int = 4,
    loss: bool = False,
) -> xr.Dataset:
    """The curve of each domain in every readout, with what chance gives; NaN is an observation that says nothing.

    A domain is specific and general wherever its curve is above 0, unless only others are named. There are as many
    draws as a verdict takes.
    """
    names, at = list(curves), np.asarray(steps)
    readouts = len(SPACES) * len(POOLINGS)
    draws = ceil(readouts * len(names) / 0.05) + 1
    dims = ("step", "space", "pooling", "domain")
    wide = (len(at), len(SPACES), len(POOLINGS), len(names))
    values = np.stack([np.asarray(curve, dtype=float) for curve in curves.values()], axis=-1)
    values = values + 1e-6 * np.arange(len(at))[:, None]  # an observation equal to the one before is taken for a copy
    index = np.broadcast_to(values[:, None, None, :], wide)
    random = np.random.default_rng(0)
    noise = random.normal(size=(len(names), draws))  # a resample is the same at every step
    untrained = random.normal(0, 0.02, (twins, *wide[1:]))

    def only(chosen: Collection[str] | None) -> Floats:
        keeps = np.array([chosen is None or name in chosen for name in names])
        kept: Floats = np.where(keeps | np.isnan(index), index, -0.2)
        return kept

    def resampled(estimate: Floats) -> Floats:
        drawn: Floats = estimate[..., None] + spread * noise
        return drawn

    variables = {
        "contrast_index": (dims, index),
        "contrast_specificity": (dims, only(specific)),
        "contrast_generality": (dims, only(general)),
        "contrast_index_resampled": ((*dims, "draw"), resampled(index)),
        "contrast_specificity_resampled": ((*dims, "draw"), resampled(only(specific))),
        "contrast_generality_resampled": ((*dims, "draw"), resampled(only(general))),
        "contrast_index_permuted": ((*dims, "draw"), np.where(np.isnan(index)[..., None], np.nan, 0.03 * noise)),
        "contrast_index_twins": (("step", "twin", *dims[1:]), np.broadcast_to(untrained, (len(at), *untrained.shape))),
        "contrast_index_by_layer": ((*dims, "layer"), index[..., None] * np.linspace(0.2, 1, layers)),
        "gap_step": ("gap", np.asarray(gaps, dtype=np.int64)),
        "gap_tokens": ("gap", np.asarray(gaps, dtype=np.int64) * tokens),
    }
    if loss:
        variables["train_loss"] = (("step",), np.where(at > 0, 2 + 8 * np.exp(-at / 300), np.nan))
    coordinates = {
        "step": at,
        "tokens": ("step", at * tokens),
        "space": list(SPACES),
        "pooling": list(POOLINGS),
        "domain": names,
        "layer": np.arange(layers),
    }
    return xr.Dataset(variables, coordinates)
