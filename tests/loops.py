"""One tiny model trained by four loops, watched or not, with everything noted that watching might have changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.pytorch.callbacks import ModelCheckpoint
from loop import Sequences, trainer, word_tokenizer
from models import tiny
from tasks import battery_with_tasks
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from observatory import Instrument, Monitor, Observatory, SpecializationMonitor, TransformersMonitor, Variable
from observatory.measure.scene import Scene
from observatory.observation import Observation

STEPS, SIZE = 4, 4
IDS = Sequences(64).ids
BATTERY = battery_with_tasks()
INSTRUMENTS = ("contrast", "competence")
ALL = (*INSTRUMENTS, "circuits", "lesions")
Watching = Monitor | SpecializationMonitor
Loop = Callable[..., "Trained"]


class Drawing(Instrument):
    """Uses every random generator there is, as a bootstrap would."""

    name = "drawing"

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        draws = random.random(), np.random.random(), float(torch.rand(())), float(torch.randn(3).sum())
        return {"draws": Variable((), np.array(len(draws)))}


class Gone(RuntimeError):
    """The machine is lost."""


@dataclass
class Trained:
    """What came of it, and of each optimizer step the gradients that went in and the weights that came out."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    gradients: list[list[Tensor | None]] = field(default_factory=list)
    weights: list[dict[str, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.weights.append(self._now())
        self.optimizer.register_step_pre_hook(lambda *_: self.gradients.append(self._gradients()))
        self.optimizer.register_step_post_hook(lambda *_: self.weights.append(self._now()))

    def state(self) -> list[Tensor | None]:
        """All there is of floating-point numbers, to be compared to the bit."""
        parts = [value for one in self.optimizer.state.values() for value in one.values() if isinstance(value, Tensor)]
        return [*parts, *self._gradients(), *(g for one in self.gradients for g in one), *self._now().values()]

    def _gradients(self) -> list[Tensor | None]:
        return [None if p.grad is None else p.grad.clone() for p in self.model.parameters()]

    def _now(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}


def assert_same_run(one: Trained, other: Trained) -> None:
    for here, there in zip(one.state(), other.state(), strict=True):
        assert (here is None) == (there is None)
        assert here is None or there is None or torch.equal(here, there)
    assert len(one.gradients) == len(other.gradients) > 0


def small_model(dropout: float) -> nn.Module:
    """Its first block is frozen, and its embedding and its head are one weight."""
    model = tiny("gpt2", embd_pdrop=dropout, attn_pdrop=dropout, resid_pdrop=dropout)
    assert model.lm_head.weight is model.transformer.wte.weight
    model.transformer.h[0].requires_grad_(False)
    return model


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, eps=1e-4)


def loss_of(outputs: Any, ids: Tensor, num_items_in_batch: object = None) -> Tensor:
    return functional.cross_entropy(outputs.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def observed(model: nn.Module, **settings: Any) -> Observation:
    """By all instruments."""
    chosen: dict[str, Any] = {"battery": BATTERY, "instruments": ALL, "twins": 2, **settings}
    return Observatory(word_tokenizer(), **chosen).observe(model, 0, last=True)


def batches(after: int) -> Iterator[Tensor]:
    """From a step on."""
    return iter(IDS.split(SIZE)[after:])


def monitor(loop: str, folder: Path, schedule: str | None = "every 1", **settings: Any) -> Any:
    """Of the kind that goes with a loop."""
    folder.mkdir(exist_ok=True)
    kind = {"lightning": SpecializationMonitor, "trainer": TransformersMonitor}.get(loop, Monitor)
    chosen: dict[str, Any] = {"battery": BATTERY, "instruments": ("competence",), "recorders": (), "twins": 0}
    return kind(word_tokenizer(), folder / "observations.h5", schedule, **{**chosen, **settings})


def by_hand(
    folder: Path,
    watching: Monitor | None,
    make: Callable[[], nn.Module],
    steps: int = STEPS,
    gone: int | None = None,
    resume: int | None = None,
    fabric: Fabric | None = None,
    compiled: bool = False,
) -> Trained:
    """A plain loop, or one of Fabric's; its checkpoints carry the generator's state."""
    torch.manual_seed(7)
    model = make()
    optimizer, begun = optimizer_of(model), resume or 0
    trained = Trained(model, optimizer)
    if resume is not None:
        kept = torch.load(folder / f"{resume}.pt", weights_only=False)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        if watching is not None:
            watching.load_state_dict(kept["monitor"])
    whole: Any = torch.compile(model, backend="eager") if compiled else model
    network, stepper = (whole, optimizer) if fabric is None else fabric.setup(whole, optimizer)
    network.train()
    if watching is not None:
        watching.begin(network, begun, max_steps=steps, tokens=begun * SIZE * 8)
    if resume is not None:
        torch.set_rng_state(kept["generator"])
    for step, ids in zip(range(begun + 1, steps + 1), batches(begun), strict=False):
        if step - 1 == gone:
            raise Gone
        loss = loss_of(network(input_ids=ids), ids)
        stepper.zero_grad()
        loss.backward() if fabric is None else fabric.backward(loss)
        stepper.step()
        if watching is not None:
            watching.step(step, tokens=step * ids.numel(), loss=loss)
            states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            own = {"monitor": watching.state_dict(), "generator": torch.get_rng_state()}
            torch.save({**states, **own}, folder / f"{step}.pt")
    if watching is not None:
        watching.end()
    return trained


def by_fabric(folder: Path, watching: Monitor | None, make: Callable[[], nn.Module], **settings: Any) -> Trained:
    precision = settings.pop("precision", "32-true")
    return by_hand(folder, watching, make, fabric=Fabric(accelerator="cpu", devices=1, precision=precision), **settings)


class Module(L.LightningModule):
    """Its batches follow from the step; its checkpoints carry the generator's state."""

    def __init__(self, model: nn.Module, gone: int | None) -> None:
        super().__init__()
        self.model, self.gone = model, gone
        self.generator: Tensor | None = None
        self.trained = Trained(model, optimizer_of(model))

    def configure_optimizers(self) -> Any:
        return self.trained.optimizer

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        if self.global_step == self.gone:
            raise Gone
        if self.generator is not None:
            torch.set_rng_state(self.generator)
            self.generator = None
        ids = next(batches(self.global_step))
        return loss_of(self.model(input_ids=ids), ids)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["generator"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.generator = checkpoint["generator"]


def by_lightning(
    folder: Path,
    watching: SpecializationMonitor | None,
    make: Callable[[], nn.Module],
    steps: int = STEPS,
    gone: int | None = None,
    resume: int | None = None,
    compiled: bool = False,
    **settings: Any,
) -> Trained:
    torch.manual_seed(7)
    module = Module(make(), gone)
    saving = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    callbacks = [] if watching is None else [watching, saving]
    run = trainer(folder, steps, callbacks=callbacks, enable_checkpointing=watching is not None, **settings)
    kept = None if resume is None else folder / f"step={resume}.ckpt"
    loader: DataLoader[Any] = DataLoader(IDS, batch_size=SIZE)  # type: ignore[arg-type]
    fitted: Any = torch.compile(module, backend="eager") if compiled else module
    run.fit(fitted, loader, ckpt_path=kept, weights_only=False)
    return module.trained


class Labelled(Dataset[dict[str, Tensor]]):
    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": IDS[index], "labels": IDS[index]}


class Losing(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step == self.step:
            raise Gone


def arguments(folder: Path, steps: int, **settings: Any) -> TrainingArguments:
    chosen: dict[str, Any] = {
        "max_steps": steps,
        "per_device_train_batch_size": SIZE,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "steps",
        "save_steps": 1,
        "logging_steps": 1,
        "max_grad_norm": 0.0,
        "lr_scheduler_type": "constant",
        "train_sampling_strategy": "sequential",
        "include_num_input_tokens_seen": "all",
        "dataloader_pin_memory": False,
        "seed": 7,
    }
    return TrainingArguments(str(folder), **{**chosen, **settings})


def by_trainer(
    folder: Path,
    watching: TransformersMonitor | None,
    make: Callable[[], nn.Module],
    steps: int = STEPS,
    gone: int | None = None,
    resume: int | None = None,
    callbacks: tuple[TrainerCallback, ...] = (),
    **settings: Any,
) -> Trained:
    torch.manual_seed(7)
    model = make()
    trained = Trained(model, optimizer_of(model))
    run = Trainer(
        model,
        arguments(folder, steps, **settings),
        train_dataset=Labelled(),
        eval_dataset=Labelled(),
        compute_loss_func=loss_of,
        optimizers=(trained.optimizer, None),
        callbacks=[
            *([] if watching is None else [watching]),
            *([] if gone is None else [Losing(gone)]),
            *callbacks,
        ],
    )
    run.train(resume_from_checkpoint=None if resume is None else str(folder / f"checkpoint-{resume}"))
    return trained


LOOPS: dict[str, Loop] = {"plain": by_hand, "fabric": by_fabric, "lightning": by_lightning, "trainer": by_trainer}
needs_accelerate = pytest.mark.skipif(find_spec("accelerate") is None, reason="transformers' Trainer needs accelerate")
each_loop = pytest.mark.parametrize(
    "loop", [pytest.param(name, marks=needs_accelerate if name == "trainer" else ()) for name in LOOPS]
)
QUIET = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*gradient checkpointing.*:UserWarning"),
]
"""Lightning says so of every run that is resumed."""
