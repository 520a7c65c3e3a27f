"""A model whose weights are spread over processes, as one plain model for as long as it is looked at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch.distributed as dist
from torch import nn

_SPREAD = "torch.distributed"
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """Every module holds its whole weights and runs by itself; all processes come and go together.

    FSDP gathers weights as its modules are run, and would do so at every pass of ours, on all processes at once. Here
    it gathers them once, and stands aside until they are spread again. What is changed meanwhile is lost.
    """
    with ExitStack() as stack:
        _gather_wrapped(model, stack)
        _gather_sharded(model, stack)
        yield


def _gather_wrapped(model: nn.Module, stack: ExitStack) -> None:
    """FSDP1: modules wrapped in others."""
    if not dist.is_available():
        return
    from torch.distributed.fsdp import FullyShardedDataParallel

    wrappers = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, FullyShardedDataParallel)
    ]
    if wrappers:
        whole = model if isinstance(model, FullyShardedDataParallel) else None
        for one in [whole] if whole is not None else [child for _, _, child in wrappers]:
            stack.enter_context(FullyShardedDataParallel.summon_full_params(one, writeback=False))
    for parent, name, child in wrappers:
        stack.callback(setattr, parent, name, child)
        setattr(parent, name, child.module)


def _gather_sharded(model: nn.Module, stack: ExitStack) -> None:
    """FSDP2: modules that have been given another class, hooks and a state."""
    sharded = [module for module in model.modules() if is_sharded(module)]
    for module in sharded:
        module.unshard()  # type: ignore[operator]
        stack.callback(module.reshard)  # type: ignore[arg-type]
    for module in sharded:
        _make_plain(module, stack)


def is_sharded(module: nn.Module) -> bool:
    """By FSDP2."""
    return any(kind.__name__ == "FSDPModule" and kind.__module__.startswith(_SPREAD) for kind in type(module).__mro__)


def plain_class(module: nn.Module) -> type[nn.Module]:
    """That which it was written with."""
    return type(module).__mro__[2] if is_sharded(module) else type(module)


def _make_plain(module: nn.Module, stack: ExitStack) -> None:
    attributes: dict[str, Any] = vars(module)
    stack.callback(setattr, module, "__class__", type(module))
    module.__class__ = plain_class(module)
    for name in _HOOKS:
        stack.callback(attributes.__setitem__, name, attributes[name])
        attributes[name] = OrderedDict((k, hook) for k, hook in attributes[name].items() if not _is_of_torch(hook))
    for name in [name for name, held in attributes.items() if _holds_state(held)]:
        stack.callback(attributes.__setitem__, name, attributes.pop(name))


def _is_of_torch(hook: object) -> bool:
    return str(getattr(hook, "__module__", "")).startswith(_SPREAD)


def _holds_state(held: object) -> bool:
    return isinstance(held, dict) and any(type(one).__module__.startswith(_SPREAD) for one in held.values())
