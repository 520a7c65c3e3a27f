"""The shared forward pass: every stimulus once, every instrument's readings taken on the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from observatory.measure.anatomy import Anatomy, Site
from observatory.observation import Array

Tokens = Sequence[tuple[int, ...]]
Reduce = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reading:
    """What is kept of the activations of one unit space: a few values for each stimulus and unit."""

    space: str
    reduce: Reduce
    """(item, token, unit) or, for vector units, (item, token, unit, component) -> (value, item, unit)."""
    values: int
    """How many values `reduce` keeps of each stimulus and unit."""
    of: Literal["unit", "layer"] = "unit"
    """Of a layer as a whole, `reduce` gives (value, item, 1)."""

    def width(self, site: Site) -> int:
        """How many numbers a value is at one layer."""
        return site.units if self.of == "unit" else 1


@dataclass(frozen=True)
class Batch:
    """Stimuli of one length, so nothing is ever padded."""

    items: Int[Tensor, " item"]
    ids: Int[Tensor, "item token"]


def batches(tokens: Tokens, limit: int) -> list[Batch]:
    """Buckets by length, each cut into batches of at most `limit` tokens (at least one stimulus)."""
    shortest = min(map(len, tokens), default=0)
    if shortest < 2:
        raise ValueError(
            f"every stimulus needs two tokens or more, since position 0 is never read; the shortest of "
            f"{len(tokens)} has {shortest}"
        )
    buckets: dict[int, list[int]] = defaultdict(list)
    for item, sequence in enumerate(tokens):
        buckets[len(sequence)].append(item)
    return [
        Batch(torch.tensor(items), torch.tensor([tokens[item] for item in items]))
        for length, bucket in sorted(buckets.items())
        for items in _chunks(bucket, max(1, limit // length))
    ]


class SharedPass:
    """Takes the readings of one model, in one pass where they fit in memory and in one pass a block of layers else."""

    def __init__(
        self,
        anatomy: Anatomy,
        tokens: Tokens,
        readings: Sequence[Reading],
        *,
        batch_tokens: int,
        memory: int,
    ) -> None:
        self._anatomy = anatomy
        self._batches = batches(tokens, batch_tokens)
        self._items = len(tokens)
        self._readings = tuple(dict.fromkeys(readings))
        self._memory = memory
        self._kept: Mapping[Reading, Float[Tensor, "value item unit"]] | None = None

    def blocks(self, *readings: Reading) -> Iterator[dict[Reading, Float[Tensor, "value item unit"]]]:
        """The values of these readings, layer after layer: mostly all layers at once, else as many as fit in memory."""
        layers = range(self._anatomy.layers)
        if self._bytes(self._readings, layers) <= self._memory:
            if self._kept is None:
                self._kept = self._take(self._readings, layers)
            yield {reading: self._kept[reading] for reading in readings}
            return
        for block in self._split(readings):
            yield self._take(readings, block)

    def _bytes(self, readings: Sequence[Reading], layers: range) -> int:
        return sum(4 * reading.values * self._items * self._units(reading, layers) for reading in readings)

    def _units(self, reading: Reading, layers: range) -> int:
        return sum(map(reading.width, self._anatomy.sites[reading.space][layers.start : layers.stop]))

    def _split(self, readings: Sequence[Reading]) -> Iterator[range]:
        start = 0
        for end in range(1, self._anatomy.layers + 1):
            if end == self._anatomy.layers or self._bytes(readings, range(start, end + 1)) > self._memory:
                yield range(start, end)
                start = end

    def _take(self, readings: Sequence[Reading], layers: range) -> dict[Reading, Float[Tensor, "value item unit"]]:
        # numpy asks for large pages and writes scattered rows at once; torch's own take several times as long for both.
        stores = {
            reading: np.zeros((reading.values, self._items, self._units(reading, layers)), np.float32)
            for reading in readings
        }
        collectors: dict[Site, list[tuple[Reduce, Array]]] = defaultdict(list)
        for reading, store in stores.items():
            start = 0
            for site in self._anatomy.sites[reading.space][layers.start : layers.stop]:
                width = reading.width(site)
                collectors[site].append((reading.reduce, store[..., start : start + width]))
                start += width
        device, current = self._anatomy.device, self._batches[0]
        rows = current.items.numpy()

        def collect(site: Site, activations: Tensor) -> None:
            shaped = activations.reshape(*current.ids.shape, *((site.units, -1) if site.grouped else (-1,)))
            for reduce, store in collectors[site]:
                store[:, rows] = reduce(shaped).to("cpu", torch.float32).numpy()

        last = self._anatomy.sites["residual"][layers.stop - 1].module
        with ExitStack() as hooks:
            for site in collectors:
                hooks.callback(hooked(site, collect).remove)
            hooks.callback(last.register_forward_hook(_stop).remove)
            for current in self._anatomy.ranks.own(self._batches):
                rows = current.items.numpy()
                try:
                    self._anatomy.run(current.ids.to(device))
                except _LastLayerReached:
                    continue
                raise RuntimeError(
                    f"{type(self._anatomy.body).__name__} returned without running its last block "
                    f"({type(last).__name__}), so its activations could not be read"
                )
        return {reading: self._anatomy.ranks.total(torch.from_numpy(store)) for reading, store in stores.items()}


class _LastLayerReached(Exception):
    """Ends a forward pass once nothing more is to be read, so neither the final norm nor the head is run."""


def _stop(*_: object) -> None:
    raise _LastLayerReached


def hooked(site: Site, collect: Callable[[Site, Tensor], None]) -> torch.utils.hooks.RemovableHandle:
    """Hands over the activations of a site whenever its module is run."""

    if site.side == "input":

        def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            collect(site, inputs[0])

        return site.module.register_forward_pre_hook(before)

    def after(_: nn.Module, __: object, output: Tensor | tuple[Any, ...]) -> None:
        collect(site, output if isinstance(output, Tensor) else output[0])

    return site.module.register_forward_hook(after)


def _chunks(items: list[int], size: int) -> Iterator[list[int]]:
    return (items[start : start + size] for start in range(0, len(items), size))
