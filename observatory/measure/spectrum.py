"""How many directions a matrix makes use of."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def variances(matrix: Float[Tensor, "row column"]) -> Float[Tensor, " direction"]:
    """The squared singular values, as many as the shorter side has; NaN where an entry is not finite."""
    exact = matrix.double()
    short = exact if exact.shape[0] <= exact.shape[1] else exact.T
    if not exact.isfinite().all():
        return torch.full((len(short),), torch.nan, dtype=torch.float64)
    found: Float[Tensor, " direction"] = torch.linalg.eigvalsh(short @ short.T).clamp(min=0).cpu()
    return found


def effective_rank(variances: Float[Tensor, " direction"]) -> Float[Tensor, ""]:
    """exp of the entropy of the singular values, each as a share of their sum; NaN where all are zero.

    Roy and Vetterli 2007, EUSIPCO, 606-610.
    """
    sizes = variances.sqrt()
    found: Float[Tensor, ""] = torch.special.entr(sizes / sizes.sum()).sum().exp()
    return found


def participation_ratio(variances: Float[Tensor, " direction"]) -> Float[Tensor, ""]:
    """(sum l)^2 / sum l^2 of the variances l; NaN where all are zero.

    Gao et al. 2017, bioRxiv 214262.
    """
    found: Float[Tensor, ""] = variances.sum().square() / variances.square().sum()
    return found
