"""Trained and watched by Lightning on several processes, which its strategy starts.

Run as a script with a folder and the names of strategies, one run after another; the first process leaves the logbook
and the weights of each in a folder of its name.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric import Fabric
from lightning.pytorch.strategies import ModelParallelStrategy
from loop import Sequences, small_battery, trainer, word_tokenizer
from loops import Trained, by_hand, small_model
from loops import monitor as loop_monitor
from models import tiny
from torch import Tensor, nn
from torch.utils.data import DataLoader

from observatory import Instrument, SpecializationMonitor, Variable
from observatory.measure.scene import Scene

STEPS = 3
dropping = partial(small_model, 0.1)


class Faulty(Instrument):
    """Goes wrong at step 2, on the second process alone."""

    name = "faulty"

    def __init__(self) -> None:
        self.calls = 0

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        self.calls += 1
        if self.calls == 3 and scene.anatomy.ranks.rank == 1:
            raise ZeroDivisionError("all is lost")
        return {}


class Spread(L.LightningModule):
    """All processes are given the same batches, so that their mean gradient is that of one process to the bit."""

    def __init__(self) -> None:
        super().__init__()
        self.model: nn.Module | None = None

    def configure_model(self) -> None:
        if self.model is None:
            self.model = tiny("gpt_neox", hidden_dropout=0.1)
            if self.device_mesh is not None:
                from torch.distributed.fsdp import fully_shard

                mesh = self.device_mesh["data_parallel"]
                for block in self.model.gpt_neox.layers:
                    fully_shard(block, mesh=mesh)
                fully_shard(self.model, mesh=mesh)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        assert self.model is not None
        loss: Tensor = self.model(**batch, labels=batch["input_ids"]).loss
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


def monitor(folder: Path, faulty: bool) -> SpecializationMonitor:
    return SpecializationMonitor(
        word_tokenizer(),
        folder / "observations.h5",
        "every 1",
        battery=small_battery(items=2),
        instruments=["contrast", Faulty()] if faulty else ["contrast"],
        recorders=(),
        twins=2,
    )


def fit(folder: Path, way: str) -> Spread:
    """`ddp`, `sharded` or `alone`, and `faulty` after it."""
    strategies: dict[str, Any] = {
        "ddp": {"strategy": "ddp", "devices": 2},
        "sharded": {"strategy": ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1), "devices": 2},
        "alone": {},
    }
    watching = monitor(folder, way.endswith("faulty"))
    torch.manual_seed(3)
    module = Spread()
    settings = {**strategies[way.split()[0]], "use_distributed_sampler": False}
    torch.manual_seed(3)
    trainer(folder, STEPS, callbacks=[watching], **settings).fit(module, DataLoader(Sequences(64), batch_size=4))
    return module


def by_fabric(folder: Path) -> Trained:
    """A loop of one's own, in which Fabric spreads the model."""
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    return by_hand(folder, loop_monitor("plain", folder), dropping, fabric=fabric)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for way in sys.argv[2:]:
        shared = Path(sys.argv[1]) / way
        shared.mkdir(exist_ok=True)
        if way == "fabric":
            by_fabric(shared)
            continue
        fitted = fit(shared, way)
        state = {name: getattr(held, "full_tensor", lambda v=held: v)() for name, held in fitted.state_dict().items()}
        if fitted.trainer.is_global_zero:
            torch.save(state, shared / "weights.pt")
