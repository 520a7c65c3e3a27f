"""Word order as the only difference: the same words in an order that no reader would take for a sentence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from observatory.stimuli.generators.contrast import Contrast
from observatory.stimuli.generators.words import words

DETERMINERS = frozenset(words("the a an every our my their its"))
CLOSED = DETERMINERS | frozenset(
    words(
        "of to in on at by for from with into near under over behind beside before after until since during between "
        "and or but because although while when where why how who which than as if so "
        "this that these those some two three no "
        "is are was were be been has have had will would can could did does do should must may there not"
    )
)
TRIES = 5000


def shuffled(sentence: str, rng: random.Random) -> Contrast:
    """The sentence against its own words in another order.

    The first and the last word keep their places: the token read at the end is the same in both, and no text
    can be told by how it begins. No two neighbours of the sentence stay neighbours, and two determiners, or its
    only one, stand where English allows none.
    """
    said = sentence.split()
    kept = set(pairwise(said))
    wanted = min(2, sum(word in DETERMINERS for word in said))
    for _ in range(TRIES if wanted else 0):
        order = [said[0], *rng.sample(said[1:-1], len(said) - 2), said[-1]]
        if misplaced_determiners(order) >= wanted and kept.isdisjoint(pairwise(order)):
            return Contrast(sentence, " ".join(order))
    raise ValueError(
        f"the sentence {sentence!r} has no order that is plainly ungrammatical; give it two determiners and "
        "more function words"
    )


def misplaced_determiners(words: Sequence[str]) -> int:
    """How often a determiner is followed by a word that no noun phrase can begin with after it."""
    return sum(first in DETERMINERS and second in CLOSED for first, second in pairwise(words))
