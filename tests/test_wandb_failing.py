"""What W&B cannot do stops neither training nor the logbook."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import wandb
from loop import fit, same, weights
from recorded import recorded
from told import STEPS, live, losses
from wandb_case import EVERY, QUIET, monitor
from wandb_case import offline as offline
from wandb_file import offline_runs

from observatory import (
    Recorder,
    TensorBoardRecorder,
    WandbRecorder,
    open_logbook,
)
from observatory.cli import main

ROOT = Path(__file__).parents[1]
pytestmark = QUIET


def unreachable(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name, value in {
        "WANDB_MODE": "online",
        "WANDB_BASE_URL": "http://127.0.0.1:9",
        "WANDB_API_KEY": "0" * 40,
        "WANDB_INIT_TIMEOUT": "1",
        "WANDB_X_GRAPHQL_RETRY_MAX": "0",
        "WANDB_X_GRAPHQL_TIMEOUT_SECONDS": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("failing", ["not installed", "no key", "no server", "finished"])
def test_training_goes_on_and_the_logbook_is_whole_whatever_fails(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finishing(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
            if failing == "finished" and trainer.global_step == 3 and wandb.run is not None:
                wandb.run.finish()

    if failing == "not installed":
        monkeypatch.setitem(sys.modules, "wandb", None)
    elif failing == "no key":
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.delenv("WANDB_API_KEY", raising=False)
    elif failing == "no server":
        unreachable(monkeypatch, tmp_path)
    with pytest.warns(UserWarning, match="WandbRecorder shows nothing from here on") as said:
        module, _ = fit(tmp_path, [Finishing(), monitor(tmp_path)])
    ours = [str(one.message) for one in said if "WandbRecorder" in str(one.message)]
    assert len(ours) == 1
    words = {"no key": "UsageError", "no server": "CommError", "finished": "is finished"}
    assert words.get(failing, "ModuleNotFoundError") in ours[0]
    assert open_logbook(tmp_path / "observations.h5")["step"].values.tolist() == EVERY
    alone, _ = fit(tmp_path / "alone", [])
    assert same(weights(module), weights(alone))


def test_sending_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="there is no logbook"):
        main(["sync", str(tmp_path / "none.h5"), "--project", "p"])
    recorded(tmp_path / "o.h5", losses())
    unreachable(monkeypatch, tmp_path)
    with pytest.raises(SystemExit, match="Weights & Biases refuses"):
        main(["sync", str(tmp_path / "o.h5"), "--project", "p"])


WITHOUT = """
import sys, warnings
sys.modules["wandb"] = sys.modules["tensorboard"] = None  # as if they were not installed
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from told import STEPS, live, losses
from observatory import TensorBoardRecorder, WandbRecorder, open_logbook
for recorder in (WandbRecorder, TensorBoardRecorder):
    path = Path(sys.argv[1]) / f"{recorder.__name__}.h5"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        live(path, losses(), recorder())
    assert open_logbook(path)["step"].values.tolist() == STEPS
    (words,) = [str(one.message) for one in said if recorder.__name__ in str(one.message)]
    print(words)
"""


def test_it_and_tensorboard_may_be_absent(tmp_path: Path) -> None:
    """Neither has been imported in that process before."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path), str(ROOT), str(ROOT / "tests")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    ours, others = done.stdout.splitlines()
    assert ours.startswith("WandbRecorder shows nothing from here on (ModuleNotFoundError")
    assert others.startswith("TensorBoardRecorder shows nothing from here on (")
    assert "pip install 'observatory[tensorboard]'" in others


def test_switched_off_by_its_own_variable_it_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    live(tmp_path / "o.h5", losses(), WandbRecorder("p"))
    assert open_logbook(tmp_path / "o.h5")["step"].values.tolist() == STEPS
    assert offline_runs(tmp_path) == []


def test_it_is_named_by_its_class_path(tmp_path: Path) -> None:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser()
    parser.add_argument("--recorders", type=Sequence[Recorder])
    recipe = """
    - class_path: observatory.WandbRecorder
      init_args: {project: p, init: {group: g}}
    - class_path: observatory.TensorBoardRecorder
    """
    wandb_recorder, tensorboard_recorder = parser.instantiate(parser.parse_args(["--recorders", recipe])).recorders
    assert isinstance(wandb_recorder, WandbRecorder)
    assert isinstance(tensorboard_recorder, TensorBoardRecorder)


def test_a_share_of_the_time_is_one() -> None:
    with pytest.raises(ValueError, match="shares of the time that passes, 0 to 1; got 2"):
        WandbRecorder(drawing=2)
