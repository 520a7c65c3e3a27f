"""The processes that measure one model together: each runs its share of the passes, and all come to know all values.

Nothing is sent from inside a hook, and nothing before every process has said that it has come so far without an error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

_Item = TypeVar("_Item")
_PATIENCE = timedelta(minutes=30)


class ElsewhereError(RuntimeError):
    """Another process could not go on, so that this one cannot either."""


@dataclass(eq=False)
class Ranks:
    """One process unless a group is given; a group speaks over gloo, beside whatever training speaks over."""

    group: dist.ProcessGroup | None = None
    limit: float | None = None
    """Seconds that an observation may take."""
    _deadline: float | None = field(default=None, init=False)
    _told: Exception | None = field(default=None, init=False)

    def __deepcopy__(self, memo: dict[int, object]) -> Ranks:
        return self  # the copy of a model is measured by the same processes

    @property
    def rank(self) -> int:
        return 0 if self.group is None else dist.get_rank(self.group)

    @property
    def size(self) -> int:
        return 1 if self.group is None else dist.get_world_size(self.group)

    def own(self, passes: Sequence[_Item]) -> Iterator[_Item]:
        """Every so-manieth, the same whatever they are; late ones end the observation."""
        for one in passes[self.rank :: self.size]:
            self._refuse_late()
            yield one

    def total(self, values: Tensor) -> Tensor:
        """Added up over all, in place: exact where each value is one process's own and others have zero there."""
        if self.group is not None:
            self._agree(None)
            dist.all_reduce(values, group=self.group)
        return values

    def from_first(self, value: _Item) -> _Item:
        """What the first process has; of the others theirs is not looked at."""
        if self.group is None:
            return value
        self._agree(None)
        shared = [value]
        dist.broadcast_object_list(shared, group=self.group, group_src=0)
        return shared[0]

    @contextmanager
    def together(self) -> Iterator[None]:
        """An error of one process is one of all: of the others an ElsewhereError with its words."""
        self._deadline = None if self.limit is None else time.monotonic() + self.limit
        try:
            yield
        except Exception as error:
            if not isinstance(error, ElsewhereError) and error is not self._told:
                self._told = error  # to all, once, however many of these contexts it passes through
                self._agree(f"{type(error).__name__}: {error}")
            raise
        else:
            self._agree(None)
        finally:
            self._deadline = None

    def _refuse_late(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimeoutError(
                f"the observation was not done within {self.limit:g} s; raise the limit, or measure less at a time"
            )

    def _agree(self, wrong: str | None) -> None:
        """All ask at the same moment whether something went wrong anywhere."""
        if self.group is None:
            return
        flag = torch.tensor([wrong is not None], dtype=torch.uint8)
        dist.all_reduce(flag, dist.ReduceOp.MAX, group=self.group)
        if not flag.item():
            return
        told: list[str | None] = [None] * self.size
        dist.all_gather_object(told, wrong, group=self.group)
        if wrong is None:
            rank, words = next((rank, words) for rank, words in enumerate(told) if words is not None)
            raise ElsewhereError(f"{words} (on rank {rank}; the others are well)")


ALONE = Ranks()


def all_ranks(limit: float | None = None) -> Ranks:
    """Of the run that this process is part of; every one of its processes must call this at the same point."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return Ranks(limit=limit)
    # Those who wait for one that is late give up after it has given up by itself.
    patience = _PATIENCE if limit is None else timedelta(seconds=2 * limit + 60)
    return Ranks(dist.new_group(backend="gloo", timeout=patience), limit)
