"""Where the checkpoints of a run are: folders, files, or revisions on the hub, each at its step."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from observatory.replay.places import Checkpoint
from observatory.replay.suites import moment
from observatory.replay.weights import holds_weights, step_inside
from observatory.schedules import crossed, parse

PROGRESS_FILE = "progress.json"
"""Beside the weights, what the Hugging Face format has no place for: the tokens seen, and what rounding depends on."""
_TRAINER_FILE = "trainer_state.json"
_STEP_FOLDER = re.compile(r"step(\d+)")
_FILES = (".ckpt", ".pt", ".pth")
_NAMES_KNOWN = "step1000, checkpoint-1000, step1000-unsharded, epoch=0-step=1000.ckpt, ckpt.pt and their like"


def find_checkpoints(
    source: str | Path, steps: str = "all", stage: str | None = None, tokens_per_step: int | None = None
) -> list[Checkpoint]:
    """All checkpoints of a source by step, or those that `steps` selects.

    Args:
        source: a folder that holds checkpoints, a single one, or a repository on the hub: `EleutherAI/pythia-70m`,
            `...@step1000`, `...@step0,step512`, `...@step0..step1000`.
        steps: `all`, or a schedule such as `logarithmic 4`, `pythia`, `every 5000` or `at 0 512 143000`, which takes
            the first checkpoint at or after each of its steps.
        stage: of a run whose steps start anew in every stage, the one that is meant.
        tokens_per_step: where neither the names nor the files tell.
    """
    if Path(source).exists():
        found = local_checkpoints(Path(source))
    elif re.fullmatch(r"[\w.-]+/[\w.-]+(@.+)?", str(source)):
        from observatory.replay.hub import hub_checkpoints

        found = hub_checkpoints(str(source))
    else:
        raise ValueError(
            f"there is nothing at {source}; give a folder of checkpoints, or a repository on the hub as owner/name"
        )
    if tokens_per_step is not None:
        found = [replace(one, tokens=one.tokens or tokens_per_step * one.step) for one in found]
    return _selected(_of_stage(found, stage, str(source)), steps)


def local_checkpoints(folder: Path) -> list[Checkpoint]:
    """Of a folder, whose entries are named as checkpoints are; or the one that it is."""
    if folder.is_file():
        return [_local(folder)]
    paths = sorted(folder.iterdir())
    numbered = [_local(path) for path in paths if moment(path.name) and (path.is_dir() or path.suffix in _FILES)]
    if found := [*numbered, *_unnumbered(paths, {one.step for one in numbered})]:
        return found
    if holds_weights(folder):
        return [_local(folder)]
    names = ", ".join(path.name for path in paths[:5]) or "nothing"
    raise ValueError(f"{folder} holds no checkpoints: looked for folders and files named {_NAMES_KNOWN}, found {names}")


def step_folders(folder: Path) -> dict[int, Path]:
    """By step, the folders named as PythiaCheckpoints names them, whatever they hold; none where there is no folder."""
    if not folder.is_dir():
        return {}
    return {int(match[1]): path for path in folder.iterdir() if (match := _STEP_FOLDER.fullmatch(path.name))}


def selected(steps: Sequence[int], wanted: str) -> list[int]:
    """Those that a schedule selects: the first at or after each of its steps."""
    if wanted == "all":
        return list(steps)
    schedule, chosen, before = parse(wanted), [], -1
    for step in steps:
        if crossed(schedule, before, step):
            chosen.append(step)
        before = step
    return chosen


def _selected(found: list[Checkpoint], wanted: str) -> list[Checkpoint]:
    ordered = sorted(found, key=lambda one: one.step)
    for one, other in pairwise(ordered):
        if one.step == other.step:
            raise ValueError(
                f"{one.name} and {other.name} are both of step {one.step}; move one away, or give one of the two"
            )
    chosen = set(selected([one.step for one in ordered], wanted))
    if not chosen:
        raise ValueError(f"of {len(ordered)} checkpoints none is selected by {wanted!r}")
    return [one for one in ordered if one.step in chosen]


def _of_stage(found: list[Checkpoint], stage: str | None, source: str) -> list[Checkpoint]:
    stages = sorted({one.stage for one in found})
    if stage is None and len(stages) > 1:
        raise ValueError(
            f"{source} has several stages, and their steps start anew: {', '.join(map(repr, stages))}; choose one "
            f"with stage"
        )
    chosen = [one for one in found if stage is None or one.stage == stage]
    if not chosen:
        raise ValueError(f"{source} has no stage {stage!r}; it has {', '.join(map(repr, stages))}")
    return chosen


def _unnumbered(paths: Sequence[Path], numbered: set[int]) -> list[Checkpoint]:
    """Files that keep their step inside; Lightning's last.ckpt comes last, since it mostly repeats another one."""
    found: list[Checkpoint] = []
    files = [path for path in paths if path.suffix == ".ckpt" or path.name == "ckpt.pt"]
    for path in sorted(files, key=lambda one: one.name.startswith("last")):
        if moment(path.name) or not path.is_file():
            continue
        try:
            one = _local(path)
        except ValueError as error:  # one that was cut off while it was written must not stand in the others' way
            warnings.warn(f"{error}; it is left out", stacklevel=4)
            continue
        if not (path.name.startswith("last") and one.step in {*numbered, *(other.step for other in found)}):
            found.append(one)
    return found


def _local(path: Path) -> Checkpoint:
    name = path.absolute().name
    told, known = moment(name), _progress(path)
    step = known.pop("step", None)
    if told is not None:
        step = told.step
    elif step is None:
        step = step_inside(path)
    tokens = known.pop("tokens", 0) or (told.tokens if told and told.tokens else 0)
    return Checkpoint(step, tokens, path, name, told.stage if told else "", **known)


def _progress(path: Path) -> dict[str, Any]:
    """What is known; a checkpoint whose progress cannot be read is still one."""
    try:
        if (path / PROGRESS_FILE).exists():
            found = json.loads((path / PROGRESS_FILE).read_text())
            return {
                "step": int(found["step"]),
                "tokens": int(found["tokens"]),
                "attention": found.get("attention"),
                "threads": found.get("threads"),
            }
        found = json.loads(
            (path / _TRAINER_FILE).read_text()
        )  # of transformers, which counts tokens where it is told to
        return {"step": int(found["global_step"]), "tokens": int(found.get("num_input_tokens_seen") or 0)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
