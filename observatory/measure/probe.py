"""Linear probes that tell the target of a pair from its control, trained on some families and tested on another.

A pair is the difference of its two, so what sets families apart cannot be learned, and to swap the labels within a pair
is to change a sign. The probe is ridge regression in closed form. It is solved among pairs, for all draws of labels at
once, so units cost no more than the products of pairs with each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from observatory.measure.statistics import RESOLUTION


def across_families(
    kernel: Float[Tensor, "pair pair"],
    labels: Float[Tensor, "draw pair"],
    families: Sequence[slice],
    penalty: float,
) -> Float[Tensor, "draw family"]:
    """The share of each family's pairs told right by a probe of the others, for each draw of the others' labels.

    Half is chance. The pairs that are told have their own labels in every draw: where the differences of a family have
    a direction of their own, a probe of no sense tells all of them right or all of them wrong, and chance must do so,
    too. NaN where there is no other family.
    """
    found = torch.full((len(labels), len(families)), torch.nan, dtype=torch.float64)
    for held, tested in enumerate(families):
        train = torch.ones(len(kernel), dtype=torch.bool)
        train[tested] = False
        if train.any():
            scores = ridge(kernel[train][:, train], labels[:, train], kernel[tested][:, train], penalty)
            right = (scores > 0).double() + 0.5 * (scores == 0).double()
            found[:, held] = torch.where(scores.isfinite(), right, torch.nan).mean(1)
    return found


def ridge(
    kernel: Float[Tensor, "pair pair"],
    labels: Float[Tensor, "draw pair"],
    between: Float[Tensor, "other pair"],
    penalty: float,
) -> Float[Tensor, "draw other"]:
    """Scores z w of other pairs z, with w = argmin |X w - y|^2 / u + penalty |w|^2 over u units.

    From the products X X' / u and z X' / u alone, since w = X' (X X' / u + penalty)^-1 y / u.
    """
    if not kernel.isfinite().all():
        return torch.full((len(labels), len(between)), torch.nan, dtype=torch.float64)
    ridged = kernel + penalty * torch.eye(len(kernel), dtype=torch.float64)
    weights = torch.cholesky_solve(between.T, torch.linalg.cholesky(ridged))  # fewer to solve for than draws
    return labels.double() @ weights


def products(targets: Float[Tensor, "pair unit"], controls: Float[Tensor, "pair unit"]) -> Float[Tensor, "pair pair"]:
    """Of the pairs' differences, each unit scaled to a mean square of one: one along the diagonal, on the average.

    The mean square does not know which of a pair is the target, so it may be taken of all pairs. A unit that is not
    finite is left out, and so is one that differs within pairs by no more than rounding; if none does, no pair says
    anything. NaN if none is finite.
    """
    apart = targets.double() - controls.double()
    size = apart.square().mean(0).sqrt()
    scale = (targets.double().square() + controls.double().square()).mean(0).sqrt()
    if not scale.isfinite().any():
        return torch.full((len(apart), len(apart)), torch.nan, dtype=torch.float64)
    usable: Bool[Tensor, " unit"] = size > RESOLUTION * scale  # not where it is nan or infinite
    x = apart[:, usable] / size[usable]
    return x @ x.T / max(1, x.shape[1])
