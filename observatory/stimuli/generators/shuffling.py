"""Word order as the only difference: the same words in an order that no reader would take for a sentence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from observatory.stimuli.generators.contrast import Contrast
from observatory.stimuli.generators.words import words

DETERMINERS = frozenset(words("the a an every each our my their his her this that these those some two three no"))
CLOSED = DETERMINERS | frozenset(
    words(
        "of to in on at by for from with into near under over behind beside before after until since during between "
        "and or but because although while when where why how who which than as if so "
        "is are was were be been has have had will would can could did does do should must may there not"
    )
)
TRIES = 400


def shuffled(sentence: str, rng: random.Random) -> Contrast:
    """The sentence against its own words in another order.

    The last word keeps its place, so that the token read at the end is the same in both. No two neighbours of
    the sentence stay neighbours, and at least two determiners stand where English allows none.
    """
    words = sentence.split()
    kept = set(pairwise(words))
    for _ in range(TRIES):
        order = [*rng.sample(words[:-1], len(words) - 1), words[-1]]
        if kept.isdisjoint(pairwise(order)) and misplaced_determiners(order) >= 2:
            return Contrast(sentence, " ".join(order))
    raise ValueError(
        f"the sentence {sentence!r} has no order that is plainly ungrammatical; give it two determiners and "
        "two more function words"
    )


def misplaced_determiners(words: Sequence[str]) -> int:
    """How often a determiner is followed by a word that no noun phrase can begin with after it."""
    return sum(first in DETERMINERS and second in CLOSED for first, second in pairwise(words))
