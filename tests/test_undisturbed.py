"""A model that was looked at is the model it was before."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import torch
from models import CONFIGS, FlatGPT, NanoGPT, random_tokens, seeded, tiny
from torch import Tensor, nn
from torch.nn import functional

from observatory.measure.anatomy import anatomy
from observatory.measure.pooling import last_and_mean_magnitude
from observatory.measure.reading import Reading, SharedPass
from observatory.measure.undisturbed import undisturbed

READINGS = [Reading(space, last_and_mean_magnitude, 2) for space in ("mlp", "residual", "heads")]
TOKENS = random_tokens(4, 6, 6)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def look(model: nn.Module, readings: list[Reading] = READINGS) -> list[Tensor]:
    """An observation's worth of reading."""
    with undisturbed(model):
        shared = SharedPass(anatomy(model), TOKENS, readings, batch_tokens=8, memory=2**30)
        return [block[reading] for reading in readings for block in shared.blocks(reading)]


def trained(model: nn.Module) -> nn.Module:
    """With gradients, and with the traces that a step of training leaves."""
    out = model(torch.tensor(TOKENS[1:]))
    logits = out if isinstance(out, Tensor) else out.logits
    logits.square().mean().backward()
    return model


def generators() -> tuple[object, object, Tensor]:
    kind, keys, *rest = np.random.get_state()
    return random.getstate(), (kind, keys.tolist(), rest), torch.get_rng_state()


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Compares all that training depends on before and after, to the bit and to the object."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    hooks = [{name: dict(getattr(module, name)) for name in HOOKS} for module in modules]
    own = [set(vars(module)) for module in modules]
    state = {name: (id(value), value.clone()) for name, value in model.state_dict(keep_vars=True).items()}
    grads = [(p.grad, None if p.grad is None else p.grad.clone(), p.requires_grad) for p in model.parameters()]
    before = generators()
    yield
    after = generators()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    assert list(model.modules()) == modules
    assert [module.training for module in modules] == modes
    assert [{name: dict(getattr(module, name)) for name in HOOKS} for module in modules] == hooks
    assert [set(vars(module)) for module in modules] == own
    for name, value in model.state_dict(keep_vars=True).items():
        assert id(value) == state[name][0]
        assert torch.equal(value, state[name][1])
    for parameter, (grad, values, wanted) in zip(model.parameters(), grads, strict=True):
        assert parameter.grad is grad
        assert grad is None or torch.equal(grad, values)
        assert parameter.requires_grad == wanted
    assert torch.is_grad_enabled()


def partly_frozen() -> nn.Module:
    model = seeded(NanoGPT)
    model.transformer["h"][1].eval()
    model.transformer["drop"].eval()
    model.transformer["wte"].weight.requires_grad_(False)
    return model


class Normed(FlatGPT):
    """Batch norm counts every batch it sees in training mode."""

    def __init__(self) -> None:
        super().__init__()
        for block in self.body.blocks:
            block.mlp.drop = nn.Sequential(Channels(16), nn.Dropout(0.3))


class Channels(nn.BatchNorm1d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, -2)).view_as(x)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "nanoGPT": lambda: seeded(NanoGPT),
    "partly frozen": partly_frozen,
    "all in eval mode": lambda: seeded(NanoGPT).eval(),
    "batch norm": lambda: seeded(Normed),
    "dropout everywhere": lambda: tiny("gpt2", embd_pdrop=0.3, attn_pdrop=0.3, resid_pdrop=0.3),
    **{name: (lambda name=name: tiny(name)) for name in ("gpt_neox", "llama", "gemma3_text", "falcon", "opt")},
}
DENSE = sorted(set(CONFIGS) - {"mamba", "mixtral", "qwen2_moe", "deepseek_v3"})
each_model = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)


@each_model
def test_looking_changes_nothing(build: Callable[[], nn.Module]) -> None:
    model = trained(build())
    with unchanged(model):
        look(model)


@each_model
def test_looking_twice_sees_the_same_whatever_the_generators_stand_at(build: Callable[[], nn.Module]) -> None:
    model = build()
    first = look(model)
    torch.manual_seed(99)
    assert all(torch.equal(one, other) for one, other in zip(first, look(model), strict=True))


@pytest.mark.parametrize("architecture", DENSE)
def test_a_step_of_training_after_looking_is_the_step_without_looking(architecture: str) -> None:
    """A tensor cached on first use under inference mode, such as a rotary table, would fail in the backward pass."""
    gradients = []
    for looked in (False, True):
        model = tiny(architecture)
        if looked:
            look(model)
        torch.manual_seed(5)
        trained(model)
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert any(gradient is not None and gradient.any() for gradient in gradients[0])
    for without, with_ in zip(*gradients, strict=True):
        assert (without is None and with_ is None) or torch.equal(without, with_)


