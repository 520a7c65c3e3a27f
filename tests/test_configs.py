"""The recipes: each is complete, says what was published, and trains."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback

from observatory.callbacks import PythiaCheckpoints, SpecializationMonitor
from observatory.train import GPTNeoX, SyntheticData
from observatory.train.cli import TrainCLI, main
from observatory.train.module import PYTHIA

CONFIGS = Path(str(files("observatory.configs")))
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
PUBLISHED = {"14m": 14_067_712, "31m": 30_494_720, "70m": 70_426_624, "160m": 162_322_944}

# Lightning asks torch's tree, and sets up jsonargparse, in ways that these have renamed.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings(
        "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
    ),
]


def settings(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    return content


def build(name: str, folder: Path, *more: str) -> TrainCLI:
    """Everything that the recipe names, built on the meta device and without the Pile."""
    arguments = ["--config", str(CONFIGS / f"{name}.yaml"), *more]
    if "data/pile.bin" in (CONFIGS / f"{name}.yaml").read_text():
        np.zeros(4096, dtype="uint16").tofile(folder / "pile.bin")
        arguments += [f"--data.init_args.file={folder / 'pile.bin'}", "--data.init_args.tokenizer=null"]
        arguments += ["--trainer.accelerator=cpu"]
    with torch.device("meta"):
        return main(arguments, run=False)


def test_there_is_a_recipe_for_the_demo_for_circuits_for_all_instruments_and_for_every_pythia_shape() -> None:
    assert sorted(NAMES) == sorted(["circuits", "demo", "instruments", *(f"pythia-{size}" for size in PYTHIA)])


@pytest.mark.parametrize("size", PYTHIA)
def test_a_pythia_recipe_builds_the_published_model_and_its_callbacks(size: str, tmp_path: Path) -> None:
    cli = build(f"pythia-{size}", tmp_path)
    assert sum(parameter.numel() for parameter in cli.model.parameters()) == PUBLISHED[size]
    with torch.device("meta"):
        published = GPTNeoX.pythia(size)
    assert {key: cli.model.hparams[key] for key in published.hparams if key != "betas"} == {
        key: value for key, value in published.hparams.items() if key != "betas"
    }
    assert tuple(cli.model.hparams["betas"]) == tuple(published.hparams["betas"])
    callbacks: list[Callback] = cli.trainer.callbacks
    assert {SpecializationMonitor, PythiaCheckpoints} <= {type(callback) for callback in callbacks}


@pytest.mark.parametrize("size", PYTHIA)
def test_a_pythia_recipe_has_the_published_batch_and_length(size: str) -> None:
    recipe = settings(f"pythia-{size}")
    data, trainer = recipe["data"]["init_args"], recipe["trainer"]
    sequences = data["batch_size"] * trainer["accumulate_grad_batches"] * trainer["devices"]
    assert (sequences, data["sequence_length"], trainer["max_steps"]) == (1024, 2048, 143_000)
    assert trainer["gradient_clip_val"] == 1.0
    assert {callback["init_args"].get("schedule", "pythia") for callback in trainer["callbacks"]} == {"pythia"}
    assert recipe["model"]["learning_rate"] == PYTHIA[size].learning_rate


def test_a_recipe_sets_the_threads_and_refuses_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(2)
    try:
        build("demo", tmp_path)
        assert torch.get_num_threads() == settings("demo")["threads"] == 1
    finally:
        torch.set_num_threads(1)
    with pytest.raises(SystemExit):
        build("demo", tmp_path, "--threads=0")
    assert "threads" in capsys.readouterr().err


def test_the_demo_mixes_all_domains_alike(tmp_path: Path) -> None:
    cli = build("demo", tmp_path)
    assert isinstance(cli.datamodule, SyntheticData)
    assert set(cli.datamodule.corpus.mixture.started(0).values()) == {1.0}
    assert set(cli.datamodule.corpus.mixture.started(0)) == {"language", "math", "social", "physical"}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_keeps_all_it_writes_in_its_run_folder(name: str) -> None:
    trainer = settings(name)["trainer"]
    folder = f"runs/{name}"
    places = [
        value
        for part in (trainer["logger"], *trainer["callbacks"])
        for key, value in part["init_args"].items()
        if key in ("save_dir", "dirpath", "out", "folder")
    ]
    assert trainer["default_root_dir"] == folder
    assert len(places) >= 3
    assert all(place.startswith(folder) for place in places)


def test_the_demo_trains_and_a_second_run_keeps_both_configurations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    short = ["--trainer.callbacks=null", "--trainer.enable_progress_bar=false", "--data.init_args.batch_size=2"]
    for steps in (1, 2, 2):
        main(["fit", "--config", str(CONFIGS / "demo.yaml"), f"--trainer.max_steps={steps}", *short])
    saved = sorted(path.name for path in (tmp_path / "runs" / "demo").glob("*.yaml"))
    assert saved == ["config-2.yaml", "config.yaml"]
    shutil.copy(tmp_path / "runs" / "demo" / "config.yaml", tmp_path / "again.yaml")
    again = main(["fit", "--config", str(tmp_path / "again.yaml")])
    assert again.trainer.global_step == 1
    assert sorted(path.name for path in (tmp_path / "runs" / "demo").glob("*.yaml")) == saved


def test_the_vocabulary_of_the_model_is_that_of_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli = build("demo", tmp_path)
    assert cli.model.hparams["vocab_size"] == cli.datamodule.vocab_size
    with pytest.raises(SystemExit):
        build("demo", tmp_path, "--model.vocab_size=5")
    assert "vocab_size" in capsys.readouterr().err
