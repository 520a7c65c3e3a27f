"""From the activations of a stimulus to one value a unit: its magnitude at the last token, and on average."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

POOLINGS = ("last", "mean")


def last_and_mean_magnitude(
    activations: Float[Tensor, "item token unit *component"],
) -> Float[Tensor, "pooling item unit"]:
    """|activation|, or its norm for a unit that is a vector, at the last token and averaged from the second token on.

    Position 0 is never read: it is an attention sink, with activations hundreds of times the median.
    """
    read = activations[:, 1:].float()
    magnitude = read.abs() if read.ndim == 3 else torch.linalg.vector_norm(read, dim=-1)
    return torch.stack((magnitude[:, -1], magnitude.mean(1)))
