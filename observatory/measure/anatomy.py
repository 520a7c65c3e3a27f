"""The unit spaces of one model: which module holds the units of each layer, and on which side."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from observatory.measure.layout import Layout, find_layout, find_output, read, written
from observatory.measure.ranks import ALONE, Ranks

SPACES = ("mlp", "residual", "heads")
_CONTEXTS = ("max_position_embeddings", "n_positions", "n_ctx", "block_size", "max_seq_len", "max_seq_length")


@dataclass(frozen=True)
class Site:
    """One layer of one unit space."""

    module: nn.Module
    side: Literal["input", "output"]
    units: int
    grouped: bool = False
    """Whether each unit is a vector: a head is a slice of the module's input."""

    @property
    def values(self) -> int:
        """Of all its units together."""
        return read(self.module) if self.side == "input" else self.units


@dataclass(frozen=True)
class Speaker:
    """What turns token ids into logits."""

    module: nn.Module
    """The smallest part that does."""
    head: nn.Module
    """Its linear layer with one output for every token."""

    @property
    def vocabulary(self) -> int:
        return written(self.head)

    def logits(self, ids: Int[Tensor, "item token"], last: int) -> Float[Tensor, "item {last} vocabulary"]:
        """Of the last positions: of the others nothing is given to the head."""
        handle = self.head.register_forward_pre_hook(partial(self._cut, ids, last))
        try:
            said = _call(self.module, ids)
        finally:
            handle.remove()
        logits = said if isinstance(said, Tensor) else getattr(said, "logits", None)
        return self._last(said[0] if logits is None else logits, ids, last)

    def _cut(self, ids: Tensor, last: int, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # Contiguous, or every row is multiplied by itself: slower, and less exact by a factor of thirty.
        wanted = self._last(inputs[0], ids, last).contiguous()
        return (wanted if inputs[0].ndim > 2 else wanted.flatten(0, 1), *inputs[1:])

    def _last(self, values: Tensor, ids: Tensor, last: int) -> Float[Tensor, "item {last} value"]:
        """Some models put the items side by side, or give their head the very last position alone."""
        by_item = values.reshape(len(ids), -1, values.shape[-1])
        if by_item.shape[1] < last:
            raise ValueError(
                f"{type(self.module).__name__} gives logits at {by_item.shape[1]} of {ids.shape[1]} positions, "
                f"and answers of {last} tokens need as many; use answers of one token, or let it give all of them"
            )
        return by_item[:, -last:]


@dataclass(frozen=True)
class Anatomy:
    """What measuring needs to know of a model."""

    body: nn.Module
    """The smallest part that turns token ids into block outputs."""
    sites: Mapping[str, tuple[Site, ...]]
    """Unit space -> one site a layer."""
    context: int | None
    """The longest sequence it takes, where it says so."""
    layout: Layout
    speaker: Speaker | None = None
    """What gives logits; None of a body alone."""
    ranks: Ranks = ALONE
    """Who measures it together."""

    @property
    def whole(self) -> nn.Module:
        """All that belongs to the model: with what gives logits, where there is such a thing."""
        return self.body if self.speaker is None else self.speaker.module

    @property
    def layers(self) -> int:
        return len(self.sites["residual"])

    @property
    def device(self) -> torch.device:
        return next(self.body.parameters()).device

    def widths(self, space: str) -> tuple[int, ...]:
        """Units of each layer."""
        return tuple(site.units for site in self.sites[space])

    def run(self, ids: Tensor) -> None:
        """Sends token ids through the body; what is wanted is taken out by hooks."""
        _call(self.body, ids)

    @property
    def voice(self) -> Speaker:
        """What gives logits, for those who cannot do without."""
        if self.speaker is None:
            raise ValueError(
                f"{type(self.body).__name__} gives no logits and cannot be asked anything: looked for a linear layer "
                f"outside the blocks with one output for every token of an nn.Embedding; pass the whole model, or say "
                f"where that layer is, e.g. layout=Layout(..., output='lm_head')"
            )
        return self.speaker


def anatomy(model: nn.Module, layout: Layout | None = None) -> Anatomy:
    """Finds the unit spaces of any decoder, or takes them from a layout."""
    model = getattr(model, "_orig_mod", model)  # hooks do not fire through torch.compile's wrapper
    layout = layout or find_layout(model)
    blocks = _blocks(model, layout)
    mlp = tuple(_projection(block, layout.mlp, "mlp") for block in blocks)
    attention = tuple(_projection(block, layout.attention, "attention") for block in blocks)
    for module in attention:
        if read(module) % layout.heads:
            raise ValueError(
                f"the attention output projection reads {read(module)} values, which {layout.heads} heads do not "
                f"divide; give the right number in layout=Layout(..., heads=...)"
            )
    return Anatomy(
        body=_body(model, layout.blocks),
        sites={
            "mlp": tuple(Site(module, "input", read(module)) for module in mlp),
            "residual": tuple(
                Site(block, "output", written(out)) for block, out in zip(blocks, attention, strict=True)
            ),
            "heads": tuple(Site(module, "input", layout.heads, grouped=True) for module in attention),
        },
        context=_context(model),
        layout=layout,
        speaker=_speaker(model, layout),
    )


def _call(module: nn.Module, ids: Tensor) -> Any:
    accepts = inspect.signature(module.forward).parameters
    return module(ids, **({"use_cache": False} if "use_cache" in accepts else {}))


def _blocks(model: nn.Module, layout: Layout) -> tuple[nn.Module, ...]:
    holder = _at(model, layout.blocks, "blocks")
    blocks = tuple(holder.children())
    layers = len(holder) if isinstance(holder, nn.ModuleList | nn.ModuleDict | nn.Sequential) else len(blocks)
    if not blocks or layers != len(blocks):
        raise ValueError(
            f"{layout.blocks!r} should hold one block a layer; that {type(holder).__name__} has {layers} layers and "
            f"{len(blocks)} blocks of their own"
        )
    return blocks


def _projection(block: nn.Module, path: str, what: str) -> nn.Module:
    module = _at(block, path, what)
    if not (read(module) and written(module)):
        raise ValueError(
            f"the layout puts {what} at {path!r}, where a linear layer was looked for, one with in_features and "
            f"out_features, and a {type(module).__name__} was found"
        )
    return module


def _at(module: nn.Module, path: str, what: str) -> nn.Module:
    try:
        return module.get_submodule(path)
    except AttributeError as error:
        children = ", ".join(name for name, _ in module.named_children())
        raise ValueError(
            f"the layout puts {what} at {path!r}, which {type(module).__name__} does not have; its children are "
            f"{children or 'none'}"
        ) from error


def _body(model: nn.Module, blocks: str) -> nn.Module:
    """The smallest ancestor of the blocks that can be called and that embeds tokens: calling it leaves the head out."""
    for ancestor in _callable_ancestors(model, blocks):
        if any(isinstance(module, nn.Embedding) for module in ancestor.modules()):
            return ancestor
    raise ValueError(
        f"no module of {type(model).__name__} above {blocks!r} takes token ids: looked for one with a forward of its "
        f"own and an nn.Embedding inside; pass the module that does"
    )


def _speaker(model: nn.Module, layout: Layout) -> Speaker | None:
    """The smallest ancestor of blocks and head that can be called."""
    path = find_output(model, layout)
    if path is None:
        return None
    head = _at(model, path, "the output")
    body = _body(model, layout.blocks)
    for ancestor in _callable_ancestors(model, layout.blocks):
        inside = set(ancestor.modules())
        if head in inside and body in inside:
            return Speaker(ancestor, head)
    return None


def _callable_ancestors(model: nn.Module, blocks: str) -> Iterator[nn.Module]:
    """From the inside out."""
    parts = blocks.split(".")
    for depth in range(len(parts) - 1, -1, -1):
        ancestor = model.get_submodule(".".join(parts[:depth]))
        if type(ancestor).forward is not nn.Module.forward:
            yield ancestor


def _context(model: nn.Module) -> int | None:
    for module in model.modules():
        for source in (getattr(module, "config", None), module):
            for name in _CONTEXTS:
                if isinstance(length := getattr(source, name, None), int):
                    return length
    return None
