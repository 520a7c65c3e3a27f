"""The transformers model inside a LightningModule."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel


def find_pretrained(module: nn.Module) -> PreTrainedModel | None:
    """The outermost one, or None where the user has written the model without transformers."""
    return next((part for part in module.modules() if isinstance(part, PreTrainedModel)), None)