class Cached(FlatGPT.Body):
    """Keeps a table from its first use, as rotary embeddings do."""

    table: Tensor | None = None

    def forward(self, ids: Tensor) -> Tensor:
        if self.table is None:
            self.table = torch.linspace(0.5, 1.5, 16)
        x = self.embed(ids) * self.table
        for block in self.blocks:
            x = block(x)
        return x


def test_what_a_module_caches_on_first_use_can_be_trained_through() -> None:
    model = seeded(Cached, dropout=0.0)
    look(model)
    assert model.table is not None
    trained(model)
    assert model.embed.weight.grad.any()


class Broken(Exception):
    pass


def failing(_: Tensor) -> Tensor:
    raise Broken


def test_nothing_is_left_behind_when_a_reading_fails() -> None:
    model = trained(seeded(NanoGPT))
    with unchanged(model), pytest.raises(Broken):
        look(model, [*READINGS, Reading("mlp", failing, 1)])


def test_nothing_is_left_behind_when_the_model_fails() -> None:
    model = trained(partly_frozen())
    model.transformer["h"][1].register_forward_hook(lambda *_: failing(torch.empty(0)))
    with unchanged(model), pytest.raises(Broken):
        look(model)


def test_nothing_is_left_behind_when_an_instrument_draws_at_random_and_fails() -> None:
    model = seeded(NanoGPT)
    with unchanged(model), suppress(Broken), undisturbed(model):
        random.random()
        np.random.rand()
        torch.rand(1)
        nn.Dropout()(torch.ones(3))
        raise Broken


def test_inside_there_is_neither_training_nor_gradient_nor_autocast() -> None:
    model = seeded(NanoGPT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with undisturbed(model):
            assert not any(module.training for module in model.modules())
            assert not torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_autocast_enabled("cpu")
            assert model(torch.tensor(TOKENS[1:])).dtype == torch.float32
        assert torch.is_autocast_enabled("cpu")
        assert model(torch.tensor(TOKENS[1:])).dtype == torch.bfloat16


def test_what_is_seen_under_autocast_is_what_is_seen_without() -> None:
    model = seeded(NanoGPT)
    plain = look(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = look(model)
    assert all(torch.equal(one, other) for one, other in zip(plain, under, strict=True))


class Adapter(nn.Linear):
    """Merges its adapter into the weight when evaluation begins, as loralib's layers do."""

    def __init__(self, *size: int) -> None:
        super().__init__(*size)
        self.low, self.merged = nn.Parameter(torch.ones(size[1], 1)), False

    def train(self, mode: bool = True) -> Adapter:
        super().train(mode)
        if self.merged == mode:
            with torch.no_grad():
                self.weight += (self.low @ self.low.mT[:, :1]) * (-1 if mode else 1)
            self.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight if self.merged else self.weight + self.low @ self.low.mT[:, :1])


def test_layers_that_do_more_than_change_mode_are_not_set_off() -> None:
    """eval() merged an adapter into its weight, and putting the mode back did not take it out again."""
    model = seeded(FlatGPT)
    model.body.blocks[0].attn.c_proj = Adapter(16, 16)
    with unchanged(model):
        look(model)


def whole(model: nn.Module, backend: Callable[..., object]) -> None:
    model.compile(backend=backend)


def block_by_block(model: nn.Module, backend: Callable[..., object]) -> None:
    for block in model.transformer["h"]:
        block.compile(backend=backend)


def wrapped_blocks(model: nn.Module, backend: Callable[..., object]) -> None:
    blocks = [torch.compile(block, backend=backend) for block in model.transformer["h"]]
    model.transformer["h"] = nn.ModuleList(blocks)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch asks for it while it compiles
@pytest.mark.parametrize("compile_in_place", [whole, block_by_block, wrapped_blocks])
def test_a_model_compiled_in_place_is_read_all_the_same(compile_in_place: Callable[..., None]) -> None:
    """Hooks added after compiling in place are not called, unless compiled code is told to stand aside."""
    plain, model, graphs = look(seeded(NanoGPT)), seeded(NanoGPT), []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    compile_in_place(model, backend)
    trained(model)
    compiled = len(graphs)
    with unchanged(model):
        seen = look(model)
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))
    trained(model)
    assert len(graphs) == compiled > 0
