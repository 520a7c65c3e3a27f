"""Files of representations from outside, on random words, in which it is known what there is to find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from loop import WORDS

from observatory.observation import Array


def random_texts(count: int, name: str = "outside") -> list[str]:
    """All different."""
    draw, found = np.random.default_rng(list(name.encode())), dict[str, None]()
    while len(found) < count:
        found[" ".join(draw.choice(WORDS, 3 + len(found) % 3))] = None
    return list(found)


def noisy(signal: Array, reliability: float, repeats: int, seed: int = 0) -> Array:
    """Repeats (stimulus, channel, repeat) of a signal, whose mean has this share of its variance from the signal."""
    scaled = (signal - signal.mean(0)) / signal.std(0)
    noise = np.random.default_rng(seed).normal(size=(*signal.shape, repeats))
    found: Array = scaled[..., None] + np.sqrt(repeats * (1 - reliability) / reliability) * noise
    return found


def written(texts: Sequence[str], **data: Array) -> Path:
    """In a folder of its own."""
    path = Path(mkdtemp()) / "planted.npz"
    np.savez(path, stimuli=np.array(texts), **data)  # type: ignore[arg-type]
    return path


def of_noise(count: int = 24, channels: int = 4, repeats: int = 3) -> Path:
    """Responses that nothing foresees."""
    values = np.random.default_rng(3).normal(size=(count, channels, repeats))
    return written(random_texts(count), group=np.arange(count) // 2, responses=values)
