"""Models of three sizes from three seeds: `python benchmarks/sizes.py [--out runs/sizes]`, a quarter of an hour.

Then `observatory compare runs/sizes/*/observations.h5 --out sizes` draws them together.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

SHAPES = ((16, 2), (32, 2), (64, 4))
SEEDS = (0, 1, 2)
STEPS = 700


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/sizes"))
    out = parser.parse_args().out
    for seed in SEEDS:
        for width, layers in SHAPES:
            folder = out / f"w{width}-s{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe(folder, width, layers, seed), sort_keys=False))
            command = [sys.executable, "-m", "observatory", "train", "fit", "--config", str(folder / "recipe.yaml")]
            subprocess.run(command, check=True)


def recipe(folder: Path, width: int, layers: int, seed: int) -> dict[str, Any]:
    """The demo's, shorter and of another size, without checkpoints."""
    found: dict[str, Any] = yaml.safe_load((files("observatory.configs") / "demo.yaml").read_text())
    found["seed_everything"] = found["data"]["init_args"]["seed"] = seed
    found["model"] |= {"hidden_size": width, "layers": layers}
    monitor = found["trainer"]["callbacks"][0]
    monitor["init_args"] = {"out": str(folder / "observations.h5"), "schedule": "logarithmic 8"}
    found["trainer"] |= {"max_steps": STEPS, "callbacks": [monitor], "default_root_dir": str(folder), "logger": False}
    return found


if __name__ == "__main__":
    main()
