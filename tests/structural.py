"""What tests of structural instruments share: observing by them, and activations one text at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from loop import small_battery, word_tokenizer
from torch import Tensor, nn

from observatory import Instrument, Observation, Observatory
from observatory.measure.scene import texts
from observatory.stimuli.tokens import encode

STRUCTURAL = ("massive", "sparsity", "rank", "weights", "pruning")


def observed(model: nn.Module, *instruments: Instrument | str, **settings: Any) -> Observation:
    """On random words."""
    given: dict[str, Any] = {"battery": small_battery(), "twins": 0, **settings}
    return Observatory(word_tokenizer(), instruments=instruments, **given).observe(model, step=0)


def shown() -> list[tuple[int, ...]]:
    """The stimuli in tokens."""
    return encode(word_tokenizer(), texts(small_battery()))


def recorded(
    model: nn.Module, modules: Sequence[nn.Module], side: str, tokens: Sequence[tuple[int, ...]] | None = None
) -> list[list[np.ndarray]]:
    """The inputs or outputs (token, unit) of each module, text after text."""
    kept: list[list[np.ndarray]] = [[] for _ in modules]

    def keep(number: int, values: Tensor | tuple[Tensor, ...]) -> None:
        found = values if isinstance(values, Tensor) else values[0]
        kept[number].append(found.detach().float()[0].numpy().copy())

    handles = [
        module.register_forward_hook(lambda _, given, out, n=n: keep(n, given if side == "input" else out))
        for n, module in enumerate(modules)
    ]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        for ids in shown() if tokens is None else tokens:
            model(torch.tensor([ids]))
    for module, training in modes:
        module.training = training
    for handle in handles:
        handle.remove()
    return kept
