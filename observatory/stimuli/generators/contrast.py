"""What a grammar gives: one stimulus and its control, with the same number of words."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Contrast(NamedTuple):
    """A target and the control that it is measured against."""

    target: str
    control: str


Grammar = Callable[[random.Random], Contrast]


def other(rng: random.Random, words: Sequence[str], taken: str) -> str:
    """One of the words that is not the one already used in this sentence."""
    while (word := rng.choice(words)) == taken:
        pass
    return word
