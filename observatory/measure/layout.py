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
    output: str | None = None
    """From the model to the linear layer that writes the logits; looked for unless given."""

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise ValueError(f"heads is the number of query heads per block, at least 1; got {self.heads}")


def find_layout(model: nn.Module) -> Layout:
    """Reads the layout off the modules themselves.

    Attention is told from the MLP by its path. What both sides write and the MLP reads is the residual stream. The
    attention's output is the projection registered last among those that write to it, which holds for the decoders of
    transformers and for nanoGPT's kin; of the MLP just one may.
    """
    blocks, found = _find_blocks(model)
    block = next(iter(found.children()))
    within = [(path, module) for path, module in projections(block) if _ATTENTION.search(path)]
    outside = [(path, module) for path, module in projections(block) if not _ATTENTION.search(path)]
    width = next((read(up) for _, up in outside if any(written(out) == read(up) for _, out in within)), 0)
    down = [path for path, module in outside if width and written(module) == width]
    experts = list(_experts(found))
    if len(down) != 1 or experts:
        inside = ", ".join([*down, *experts[:1]]) or "none"
        raise ValueError(
            f"the MLP of {type(model).__name__} could not be read: looked in {blocks} for one linear layer a block, "
            f"outside the attention, that writes to the residual stream{f' ({width} values)' if width else ''}, found "
            f"{inside}. {_HOW_TO_TELL}"
        )
    attention = [path for path, module in within if written(module) == width][-1]
    return Layout(blocks=blocks, mlp=down[0], attention=attention, heads=_count_heads(model, blocks, block, attention))


def find_output(model: nn.Module, layout: Layout) -> str | None:
    """The linear layer that writes the logits: outside the blocks, with a value for every token of an embedding."""
    if layout.output is not None:
        return layout.output
    vocabularies = {module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)}
    found = {
        path: written(module)
        for path, module in projections(model)
        if not path.startswith(f"{layout.blocks}.") and written(module) in vocabularies
    }
    return max(found, key=lambda path: found[path]) if found else None


def projections(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The linear layers inside, of whatever class: those that say how many values they read and write.

    One with an adapter round it counts with its adapter, and what both consist of does not.
    """
    adapted = None
    for path, child in module.named_modules():
        if adapted is not None and path.startswith(adapted):
            continue
        if read(child) and written(child):
            yield path, child
            if any(_shape(part) == _shape(child) for part in child.modules() if part is not child):
                adapted = f"{path}."


def read(module: nn.Module) -> int:
    """How many values a linear layer reads, or 0 for any other module."""
    return _width(module, "in_features", "nx")


def written(module: nn.Module) -> int:
    """How many values a linear layer writes, or 0 for any other module."""
    return _width(module, "out_features", "nf")


def _shape(module: nn.Module) -> tuple[int, int]:
    return read(module), written(module)


def _width(module: nn.Module, *names: str) -> int:
    return next((value for name in names if isinstance(value := getattr(module, name, None), int)), 0)


def _find_blocks(model: nn.Module) -> tuple[str, nn.Module]:
    """The largest container whose members all hold attention; one that holds the embeddings too holds whole models."""
    candidates = [
        (sum(p.numel() for p in module.parameters()), path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential | nn.ModuleDict)
        and len(list(module.children()))
        and all(any(_ATTENTION.search(path) for path, _ in projections(child)) for child in module.children())
        and not any(isinstance(part, nn.Embedding) for part in module.modules())
    ]
    if not candidates:
        raise ValueError(
            f"no transformer blocks were found in {type(model).__name__}: looked for a ModuleList whose members all "
            f"have a linear layer under a name with 'attn' or 'attention', found "
            f"{_lists(model) or 'no ModuleList'}. {_HOW_TO_TELL}"
        )
    _, blocks, found = max(reversed(candidates), key=lambda candidate: candidate[0])  # of equal ones, the innermost
    return blocks, found


def _experts(blocks: nn.Module) -> Iterator[str]:
    """Weights of several experts in one tensor, which no single linear layer stands for."""
    for path, module in blocks.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            convolution = isinstance(module, nn.Conv1d)
            if parameter.ndim == 3 and not convolution and not _ATTENTION.search(path):
                yield f"{path}.{name} of {parameter.shape[0]} experts"


def _count_heads(model: nn.Module, blocks: str, block: nn.Module, attention: str) -> int:
    owner = block.get_submodule(attention.rpartition(".")[0])
    parts = blocks.split(".")
    above = [model.get_submodule(".".join(parts[:depth])) for depth in range(len(parts) - 1, -1, -1)]
    for module in (owner, *above):
        for source in (module, getattr(module, "config", None)):
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
