"""Units of a model put out of action, for as long as a context lasts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from observatory.measure.anatomy import Anatomy, Site, anatomy
from observatory.measure.layout import read
from observatory.measure.undisturbed import uncompiled
from observatory.observation import Array


@dataclass(frozen=True, eq=False)
class Replacement:
    """What stands in the place of lesioned units, and at which positions."""

    values: Mapping[str, Tensor] | None = None
    """Unit space -> one value for each of its units, of which those outside the mask are not used: (unit) or, where
    each row of the batch has its own, (item, unit); for heads with a last axis of components. None is zero."""
    at: int | None = None
    """The one position that is touched, counted from the first token of each row, which is 0; None is all but 0."""

    def __post_init__(self) -> None:
        if self.at is not None and self.at < 1:
            raise ValueError(f"position 0 is never touched, and positions are counted from there; got at={self.at}")


ZERO = Replacement()


@contextmanager
def lesion(model: nn.Module | Anatomy, masks: Mapping[str, Tensor | Array], to: Replacement = ZERO) -> Iterator[None]:
    """Replaces the units of each mask, flat or (layer, unit), at every position but 0, which is an attention sink.

    Position 0 is the first token that is not padding, also in generation, whose later passes see new tokens only. A
    model may be in either mode, compiled, or given as its anatomy. No gradient flows to what was replaced; a backward
    pass that computes activations anew, as with gradient checkpointing, must end before the context does.
    """
    found = model if isinstance(model, Anatomy) else anatomy(model)
    cuts = [cut for space, mask in masks.items() for cut in _cuts(found, space, mask, to)]
    names = tuple(inspect.signature(found.body.forward).parameters)
    touched: Bool[Tensor, "#item token"] | None = None
    tokens: tuple[int, ...] = ()

    def begin(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal touched, tokens
        named = {**dict(zip(names, args, strict=False)), **kwargs}
        embedded = named.get("inputs_embeds")
        ids = named[names[0]] if embedded is None else embedded[..., 0]
        positions = _positions(ids, named)
        touched, tokens = positions > 0 if to.at is None else positions == to.at, ids.shape

    def cut_out(cut: _Cut, activations: Tensor) -> Tensor:
        if touched is None:
            raise RuntimeError(
                f"a {type(cut.site.module).__name__} with lesioned units was run by itself, where positions are not "
                f"known; run {type(found.body).__name__} or the whole model"
            )
        by_token = activations.reshape(*tokens, -1)  # some modules take items and tokens flattened into one axis
        return cut.applied(by_token, touched).reshape(activations.shape)

    with ExitStack() as stack:
        if cuts:
            stack.enter_context(uncompiled())
            stack.callback(found.body.register_forward_pre_hook(begin, with_kwargs=True).remove)
        for cut in cuts:
            stack.callback(_hook(cut, cut_out).remove)
        yield


@dataclass(frozen=True, eq=False)
class _Cut:
    """The lesion of one layer, by the single values that its units consist of."""

    site: Site
    chosen: Bool[Tensor, " value"]
    values: Float[Tensor, "*item #value"]

    def applied(
        self, activations: Float[Tensor, "item token value"], touched: Bool[Tensor, "#item token"]
    ) -> Float[Tensor, "item token value"]:
        values = self.values.to(activations)
        if values.ndim == 2:
            if len(values) != len(activations):
                raise ValueError(
                    f"the replacement has values of its own for {len(values)} items, and the model is run on "
                    f"{len(activations)}"
                )
            values = values[:, None]
        where = touched.to(activations.device)[..., None] & self.chosen.to(activations.device)
        return torch.where(where, values, activations)


def _hook(cut: _Cut, cut_out: Callable[[_Cut, Tensor], Tensor]) -> torch.utils.hooks.RemovableHandle:
    if cut.site.side == "input":
        return cut.site.module.register_forward_pre_hook(partial(_before, cut, cut_out))
    return cut.site.module.register_forward_hook(partial(_after, cut, cut_out))


def _before(
    cut: _Cut, cut_out: Callable[[_Cut, Tensor], Tensor], _: nn.Module, inputs: tuple[Any, ...]
) -> tuple[Any, ...]:
    return (cut_out(cut, inputs[0]), *inputs[1:])


def _after(
    cut: _Cut,
    cut_out: Callable[[_Cut, Tensor], Tensor],
    _: nn.Module,
    __: object,
    output: Tensor | tuple[Any, ...],
) -> Tensor | tuple[Any, ...]:
    if isinstance(output, Tensor):
        return cut_out(cut, output)
    return (cut_out(cut, output[0]), *output[1:])


def _positions(ids: Tensor, named: Mapping[str, Any]) -> Int[Tensor, "#item token"]:
    """Of the tokens of one call in their rows, in whatever way the call tells what is past and what is padding."""
    past, mask, own = named.get("past_key_values"), named.get("attention_mask"), named.get("position_ids")
    cached = 0 if past is None else past.get_seq_length()
    positions = (cached + torch.arange(ids.shape[-1], device=ids.device))[None]
    if isinstance(mask, Tensor) and mask.ndim == 2:  # the first token is the first that the mask lets through
        positions = positions - mask.ne(0).int().argmax(-1, keepdim=True)
    if isinstance(own, Tensor) and own.ndim == 2:  # with a cache of fixed size there is no such mask but only these
        positions = torch.minimum(positions, own)
    return positions


def _cuts(found: Anatomy, space: str, mask: Tensor | Array, to: Replacement) -> Iterator[_Cut]:
    """One for each layer in which the mask has a unit."""
    if space not in found.sites:
        raise ValueError(f"there are no units called {space!r}; a mask can be given for {', '.join(found.sites)}")
    widths, device = found.widths(space), found.device
    chosen = torch.split_with_sizes(_flat(mask, widths, space).to(device), widths)
    for site, units, values in zip(found.sites[space], chosen, _values(found, space, to), strict=True):
        if units.any():
            yield _Cut(site, units.repeat_interleave(_size(site)), values.to(device))


def _size(site: Site) -> int:
    """How many values a unit consists of."""
    return read(site.module) // site.units if site.grouped else 1


def _flat(mask: Tensor | Array, widths: tuple[int, ...], space: str) -> Bool[Tensor, " unit"]:
    if str(mask.dtype).removeprefix("torch.") != "bool":
        raise ValueError(f"the mask of {space!r} must be boolean, True for units to replace; got {mask.dtype}")
    given = mask if isinstance(mask, Tensor) else torch.tensor(np.asarray(mask))
    by_layer = (len(widths), max(widths))
    if given.shape == (sum(widths),):
        return given
    if given.shape != by_layer:
        raise ValueError(
            f"the mask of {space!r} has shape {tuple(given.shape)}; this model has {sum(widths)} units in "
            f"{len(widths)} layers, so it must be ({sum(widths)},) or {by_layer}"
        )
    if any(row[width:].any() for row, width in zip(given, widths, strict=True)):
        raise ValueError(
            f"the mask of {space!r} has True where its layer has no unit; narrower layers must end in False, and the "
            f"layers have {', '.join(map(str, widths))} units"
        )
    return torch.cat([row[:width] for row, width in zip(given, widths, strict=True)])


def _values(found: Anatomy, space: str, to: Replacement) -> Sequence[Float[Tensor, "*item value"]]:
    """Of each layer, with the components of heads side by side, as they are in activations."""
    sites = found.sites[space]
    if to.values is None:
        return [torch.zeros(1)] * len(sites)
    if space not in to.values:
        raise ValueError(
            f"there is a mask for {space!r} but no values to put there; the replacement has values for "
            f"{', '.join(to.values) or 'nothing'}"
        )
    if len(sizes := {_size(site) for site in sites}) > 1:
        raise ValueError(f"the {space} of this model differ in size, {sorted(sizes)}, and can only be set to zero")
    values, units = to.values[space], sum(found.widths(space))
    shape = (units, *sizes) if sites[0].grouped else (units,)
    items = values.shape[: -len(shape)]
    if values.shape != (*items, *shape) or len(items) > 1:
        raise ValueError(
            f"the values for {space!r} have shape {tuple(values.shape)}; in this model they must be {shape}, or "
            f"(items, {', '.join(map(str, shape))}) with one row for each item of a batch"
        )
    return torch.split_with_sizes(values.reshape(*items, -1), [site.units * _size(site) for site in sites], dim=-1)
