"""What a logbook says of the model beside its observations."""

from __future__ import annotations

from torch import nn
from torch.nn.parameter import is_lazy
from transformers import PreTrainedModel


def facts(model: nn.Module) -> dict[str, str | int]:
    """Of the part that is trained: its configuration, and how large it is, of which FSDP1 shows a process its part."""
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    known = next((part for part in parts if any(p.requires_grad for p in part.parameters())), next(iter(parts), None))
    told: dict[str, str | int] = {}
    if known is not None:
        told["model_config"] = known.config.to_json_string(use_diff=False)
    sizes = [0 if is_lazy(p) else p.numel() for p in (known or model).parameters()]
    spread = any(type(part).__name__ == "FullyShardedDataParallel" for part in model.modules()) or 0 in sizes
    return told if spread else {**told, "model_parameters": sum(sizes)}
