"""Checkpoint folders, each at its step: the source of a replay."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

PROGRESS_FILE = "progress.json"
"""Beside the weights: the step and the tokens seen, which the Hugging Face format has no place for."""
_STEP_FOLDER = re.compile(r"step(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """One saved state of a run."""

    step: int
    tokens: int
    path: Path


def find_checkpoints(source: str | Path) -> list[Checkpoint]:
    """The `step{N}` folders of a run, by step."""
    folder = Path(source)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the one that holds step0, step1, step2 ...")
    found = [
        Checkpoint(step=int(match[1]), tokens=_tokens(path), path=path)
        for path in folder.iterdir()
        if (match := _STEP_FOLDER.fullmatch(path.name)) and (path / "config.json").exists()
    ]
    if not found:
        names = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise ValueError(
            f"{folder} holds no checkpoints: looked for folders named step{{N}} with a config.json, found {names}"
        )
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def _tokens(folder: Path) -> int:
    progress = folder / PROGRESS_FILE
    return int(json.loads(progress.read_text())["tokens"]) if progress.exists() else 0
