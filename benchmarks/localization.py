"""The procedure of llm-localization (AlKhamissi et al., NAACL 2025), written from its description.

It runs one stimulus at a time through the whole language model, keeps what each block puts out at the last token, and
compares |activation| between the two conditions unit by unit: Welch's t, corrected for the false discovery rate, and
the top share of the units. One contrast is localized at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Localized:
    """One contrast's statistics, layer by unit."""

    t: Array
    p: Array
    """Corrected for the false discovery rate."""
    mask: Array
    """The units whose t is at least the k-th largest."""


def localize(
    model: nn.Module,
    blocks: Sequence[nn.Module],
    positive: Sequence[tuple[int, ...]],
    negative: Sequence[tuple[int, ...]],
    count: int,
) -> Localized:
    """The `count` units of the residual stream that stand out most on one contrast."""
    ours, theirs = (np.abs(_last_tokens(model, blocks, stimuli)) for stimuli in (positive, negative))
    t, p = np.empty(ours.shape[1:]), np.empty(ours.shape[1:])
    for layer in range(len(blocks)):
        test = stats.ttest_ind(ours[:, layer], theirs[:, layer], axis=0, equal_var=False)
        t[layer], p[layer] = test.statistic, test.pvalue
    corrected = stats.false_discovery_control(p.ravel()).reshape(p.shape)
    threshold = np.partition(t.ravel(), -count)[-count]
    return Localized(t, corrected, t >= threshold)


def _last_tokens(model: nn.Module, blocks: Sequence[nn.Module], stimuli: Sequence[tuple[int, ...]]) -> Array:
    """(stimulus, layer, unit)"""
    kept: list[Array] = []

    def keep(_: nn.Module, __: object, output: Any) -> None:
        hidden = output if isinstance(output, torch.Tensor) else output[0]
        kept.append(hidden[0, -1].numpy().copy())

    rows = []
    for ids in stimuli:
        kept.clear()
        handles = [block.register_forward_hook(keep) for block in blocks]
        with torch.no_grad():
            model(torch.tensor([ids]))
        for handle in handles:
            handle.remove()
        rows.append(np.stack(kept))
    return np.stack(rows)
