"""What memory an observation takes beside the model's own, told before it is made."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from observatory.measure.anatomy import Anatomy
from observatory.measure.asking import LOGITS_AT_ONCE
from observatory.measure.attribution import bytes_of_a_pair
from observatory.measure.reading import Reading

_STREAMS = 6
"""About how many tensors as wide as the residual stream a block holds at once, beside its neurons twice."""
_VALUES, _LOGITS = 3, 3
"""How often they are held together: by the pass, what is made of them, and a twin's pass; and around a softmax."""
_ORDER = 12
"""Bytes for each entry of the largest parameter, whose entries are put into another order for a twin."""


@dataclass(frozen=True)
class Needs:
    """In bytes."""

    values: int
    """Of the values that a pass leaves, on the host."""
    device: int
    """Of one batch and of the copy that becomes the twins, where the model is."""
    on_host: bool
    """Whether that is the host, too."""

    @property
    def host(self) -> int:
        return self.values + (self.device if self.on_host else 0)

    def told(self) -> str:
        """In words."""
        where = "of memory" if self.on_host else f"of the host's memory and {_size(self.device)} of the device's"
        return f"An observation needs about {_size(self.host)} {where} beside the model."

    def lacking(self, free: dict[str, int]) -> str | None:
        """What there is too little of, if that is so."""
        wanted = {"host": self.host} if self.on_host else {"host": self.host, "device": self.device}
        short = [
            f"{_size(wanted[what])} on the {what}, where {_size(free[what])} are free"
            for what in wanted
            if what in free and free[what] < wanted[what]
        ]
        if not short:
            return None
        return f"an observation needs about {' and '.join(short)}; use smaller batches, or no twins"


def needs(
    anatomy: Anatomy,
    readings: Sequence[Reading],
    items: int,
    pairs: int,
    *,
    batch_tokens: int,
    memory: int,
    twins: bool,
) -> Needs:
    """About: what the allocator keeps, and what an instrument of one's own does, is not counted."""
    read = sum(
        4 * reading.values * items * sum(map(reading.width, anatomy.sites[reading.space])) for reading in set(readings)
    )
    answers = pairs * bytes_of_a_pair(anatomy)
    width = 2 if next(anatomy.body.parameters()).dtype in (torch.float16, torch.bfloat16) else 4
    widest = 2 * max(anatomy.widths("mlp")) + _STREAMS * max(anatomy.widths("residual"))
    # A backward pass keeps what every layer holds.
    layers = anatomy.layers if pairs else 1
    logits = min(LOGITS_AT_ONCE, batch_tokens * anatomy.voice.vocabulary) if pairs else 0
    batch = width * batch_tokens * widest * layers + _LOGITS * 4 * logits
    sizes = [one.numel() for one in anatomy.whole.parameters()]
    copy = sum(one.numel() * one.element_size() for one in anatomy.whole.parameters())
    return Needs(
        (_VALUES if twins else _VALUES - 1) * min(read, memory) + min(answers, memory) + _ORDER * max(sizes) * twins,
        batch + copy * twins,
        anatomy.device.type == "cpu",
    )


def free_memory(device: torch.device) -> dict[str, int]:
    """Of the host, where it tells, and of a GPU."""
    found: dict[str, int] = {}
    info = Path("/proc/meminfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
        found["host"] = 1024 * int(lines["MemAvailable"].split()[0])
    elif hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        found["host"] = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if device.type == "cuda":
        found["device"] = torch.cuda.mem_get_info(device)[0]
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether smaller batches may help: of a device, or of the host where it says so instead of ending the process."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("can't allocate memory" in str(error) or "OutOfMemoryError" in str(error))
    )


def release_memory() -> None:
    """What an observation that failed has left."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"
