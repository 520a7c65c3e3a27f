"""One model instance for a whole suite: built from its first checkpoint, then given the weights of the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from observatory.replay.places import Checkpoint
from observatory.replay.weights import Weights, open_weights

_CONFIG = "config.json"
Make = Callable[[Mapping[str, Any]], nn.Module]
"""Makes a model with any weights from what a checkpoint file holds beside its own, such as model_args."""


class Replayed:
    """The model of a suite at one checkpoint after another."""

    def __init__(
        self,
        make: Make | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        trust_remote_code: bool = False,
    ) -> None:
        self._make = make
        self._dtype = dtype
        self._device = torch.device(device)
        self._trust_remote_code = trust_remote_code
        self._model: nn.Module | None = None
        self._names: Mapping[str, str] | None = None
        """Model tensor -> its name in the files; None where the files' tensors are not the model's."""
        self._kind: object = None
        """What two checkpoints must share for one model to take the weights of both."""

    @torch.no_grad()
    def at(self, checkpoint: Checkpoint, path: Path) -> nn.Module:
        """The model with these weights; the same object whenever the architecture is the same."""
        with open_weights(path) as weights:
            kind = (_config(path), checkpoint.attention, frozenset(weights.tensors))
            if self._model is not None and self._names is not None and kind == self._kind:
                _fill(self._model, weights, self._names)
                return self._model
            if self._names is None:
                self._model = None  # of no more use, and there may not be room for two
            with torch.random.fork_rng(devices=[]):  # what is filled afterwards is first drawn
                model = self._build(checkpoint, path, weights)
            self._model, self._names, self._kind = model, _names(model, weights), kind
            return model

    def _build(self, checkpoint: Checkpoint, path: Path, weights: Weights) -> nn.Module:
        if self._make is None and path.is_dir():
            return self._from_pretrained(checkpoint, path).to(self._device)
        # What transformers makes in a dtype is not all of that dtype.
        model = self._from_config(path) if self._make is None else self._make(weights.beside).to(self._dtype)
        model = model.to(self._device).train(False)
        names = _by_name(model, weights.tensors)
        _refuse_missing(model.state_dict().keys() - names.keys())
        _refuse_more(model, weights.tensors.keys() - set(names.values()), _prefix(names))
        _fill(model, weights, names)
        return model

    def _from_config(self, path: Path) -> nn.Module:
        """For a file with weights alone; how the model is made may be told beside it."""
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.from_pretrained(_told_in(path), trust_remote_code=self._trust_remote_code)
        models: Any = AutoModelForCausalLM
        made: nn.Module = models.from_config(config, dtype=self._dtype, trust_remote_code=self._trust_remote_code)
        return made

    def _from_pretrained(self, checkpoint: Checkpoint, path: Path) -> nn.Module:
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.from_pretrained(_told_in(path), trust_remote_code=self._trust_remote_code)
        with _quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                path,
                config=config,
                attn_implementation=checkpoint.attention,
                trust_remote_code=self._trust_remote_code,
                dtype=self._dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, in words
            )
        model, loading = loaded
        for name, theirs, ours in sorted(loading["mismatched_keys"]):
            raise ValueError(_misshapen(name, theirs, ours))
        _refuse_missing(loading["missing_keys"])
        _refuse_more(model, loading["unexpected_keys"], "")
        for tensor in chain(model.parameters(), model.buffers()):
            tensor.data = tensor.data.clone()  # it lay in the file, which could neither be changed nor go
        made: nn.Module = model
        return made


def _fill(model: nn.Module, weights: Weights, names: Mapping[str, str]) -> None:
    """In place: the parameters stay the same objects. All is checked before anything is written."""
    state = model.state_dict()
    _refuse_missing({theirs for theirs in names.values() if theirs not in weights.tensors})
    found = {name: weights.tensors[theirs] for name, theirs in names.items()}
    for name, tensor in found.items():
        if tensor.shape != state[name].shape:
            raise ValueError(_misshapen(names[name], tensor.shape, state[name].shape))
        if tensor.is_floating_point() != state[name].is_floating_point():
            raise ValueError(f"its {names[name]} holds {tensor.dtype}, where the model's holds {state[name].dtype}")
    for name, tensor in found.items():
        state[name].copy_(tensor)


def _by_name(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """With whatever a wrapper has put before the names; of those that are tied one is enough."""
    state = model.state_dict()
    fits = [{name: prefix + name for name in state if prefix + name in tensors} for prefix in _prefixes(tensors)]
    names = max(fits, key=len, default={})
    homes = {(state[name].data_ptr(), state[name].shape): theirs for name, theirs in names.items()}
    tied = {name: homes.get((tensor.data_ptr(), tensor.shape)) for name, tensor in state.items() if name not in names}
    return names | {name: theirs for name, theirs in tied.items() if theirs is not None}


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    parts = [name.split(".") for name in tensors]
    return sorted({".".join([*part[:depth], ""]) if depth else "" for part in parts for depth in range(4)}, key=len)


def _prefix(names: Mapping[str, str]) -> str:
    return next((theirs.removesuffix(name) for name, theirs in names.items() if theirs.endswith(name)), "")


def _names(model: nn.Module, weights: Weights) -> dict[str, str] | None:
    """Which tensor of the files each of the model's is, shown by their being equal; None if one is of no such tensor.

    transformers renames some as it reads them, and may put several together.
    """
    state, files = model.state_dict(), weights.tensors
    names = _by_name(model, files)
    for name in sorted(state.keys() - names.keys()):
        free = [theirs for theirs in files if theirs not in names.values() and _equal(state[name], files[theirs])]
        if len(free) != 1:
            return None
        names[name] = free[0]
    same = all(_equal(state[name], files[theirs]) for name, theirs in names.items())
    return names if same else None


def _equal(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape and torch.equal(ours, theirs.to(ours))


def _refuse_missing(names: set[str]) -> None:
    if names:
        raise ValueError(f"its file lacks {len(names)} of the model's tensors, {min(names)} among them")


def _refuse_more(model: nn.Module, names: set[str], prefix: str) -> None:
    """A head or a mask that the model does not have may stand in the file; another layer of those it has may not."""
    kinds = {re.sub(r"\d+", "#", prefix + name) for name in model.state_dict()}
    if more := sorted(name for name in names if re.sub(r"\d+", "#", name) in kinds):
        raise ValueError(f"its file has {len(more)} tensors more than the model, {more[0]} among them")


def _misshapen(name: str, theirs: tuple[int, ...], ours: tuple[int, ...]) -> str:
    return f"its {name} has shape {tuple(theirs)}, where the model's has {tuple(ours)}"


def _untold(path: Path) -> str:
    return (
        f"{path.name} says nothing of its architecture: there is no config.json; name a function that makes the model, "
        f"as model='package.module:function'"
    )


def _config(path: Path) -> str:
    return next(((home / _CONFIG).read_text() for home in _homes(path)), "")


def _told_in(path: Path) -> Path:
    """The folder that says what model it is."""
    if not (homes := _homes(path)):
        raise ValueError(_untold(path))
    return homes[0]


def _homes(path: Path) -> list[Path]:
    """Its own folder, or one of two above, which may say it of all checkpoints together."""
    nearest = path if path.is_dir() else path.parent
    return [home for home in (nearest, *list(nearest.absolute().parents)[:2]) if (home / _CONFIG).is_file()]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a bar and a report for every checkpoint."""
    from transformers import utils

    logging: Any = utils.logging
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
