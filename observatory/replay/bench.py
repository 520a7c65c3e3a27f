"""Where one checkpoint after another is loaded and measured: in this process, in another, or on another machine."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from observatory.observation import Gap, Instrument, Observation, Variable
from observatory.observe import Observatory
from observatory.replay.fetching import Fetcher, Room
from observatory.replay.model import Make, Replayed
from observatory.replay.places import Checkpoint
from observatory.stimuli.battery import Battery
from observatory.stimuli.tokenizer import load_tokenizer
from observatory.watch import refuse_another


@dataclass(frozen=True)
class Settings:
    """All that a bench is made from; it travels to other processes."""

    tokenizer: str
    battery: Battery
    instruments: tuple[Instrument, ...]
    twins: int | None = None
    model: str | None = None
    """`package.module:function` that makes the model, where the checkpoints do not say how."""
    dtype: str = "float32"
    device: str = "cpu"
    threads: int | None = None
    room: Room | None = None
    trust_remote_code: bool = False

    def observatory(self) -> Observatory:
        return Observatory(
            load_tokenizer(self.tokenizer), battery=self.battery, instruments=self.instruments, twins=self.twins
        )


@dataclass(frozen=True)
class Foreign(Gap):
    """Of a checkpoint that can be loaded, and is of another model than those before it."""


@dataclass(frozen=True)
class Job:
    """One checkpoint to be measured."""

    checkpoint: Checkpoint
    after: int
    """The step of the checkpoint before it, -1 of the first."""
    last: bool
    then: Checkpoint | None = None
    """What this bench will be given next, if that is known."""
    twins: Mapping[str, Variable] = field(default_factory=dict)
    """What is known of the twins already."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Of the observation that it is known from."""


class Bench:
    """Keeps one model and gives it the weights of one checkpoint after another."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._observatory = settings.observatory()
        self._fetcher = Fetcher(settings.room, settings.trust_remote_code)
        self._replayed = Replayed(
            None if settings.model is None else maker(settings.model),
            dtype=_dtype(settings.dtype),
            device=settings.device,
            trust_remote_code=settings.trust_remote_code,
        )

    def measure(self, job: Job) -> Observation | Gap:
        """A gap if it cannot be loaded; an error if what was loaded cannot be measured."""
        checkpoint = job.checkpoint
        try:
            with self._fetcher.fetched(checkpoint) as path:
                model = self._replayed.at(checkpoint, path)
            refused = None
        except Exception as error:
            refused = f"{checkpoint.name} could not be loaded: {_in_words(error)}"
        if job.then is not None:
            self._fetcher.fetch_ahead(job.then)
        if refused is not None:
            return Gap(step=checkpoint.step, tokens=checkpoint.tokens, reason=refused)
        try:
            if foreign := self._foreign(model, job.provenance):
                reason = f"{checkpoint.name} is another model: {foreign}"
                return Foreign(step=checkpoint.step, tokens=checkpoint.tokens, reason=reason)
            known = Observation(step=job.after, variables=job.twins, coordinates={}, provenance=job.provenance)
            with threads(self._settings.threads or checkpoint.threads):
                return self._observatory.observe(
                    model,
                    checkpoint.step,
                    tokens=checkpoint.tokens,
                    previous=known if job.after >= 0 else None,
                    last=job.last,
                )
        except Exception as error:
            error.add_note(f"this happened at {checkpoint.place}")
            raise

    def _foreign(self, model: nn.Module, before: Mapping[str, str]) -> str | None:
        """Why it is not of what has been measured before, if it is not."""
        if not before:
            return None
        try:
            refuse_another(before, self._observatory.provenance(model))
        except ValueError as error:
            return str(error)
        return None

    def close(self) -> None:
        """What has been fetched ahead is given up."""
        self._fetcher.__exit__(None, None, None)


def maker(name: str) -> Make:
    """The function that `package.module:function` names."""
    module, _, function = name.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"there is no {name!r} that makes the model ({error}); name a function as package.module:function"
        ) from error
    made: Make = found
    return made


def _in_words(error: Exception) -> str:
    """In one line; who raised a ValueError of ours says all there is to say."""
    words = " ".join(str(error).split())
    return words if type(error) is ValueError else f"{type(error).__name__}: {words}"


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """As many as the live run had, so that sums are taken in its order; the process's own where that is not known."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"there is no dtype {name!r} for weights; use float32, bfloat16 or float16")
    return found
