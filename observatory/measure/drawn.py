"""Texts that are drawn for a measurement: random tokens shown twice, and running text made of stimuli.

They depend on the battery and on a name alone, so a model is shown the same ones at every step and in every replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from observatory.measure.reading import Tokens
from observatory.stimuli.tokens import Ids


def generator(*name: str) -> np.random.Generator:
    """The same for the same name."""
    return np.random.default_rng(list("/".join(name).encode()))


def opening(tokens: Tokens) -> Ids:
    """What every stimulus starts with, if they all start alike: the tokenizer's beginning of text."""
    firsts = {sequence[0] for sequence in tokens}
    return tuple(firsts) if len(firsts) == 1 else ()


def repeated(tokens: Tokens, count: int, period: int, name: str) -> list[Ids]:
    """One token, then `period` random ones twice. No token comes twice in a period if there are enough in the battery.

    They are drawn evenly from those that occur there, among which no token is one that training never meets.
    """
    start = opening(tokens)
    known = np.array(sorted({token for sequence in tokens for token in sequence[len(start) :]}))
    draw = generator(name, "repeated")
    found = []
    for _ in range(count):
        once = draw.choice(known, period, replace=known.size < period).tolist()
        first = start or (int(draw.choice(known)),)
        found.append((*first, *once, *once))
    return found


def running(tokens: Tokens, stimuli: Sequence[Ids], count: int, length: int, name: str) -> list[Ids]:
    """The opening and then stimuli in a random order, each at most once, up to `length` tokens in all."""
    start = opening(tokens)
    most = most_running(tokens, stimuli)
    if most < length:
        raise ValueError(f"these {len(stimuli)} stimuli give {most} tokens of running text, not {length}; ask for less")
    draw = generator(name, "running")
    orders = (draw.permutation(len(stimuli)) for _ in range(count))
    return [
        tuple(chain(start, *(stimuli[one][len(start) :] for one in order)))[:length]  # cut where the last one stands
        for order in orders
    ]


def most_running(tokens: Tokens, stimuli: Sequence[Ids]) -> int:
    """How long running text of these stimuli can be."""
    start = len(opening(tokens))
    return start + sum(len(one) - start for one in stimuli)
