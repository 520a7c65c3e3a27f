"""Stimuli dealt out by groups: for cross-validation, and to tell an error by leaving out one part after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from observatory.measure.drawn import generator


def folds(groups: Sequence[str], count: int, name: str) -> Int[Tensor, " stimulus"]:
    """So many parts of about one size, or as many as there are groups, none of which is in two; the same for one name.

    The largest groups are dealt out first, each to the smallest part so far; of equals the order is random.
    """
    sizes = Counter(groups)
    labels = sorted(sizes)
    drawn = [labels[place] for place in generator(name, "folds").permutation(len(labels))]
    filled = [0] * min(count, len(labels))
    part: dict[str, int] = {}
    for label in sorted(drawn, key=lambda one: -sizes[one]):
        part[label] = filled.index(min(filled))
        filled[part[label]] += sizes[label]
    return torch.tensor([part[label] for label in groups])


def jackknife_error(left_out: Float[Tensor, "*batch part"]) -> Float[Tensor, "*batch"]:
    """Standard error of a statistic from its values with each part left out (Tukey 1958); a missing one is none."""
    count = left_out.isfinite().sum(-1).double()
    apart = left_out - left_out.nanmean(-1, keepdim=True)
    return torch.where(count > 1, ((count - 1) / count * apart.square().nansum(-1)).sqrt(), torch.nan)
