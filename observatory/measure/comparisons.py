"""Ways to hold a model's activations on some stimuli against what an outside representation says of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from observatory.measure.folds import folds
from observatory.measure.predictivity import ceiling, foreseen, within_folds
from observatory.measure.similarity import (
    CHANCE_OF_ODD,
    dissimilarity,
    odd_ceiling,
    odd_ones,
    pairs,
    ranks,
    rsa_ceiling,
    standardised,
)
from observatory.stimuli.outside import Outside

_FOLDS = 5


class Comparison(ABC):
    """One score of one representation."""

    measure: ClassVar[str]
    chance: ClassVar[float] = 0.0

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.values = torch.from_numpy(outside.values)

    @property
    def name(self) -> str:
        return f"{self.outside.name}/{self.measure}"

    @property
    @abstractmethod
    def ceiling(self) -> tuple[float, float]:
        """Between which values noise lets the score of a true model lie; NaN where nothing tells."""

    @abstractmethod
    def kept(self, activations: Float[Tensor, "stimulus unit"]) -> Tensor:
        """What the score needs of them."""

    @abstractmethod
    def scores(self, kept: Sequence[Tensor], rows: Bool[Tensor, " stimulus"]) -> list[float]:
        """Of each set of units, over these stimuli alone."""


class Predictivity(Comparison):
    """Pearson's r between responses and what activations foresee of them, mean over channels."""

    measure = "predictivity"

    @cached_property
    def ceiling(self) -> tuple[float, float]:
        known = ceiling(self.values, self._folds, self.name).mean()
        return float(known), float(known)

    def kept(self, activations: Float[Tensor, "stimulus unit"]) -> Float[Tensor, "stimulus channel"]:
        return foreseen(standardised(activations), self._mean, self._folds)

    def scores(self, kept: Sequence[Tensor], rows: Bool[Tensor, " stimulus"]) -> list[float]:
        mean, parts = self._mean[rows], self._folds[rows]
        return [
            float(within_folds(one[rows], mean, parts).mean()) if one.isfinite().all() else float("nan") for one in kept
        ]

    @cached_property
    def _mean(self) -> Float[Tensor, "stimulus channel"]:
        mean = self.values.nanmean(2)
        return (mean - mean.mean(0)) / mean.std(0)

    @cached_property
    def _folds(self) -> Tensor:
        return folds(self.outside.groups, _FOLDS, "predictivity")


class Rsa(Comparison):
    """Spearman's rho of dissimilarities, mean over subjects (Nili et al. 2014).

    Repeats of responses are taken for subjects, or averaged where one of them lacks a value.
    """

    measure = "rsa"

    @cached_property
    def ceiling(self) -> tuple[float, float]:
        return rsa_ceiling(pairs(self._subjects))

    def kept(self, activations: Float[Tensor, "stimulus unit"]) -> Float[Tensor, "stimulus stimulus"]:
        return dissimilarity(standardised(activations)).float()

    def scores(self, kept: Sequence[Tensor], rows: Bool[Tensor, " stimulus"]) -> list[float]:
        subjects = self._ranked(rows)
        return [float((ranks(pairs(one[rows][:, rows])) * subjects).sum()) for one in kept]

    def _ranked(self, rows: Bool[Tensor, " stimulus"]) -> Float[Tensor, " pair"]:
        """Mean over subjects, kept for the next time: it has nothing to do with the model."""
        key = bytes(rows.numpy())
        if key not in self._known:
            self._known[key] = ranks(pairs(self._subjects[:, rows][:, :, rows])).mean(0)
        return self._known[key]

    @cached_property
    def _known(self) -> dict[bytes, Float[Tensor, " pair"]]:
        return {}

    @cached_property
    def _subjects(self) -> Float[Tensor, "subject stimulus stimulus"]:
        if self.outside.kind == "dissimilarities":
            return self.values
        whole = self.values if self.values.isfinite().all() else self.values.nanmean(2, keepdim=True)
        return torch.stack([dissimilarity(standardised(one)) for one in whole.unbind(2)])


class OddOnes(Comparison):
    """The share of triplets whose odd one is the model's, too."""

    measure = "triplets"
    chance = CHANCE_OF_ODD

    @cached_property
    def ceiling(self) -> tuple[float, float]:
        return odd_ceiling(self.values)

    def kept(self, activations: Float[Tensor, "stimulus unit"]) -> Float[Tensor, " triplet"]:
        return odd_ones(dissimilarity(standardised(activations)), self.values)

    def scores(self, kept: Sequence[Tensor], rows: Bool[Tensor, " stimulus"]) -> list[float]:
        whole = rows[self.values].all(1)
        return [float(one[whole].mean()) for one in kept]


def comparisons(outside: Outside) -> tuple[Comparison, ...]:
    """All that its kind of data allows."""
    if outside.kind == "triplets":
        return (OddOnes(outside),)
    if outside.kind == "dissimilarities":
        return (Rsa(outside),)
    alike = (Rsa(outside),) if outside.kind == "responses" and outside.values.shape[1] >= 3 else ()
    return (Predictivity(outside), *alike)
