"""The attention weights of a forward pass, seen as the model computes them, whatever code it runs.

torch is asked to tell of each softmax and each fused attention while a block runs, so nothing of the model is
exchanged: weights are taken from the softmax, or worked out again from what fused attention is given. A model of
transformers whose kernel is neither runs its plain code meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from observatory.measure.anatomy import Anatomy
from observatory.measure.reading import Tokens, batches

Weigh = Callable[[Tensor], Tensor]
"""(item, head, query, key) of one layer -> (value, item, head)."""

_SOFTMAX = (functional.softmax, torch.softmax, Tensor.softmax)
_VISIBLE = (None, "eager", "sdpa")
"""What transformers calls attention that goes through torch's softmax or its fused attention."""


@dataclass(frozen=True)
class Attended:
    """What was kept of the weights of every head."""

    values: Float[Tensor, "value item layer head"]
    """NaN in layers that showed none."""
    shown: Bool[Tensor, " layer"]
    unseen: str
    """Why there are none, where there are none; else nothing."""


def attended(anatomy: Anatomy, tokens: Tokens, weigh: Weigh, values: int, batch_tokens: int) -> Attended:
    """Sends texts through the model and keeps `values` numbers of each text and head."""
    heads, layers = anatomy.layout.heads, anatomy.layers
    found = torch.zeros(values, len(tokens), layers, heads)
    odd = torch.zeros(layers)
    for batch in anatomy.ranks.own(batches(tokens, batch_tokens)):
        times = [0] * layers

        def take(layer: int, weights: Tensor, rows: Tensor = batch.items, times: list[int] = times) -> None:
            times[layer] += 1
            found[:, rows, layer] = weigh(weights.float()).to("cpu", torch.float32)

        with _plain_code(anatomy.whole), _watched(anatomy, tuple(batch.ids.shape), take):
            anatomy.run(batch.ids.to(anatomy.device))
        odd += torch.tensor([float(count != 1) for count in times])
    shown = anatomy.ranks.total(odd) == 0
    whole = anatomy.ranks.total(found)
    whole[:, :, ~shown] = torch.nan
    return Attended(whole, shown, "" if shown.all() else _unseen(anatomy, shown))


class _Watch(TorchFunctionMode):
    """Hands over the weights of whichever layer is being run."""

    def __init__(self, shape: tuple[int, int, int, int], take: Callable[[int, Tensor], None]) -> None:
        super().__init__()
        self.layer: int | None = None
        self._shape = shape
        self._take = take

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        if self.layer is not None:
            weights = None
            if func in _SOFTMAX:
                weights = result
            elif func is functional.scaled_dot_product_attention:
                weights = fused_weights(*args, **given)
            if weights is not None and self._fits(weights):
                self._take(self.layer, weights.reshape(self._shape))
        return result

    def _fits(self, weights: Tensor) -> bool:
        """Experts and the like have a softmax, too."""
        return tuple(weights.shape[-2:]) == self._shape[2:] and weights.numel() == torch.Size(self._shape).numel()


def fused_weights(
    query: Float[Tensor, "*batch query component"],
    key: Float[Tensor, "*group key component"],
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Float[Tensor, "*batch query key"]:
    """The weights that torch's fused attention does not give, in single precision, one row for each query head."""
    if key.shape[:-2] != query.shape[:-2]:  # a group of query heads shares a key
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
    scores = query.float() @ key.float().mT * (1 / sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    if attn_mask is not None:
        wanted = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -torch.inf) if wanted else scores + attn_mask.float()
    return scores.softmax(-1)


@contextmanager
def _watched(anatomy: Anatomy, shape: tuple[int, ...], take: Callable[[int, Tensor], None]) -> Iterator[None]:
    items, length = shape
    with ExitStack() as stack:
        watch = _Watch((items, anatomy.layout.heads, length, length), take)

        def enter(layer: int | None) -> Callable[..., None]:
            def hook(*_: object) -> None:
                watch.layer = layer

            return hook

        for layer, site in enumerate(anatomy.sites["residual"]):
            stack.callback(site.module.register_forward_pre_hook(enter(layer)).remove)
            stack.callback(site.module.register_forward_hook(enter(None)).remove)
        stack.enter_context(watch)
        yield


@contextmanager
def _plain_code(model: nn.Module) -> Iterator[None]:
    """Code of transformers that torch would not tell of stands aside; afterwards it is in its place again."""
    configs = {id(config): config for module in model.modules() if (config := getattr(module, "config", None))}
    before = [(one, one._attn_implementation) for one in configs.values() if hasattr(one, "_attn_implementation")]
    hidden = [(config, name) for config, name in before if name not in _VISIBLE]
    try:
        for config, _ in hidden:
            config._attn_implementation = "eager"
        yield
    finally:
        for config, name in before if hidden else ():  # a config's parts take what it is given, so theirs come after
            config._attn_implementation = name


def _unseen(anatomy: Anatomy, shown: Tensor) -> str:
    layer = int((~shown).nonzero()[0])
    block = type(anatomy.sites["residual"][layer].module).__name__
    return (
        f"no attention weights of layer {layer}: looked in its {block} for one softmax or one "
        f"scaled_dot_product_attention with a row for each of {anatomy.layout.heads} heads and every token"
    )
