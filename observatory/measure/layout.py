"""Where a decoder keeps its blocks and, inside each, the two projections that everything else is found from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_HEAD_COUNTS = ("num_heads", "num_attention_heads", "n_head", "n_heads", "num_head")
_HOW_TO_TELL = (
    "Say where they are, e.g. layout=Layout(blocks='transformer.h', mlp='mlp.c_proj', attention='attn.c_proj', "
    "heads=12)."
)


@dataclass(frozen=True)
class Layout:
    """Dotted paths: `blocks` from the model, the other two from a block."""

    blocks: str
    """The list of transformer blocks."""
    mlp: str
    """The MLP's down projection; its input is the MLP neurons."""
    attention: str
    """The attention's output projection; its input is the heads side by side."""
    heads: int
    """Query heads per block."""


def find_layout(model: nn.Module) -> Layout:
    """Reads the layout off the modules themselves.

    Attention is told from the MLP by its path. Within either, the projection sought is the one registered last among
    those that write to the residual stream, which holds for the decoders of transformers and for nanoGPT's kin.
    """
    candidates = [
        (sum(p.numel() for p in module.parameters()), path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential | nn.ModuleDict)
        and len(list(module.children()))
        and all(any(True for _ in _attention_projections(child)) for child in module.children())
    ]
    if not candidates:
        raise ValueError(
            f"no transformer blocks were found in {type(model).__name__}: looked for a ModuleList whose members all "
            f"have a linear layer under a name with 'attn' or 'attention', found "
            f"{_lists(model) or 'no ModuleList'}. {_HOW_TO_TELL}"
        )
    _, blocks, found = max(candidates, key=lambda candidate: candidate[0])
    block = next(iter(found.children()))
    attention, output = list(_attention_projections(block))[-1]
    width = written(output)
    mlps = [path for path, module in projections(block) if not _ATTENTION.search(path) and written(module) == width]
    if len(mlps) != 1:
        raise ValueError(
            f"the MLP of {type(model).__name__} could not be read: looked in {blocks}.0 for one linear layer outside "
            f"the attention that writes {width} values, found {', '.join(mlps) or 'none'}. {_HOW_TO_TELL}"
        )
    return Layout(blocks=blocks, mlp=mlps[0], attention=attention, heads=_count_heads(model, block, attention))


def projections(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The linear layers inside, of whatever class: those that say how many values they read and write."""
    for path, child in module.named_modules():
        if _width(child, "in_features", "nx") and written(child):
            yield path, child


def read(module: nn.Module) -> int:
    """How many values a linear layer reads, or 0 for any other module."""
    return _width(module, "in_features", "nx")


def written(module: nn.Module) -> int:
    """How many values a linear layer writes, or 0 for any other module."""
    return _width(module, "out_features", "nf")


def _width(module: nn.Module, *names: str) -> int:
    return next((value for name in names if isinstance(value := getattr(module, name, None), int)), 0)


def _attention_projections(block: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((path, module) for path, module in projections(block) if _ATTENTION.search(path))


def _count_heads(model: nn.Module, block: nn.Module, attention: str) -> int:
    owner = block.get_submodule(attention.rpartition(".")[0])
    for source in (owner, getattr(owner, "config", None), getattr(model, "config", None)):
        for name in _HEAD_COUNTS:
            if isinstance(count := getattr(source, name, None), int):
                return count
    raise ValueError(
        f"the number of attention heads of {type(model).__name__} could not be read: looked for "
        f"{', '.join(_HEAD_COUNTS)} on {type(owner).__name__} and on the model's config. {_HOW_TO_TELL}"
    )


def _lists(model: nn.Module) -> str:
    return ", ".join(
        f"{path} of {len(module)} {type(module[0]).__name__}"
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module)
    )
