"""Word lists written as one string, and draws from them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache


@cache
def words(text: str) -> tuple[str, ...]:
    """The words of a list, so that a lexicon reads like a line of text."""
    return tuple(text.split())


def pick(rng: random.Random, text: str) -> str:
    """One of the words."""
    return rng.choice(words(text))


def other(rng: random.Random, lexicon: Sequence[str], taken: str) -> str:
    """One of the words that is not the one already used in this sentence."""
    return rng.choice([word for word in lexicon if word != taken])
