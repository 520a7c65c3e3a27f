"""Re-initialised twins: the same architecture with fresh weights, against which a trained model is held."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from observatory.measure.anatomy import Anatomy, anatomy
from observatory.measure.layout import Layout

Fresh = Callable[[], nn.Module]
"""Makes the model anew, with random weights."""

_BY_SIZE = ((10**8, 16), (10**9, 8))
_OF_LARGE = 4
"""How many twins: the larger the model, the more each costs; the t quantile of the verdict knows how few they are."""


@dataclass(frozen=True)
class Scheme:
    """How the weights of a twin come about."""

    name: str
    fill: Callable[[nn.Module, int], None]
    """Gives a copy of the model the weights of one seed."""


def default_count(body: nn.Module) -> int:
    """Fewer for larger models; embeddings do not count, since they cost next to nothing."""
    embedded = {id(m.weight) for m in body.modules() if isinstance(m, nn.Embedding)}
    size = sum(p.numel() for p in body.parameters() if id(p) not in embedded)
    return next((count for limit, count in _BY_SIZE if size <= limit), _OF_LARGE)


def find_scheme(model: nn.Module, step: int, fresh: Fresh | None, layout: Layout | None) -> Scheme | None:
    """How this model was initialised: as the user says, as step 0 shows, or as transformers does it.

    At step 0 the weights themselves are a sample of their initialisation, whatever it is: to shuffle the entries of
    each parameter is to draw it again. None where nothing tells.
    """
    if fresh is not None:
        return Scheme("made by the function given as fresh", _rebuild(lambda: anatomy(fresh(), layout).whole))
    if step == 0:
        return Scheme("entries of each parameter at step 0 shuffled", _shuffle)
    if (make := _from_config(model)) is not None:
        return Scheme("made from the configuration by transformers", _rebuild(make))
    return None


def twins(original: Anatomy, scheme: Scheme, count: int) -> Iterator[Anatomy]:
    """One after another in the memory of one: the next seed's weights replace those of the one before."""
    twin = _copy(original)
    for seed in range(count):
        scheme.fill(twin.whole, seed)
        yield twin


def _copy(original: Anatomy) -> Anatomy:
    """Without its hooks and trainer: they are of whoever put them there, and so is what they hold on to."""
    memo: dict[int, Any] = {}
    for module in original.whole.modules():
        for name, held in vars(module).items():
            if name.endswith("_hooks") and isinstance(held, dict):
                memo[id(held)] = OrderedDict()
            elif name in ("_trainer", "_fabric"):
                memo[id(held)] = None
    return copy.deepcopy(original, memo)


def _shuffle(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
        parameter.copy_(parameter.flatten()[order].view_as(parameter))


def _rebuild(make: Fresh) -> Callable[[nn.Module, int], None]:
    def fill(model: nn.Module, seed: int) -> None:
        torch.default_generator.manual_seed(seed)  # the caller has put it aside; a GPU's is left alone
        weights: dict[str, Tensor] = make().state_dict()
        model.load_state_dict(weights)

    return fill


def _from_config(model: nn.Module) -> Fresh | None:
    """As transformers initialises a model of that class, where it is one of transformers' own, without adapters."""
    config = getattr(model, "config", None)
    if config is None or not hasattr(model, "init_weights"):
        return None
    with torch.device("meta"):
        known = type(model)(config).state_dict().keys()
    return (lambda: type(model)(config)) if known == model.state_dict().keys() else None
