"""Weights removed by their magnitude, the smallest first, for as long as a context lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Int
from torch import Tensor, nn

_CODES = 2**15
"""Magnitudes are told apart to the 8 binary digits that bfloat16 has, so that counting takes one look at each."""


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """How many weights have each magnitude, smallest first, in each group of parameters."""

    counts: Int[Tensor, "group code"]

    @classmethod
    def of(cls, groups: Sequence[Sequence[nn.Parameter]]) -> Magnitudes:
        """Of all together a magnitude is removed everywhere or nowhere."""
        counts = torch.zeros(len(groups), _CODES, dtype=torch.long)
        for row, parameters in enumerate(groups):
            for parameter in parameters:
                counts[row] += torch.bincount(_codes(parameter.data).flatten(), minlength=_CODES).cpu()
        return cls(counts)

    def least(self, share: float) -> int:
        """How many magnitudes must go, from the smallest on, until at least this share of the weights has gone."""
        if not 0 <= share <= 1:
            raise ValueError(f"share is the part of all weights that goes, from 0 to 1; got {share}")
        reached = self.counts.sum(0).cumsum(0)
        wanted = ceil(share * int(reached[-1]))
        return 0 if wanted == 0 else int(torch.searchsorted(reached, wanted)) + 1

    def removed(self, magnitudes: int) -> tuple[float, list[float]]:
        """The share of all weights that has gone with so many magnitudes, and that of each group."""
        gone, all_ = self.counts[:, :magnitudes].sum(1), self.counts.sum(1)
        return float(gone.sum()) / float(all_.sum()), (gone / all_).tolist()


@contextmanager
def pruned(parameters: Sequence[nn.Parameter], magnitudes: int) -> Iterator[None]:
    """Zero for the weights with the smallest magnitudes. What a parameter holds is set aside and never written to."""
    whole = [parameter.data for parameter in parameters]
    try:
        for parameter, data in zip(parameters, whole, strict=True):
            parameter.data = torch.where(_codes(data) < magnitudes, torch.zeros_like(data), data)
        yield
    finally:
        for parameter, data in zip(parameters, whole, strict=True):
            parameter.data = data


def _codes(values: Tensor) -> Int[Tensor, "*weight"]:
    """Numbers in the order of the magnitudes: the bits of a float without its sign are such, and half of them do."""
    bits: Int[Tensor, "*weight"] = values.float().abs().contiguous().view(torch.int32) >> 16
    return bits
