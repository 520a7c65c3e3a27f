"""The demo: a small model trains on the built-in corpus, is watched, and ends with figures and a table."""

from __future__ import annotations

import json
import logging
import platform
import warnings
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from observatory.record.logbook import open_logbook
from observatory.record.next_free import next_free
from observatory.review.figures.plot import plot
from observatory.review.judge.emergence import emergence
from observatory.review.judge.verdict_table import verdict_table
from observatory.review.report.writing import write_report
from observatory.train.cli import main as train

_PACKAGES = ("observatory", "torch", "lightning", "transformers", "h5py", "numpy")


def demo(out: Path, seed: int) -> Path:
    """Trains, draws and prints; returns the run folder."""
    _quieten()
    folder = next_free(out)
    folder.mkdir(parents=True)
    recipe = _recipe(folder, seed)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    train(["fit", "--config", str(folder / "recipe.yaml")])
    logbook = open_logbook(folder / "observations.h5")
    figures = plot(logbook, folder / "figures")
    report = write_report(logbook, folder / "report.html", name=folder.name)
    (folder / "run.json").write_text(json.dumps(_provenance(logbook.attrs, recipe, seed), indent=1, default=str))
    console = Console()
    console.print(verdict_table(emergence(logbook)))
    console.print(f"Figures: {', '.join(str(path) for path in figures if path.suffix == '.png')}")
    console.print(f"Report: {report}")
    console.print(f"Logbook: {folder / 'observations.h5'} ({logbook.sizes['step']} observations)")
    return folder


def _recipe(folder: Path, seed: int) -> dict[str, Any]:
    """The packaged recipe, with its outputs sent to the run folder."""
    recipe: dict[str, Any] = yaml.safe_load((files("observatory.configs") / "demo.yaml").read_text())
    recipe["seed_everything"] = seed
    recipe["data"]["init_args"]["seed"] = seed
    recipe["trainer"]["default_root_dir"] = str(folder)
    outputs = {"SpecializationMonitor": ("out", "observations.h5"), "PythiaCheckpoints": ("folder", "checkpoints")}
    for callback in recipe["trainer"]["callbacks"]:
        argument, name = outputs[callback["class_path"].rpartition(".")[2]]
        callback["init_args"][argument] = str(folder / name)
    return recipe


def _quieten() -> None:
    """Only the observations and the progress bar are to be read here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".isinstance.treespec, LeafSpec", FutureWarning)
    disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers draws one for every checkpoint it writes


def _provenance(attributes: dict[str, Any], recipe: dict[str, Any], seed: int) -> dict[str, Any]:
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "seed": seed,
        "battery": attributes["provenance_battery"],
        "config": recipe,
    }
