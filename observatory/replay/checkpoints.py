"""Checkpoint folders, each at its step: the source of a replay."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRESS_FILE = "progress.json"
"""Beside the weights, what the Hugging Face format has no place for: the tokens seen, and what rounding depends on."""
_STEP_FOLDER = re.compile(r"step(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """One saved state of a run."""

    step: int
    tokens: int
    path: Path
    attention: str | None = None
    """The implementation that the live run used: another one rounds differently."""
    threads: int | None = None
    """The threads that the live run had: another number of them adds in another order."""


def find_checkpoints(source: str | Path) -> list[Checkpoint]:
    """The `step{N}` folders of a run, by step."""
    folder = Path(source)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the one that holds step0, step1, step2 ...")
    found = [
        Checkpoint(step=step, path=path, **_progress(path))
        for step, path in step_folders(folder).items()
        if (path / "config.json").exists()
    ]
    if not found:
        names = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise ValueError(
            f"{folder} holds no checkpoints: looked for folders named step{{N}} with a config.json, found {names}"
        )
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def step_folders(folder: Path) -> dict[int, Path]:
    """By step, the folders named as checkpoints are, whatever they hold; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    return {int(match[1]): path for path in folder.iterdir() if (match := _STEP_FOLDER.fullmatch(path.name))}


def _progress(folder: Path) -> dict[str, Any]:
    """What is known; a checkpoint whose progress cannot be read is still one."""
    try:
        found = json.loads((folder / PROGRESS_FILE).read_text())
        return {"tokens": int(found["tokens"]), "attention": found.get("attention"), "threads": found.get("threads")}
    except (OSError, ValueError, KeyError, TypeError):
        return {"tokens": 0}
