"""The tensors of one checkpoint, whatever file format they are in, and never any code that comes with them."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_STATES = ("state_dict", "model", "model_state_dict", "module")
"""Where the files of other trainers keep the weights, among other things."""
_STEPS = ("global_step", "iter_num", "step")
_PATTERNS = (
    *("model.safetensors", "*.safetensors", "pytorch_model.bin", "pytorch_model*.bin"),
    *("*.bin", "*.pt", "*.pth", "*.ckpt"),
)
_OF_THE_TRAINER = re.compile(r"(optim|sched|scaler|rng_state|train\.|training_args|trainer).*")
_ZIP = b"PK"


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint by name; those of safetensors files are read from disk when they are asked for."""

    files: tuple[Path, ...]
    tensors: Mapping[str, Tensor]
    beside: Mapping[str, Any] = field(default_factory=dict)
    """What else the file holds, such as hyper_parameters, model_args or iter_num."""


@contextmanager
def open_weights(path: Path) -> Iterator[Weights]:
    """Of a folder in Hugging Face format, whole or in shards, or of one file."""
    files = weight_files(path)
    with ExitStack() as stack:
        if all(file.suffix == ".safetensors" for file in files):
            yield Weights(files, _Mapped([stack.enter_context(_safetensors(file)) for file in files]))
            return
        tensors: dict[str, Tensor] = {}
        beside: dict[str, Any] = {}
        for file in files:
            found = unpickled(file)
            state = next((found[name] for name in _STATES if isinstance(found.get(name), Mapping)), found)
            tensors.update({name: value for name, value in state.items() if isinstance(value, Tensor)})
            if state is not found:
                beside.update({name: value for name, value in found.items() if value is not state})
        if not tensors:
            raise ValueError(f"{path} holds no tensors, but {', '.join(map(str, beside)) or 'nothing'}")
        yield Weights(files, tensors, beside)


def weight_files(path: Path) -> tuple[Path, ...]:
    """The files that hold the weights: the shards that an index names, or the one file there is."""
    if path.is_file():
        return (path,)
    for name in _INDEXES:
        if (index := path / name).exists():
            files = tuple(path / shard for shard in sorted(set(_shards(index))))
            if missing := [file.name for file in files if not file.exists()]:
                raise ValueError(f"{path} lacks {', '.join(missing)}, which {name} names")
            return files
    for pattern in _PATTERNS:
        files = tuple(sorted(file for file in path.glob(pattern) if not _OF_THE_TRAINER.match(file.name)))
        if len(files) > 1:
            raise ValueError(
                f"{path} holds {', '.join(file.name for file in files)} and no index that says how they belong together"
            )
        if files:
            return files
    raise ValueError(f"{path} holds no weights: looked for *.safetensors, *.bin, *.pt, *.pth and *.ckpt")


def holds_weights(folder: Path) -> bool:
    """Whether there is anything in it that looks like weights, readable or not."""
    return any(not _OF_THE_TRAINER.match(file.name) for pattern in _PATTERNS for file in folder.glob(pattern))


def step_inside(path: Path) -> int:
    """The step that a file notes, where its name does not tell."""
    with open_weights(path) as weights:
        for name in _STEPS:
            if isinstance(step := weights.beside.get(name), int):
                return step
    raise ValueError(
        f"{path} does not say of which step it is; call it step1000 or the like, or keep {' or '.join(_STEPS)} in it"
    )


def unpickled(file: Path) -> Mapping[str, Any]:
    """What a file of torch.save holds, if that is tensors and plain values alone."""
    try:
        with file.open("rb") as opened:
            mapped = opened.read(len(_ZIP)) == _ZIP  # what torch wrote before 1.6 cannot be mapped
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # bytes that are no file of torch.save fail in every way there is
        if isinstance(error, pickle.UnpicklingError) and (wanted := _wanted(error)):
            raise ValueError(
                f"{file} is a pickle that would run code of its own, {wanted}, and was not opened; save its weights as "
                f"safetensors, or as a state_dict with torch.save"
            ) from error
        raise ValueError(
            f"{file} cannot be read as a file of torch.save ({_first_line(error)}); it is cut off, damaged or of "
            f"another kind"
        ) from error
    if not isinstance(found, Mapping):
        raise ValueError(f"{file} holds a {type(found).__name__}, where a state_dict was looked for")
    return found


class _Mapped(Mapping[str, Tensor]):
    """The tensors of safetensors files."""

    def __init__(self, files: list[Any]) -> None:
        self._homes = {name: file for file in files for name in file.keys()}  # noqa: SIM118

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._homes[name].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


@contextmanager
def _safetensors(file: Path) -> Iterator[Any]:
    try:
        opened = safe_open(str(file), framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} cannot be read as safetensors: {_first_line(error)}") from error
    with opened as handle:
        yield handle


def _shards(index: Path) -> list[str]:
    try:
        return [str(shard) for shard in json.loads(index.read_text())["weight_map"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index} is not an index of shards: {_first_line(error)}") from error


def _wanted(error: Exception) -> str | None:
    """Which of its classes or functions torch refused, if that was it."""
    words = str(error)
    for mark in ("GLOBAL ", "Unsupported class "):
        if mark in words:
            return words.split(mark, 1)[1].split()[0].strip("`.,")
    return None


def _first_line(error: Exception) -> str:
    words = str(error).split("WeightsUnpickler error:")[-1].strip()  # after much advice that is not for our reader
    return (words.splitlines() or [type(error).__name__])[0]
