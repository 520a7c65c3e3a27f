"""W&B runs that leave nothing but files: what the tests of it share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from loop import small_battery, word_tokenizer
from wandb_file import OfflineRun, offline_runs

from observatory import (
    Instrument,
    Variable,
    WandbRecorder,
)
from observatory.callbacks import SpecializationMonitor
from observatory.measure.scene import Scene
from observatory.publish.destination import Destination, Told

EVERY = list(range(7))
QUIET = [
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning"),
    pytest.mark.filterwarnings("ignore:There is a wandb run already in progress:UserWarning"),
]


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing leaves this folder, and no run outlives its test."""
    keep_offline(monkeypatch, tmp_path)
    yield
    wandb.teardown()  # which keeps the variables that it found first


def keep_offline(variables: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        variables.setenv(name, str(folder))
    variables.setenv("WANDB_MODE", "offline")
    variables.setenv("WANDB_SILENT", "true")
    variables.delenv("WANDB_RUN_ID", raising=False)


def only(folder: Path) -> OfflineRun:
    if wandb.run is not None:
        wandb.finish()
    (one,) = offline_runs(folder)
    return one


class Bias(Instrument):
    """A number that training changes, and nothing to draw."""

    name = "bias"

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        return {"norm": Variable((), np.array(float(next(iter(scene.model.parameters())).norm())))}


def monitor(folder: Path, schedule: str = "every 1", **settings: Any) -> SpecializationMonitor:
    defaults: dict[str, Any] = {
        "battery": small_battery(),
        "instruments": [Bias()],
        "recorders": [WandbRecorder()],
        "twins": 2,
    }
    return SpecializationMonitor(word_tokenizer(), folder / "observations.h5", schedule, **{**defaults, **settings})


class Noting(Destination):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.alerts: list[str] = []

    def tell(self, told: Told) -> None:
        self.told.append(told)

    def alert(self, title: str, text: str) -> None:
        self.alerts.append(title)

    def close(self) -> None:
        pass
