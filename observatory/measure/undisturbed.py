"""Looking at a model without leaving a trace."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import numpy as np
import torch
from torch import nn


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients or autocast; afterwards every module's mode and every generator is as before.

    Each module gets its own mode back, for a submodule frozen in eval mode must not wake up. Gradients are switched off
    with no_grad: a tensor that a module caches on first use under inference_mode would break the next backward pass.
    """
    modes = [(module, module.training) for module in model.modules()]
    python, numpy = random.getstate(), np.random.get_state()
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    devices = [device] if device.type == "cuda" else []
    try:
        with (
            torch.random.fork_rng(devices=devices),
            torch.no_grad(),
            torch.autocast(device_type=device.type, enabled=False),
            uncompiled(),
            _plain_forward(model),
        ):
            for module, _ in modes:
                module.training = False  # not eval(): some modules do more there, such as merging adapters
            yield
    finally:
        for module, training in modes:
            module.training = training
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def _plain_forward(model: nn.Module) -> Iterator[None]:
    """Accelerate puts autocast inside the forward of a model, where it would come on again."""
    with ExitStack() as stack:
        for own in (vars(module) for module in model.modules()):
            if "forward" in own and "_original_forward" in own:
                stack.callback(own.__setitem__, "forward", own["forward"])
                own["forward"] = own["_original_forward"]
        yield


def uncompiled() -> AbstractContextManager[object]:
    """Compiled code stands aside: it calls no hook that is younger than itself, and cannot be left half-way."""
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):  # torch < 2.6 has none
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance
