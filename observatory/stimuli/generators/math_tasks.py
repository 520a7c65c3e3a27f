"""Math: small sums, and which number is the larger, all in words so that an answer is one word."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from observatory.stimuli.generators.minimal import Kernel, Minimal, Stem, Template
from observatory.stimuli.generators.number_words import spelled

LARGEST_SUM = 12
SINGLE_WORDS = (*range(1, 20), *range(20, 100, 10))


def total(pattern: str) -> Template:
    """Two addends in the pattern; the second differs between the stems."""

    def draw(rng: random.Random) -> Minimal:
        first = rng.randint(1, LARGEST_SUM - 2)
        clean, corrupted = rng.sample(range(1, LARGEST_SUM - first + 1), 2)
        return Minimal(*(sum_stem(first, second) for second in (clean, corrupted)))

    def sum_stem(first: int, second: int) -> Stem:
        return Stem(pattern.format(a=spelled(first), b=spelled(second)), spelled(first + second))

    return draw


def rest(pattern: str) -> Template:
    """What is left of one number without the other."""

    def draw(rng: random.Random) -> Minimal:
        whole = rng.randint(3, LARGEST_SUM)
        clean, corrupted = rng.sample(range(1, whole), 2)
        return Minimal(*(rest_stem(whole, part) for part in (clean, corrupted)))

    def rest_stem(whole: int, part: int) -> Stem:
        return Stem(pattern.format(a=spelled(whole), b=spelled(part)), spelled(whole - part))

    return draw


def judged(pattern: str, above: str, below: str) -> Template:
    """A number against a limit: over it in the clean stem, under it in the corrupted one."""

    def draw(rng: random.Random) -> Minimal:
        low, limit, high = sorted(rng.sample(SINGLE_WORDS, 3))
        return Minimal(stem(high, limit, above), stem(low, limit, below))

    def stem(number: int, limit: int, answer: str) -> Stem:
        return Stem(pattern.format(x=spelled(number), m=spelled(limit)), answer)

    return draw


def parity(pattern: str, name: Callable[[int], str]) -> Template:
    """Whether a number can be halved."""

    def draw(rng: random.Random) -> Minimal:
        even, odd = rng.choice(range(2, 20, 2)), rng.choice(range(1, 20, 2))
        other = spelled(rng.choice([n for n in range(3, 20, 2) if n != odd]))
        return Minimal(*(Stem(pattern.format(x=spelled(n), o=other), name(n)) for n in (even, odd)))

    return draw


ARITHMETIC: Kernel = (
    total("{a} plus {b} makes"),
    total("the sum of {a} and {b} is"),
    total("adding {a} to {b} gives"),
    total("{a} coins and {b} more coins together make"),
    rest("{a} minus {b} leaves"),
    rest("taking {b} from {a} gives"),
    rest("the difference between {a} and {b} is"),
    rest("from {a} eggs {b} broke so the eggs left number"),
)
"""Sums and differences up to twelve."""

MAGNITUDE: Kernel = (
    judged("compared with {m} the number {x} is", "larger", "smaller"),
    judged("since the limit is {m} a count of {x} is", "above", "below"),
    judged("when {m} is taken from {x} the result is", "positive", "negative"),
    judged("beside a score of {m} the score {x} is", "higher", "lower"),
    judged("counting on from {m} up or down we reach {x} by going", "up", "down"),
    judged("next to {m} pears a heap of {x} pears holds", "more", "fewer"),
    parity("shared between two people {x} is a number that is", lambda n: "odd" if n % 2 else "even"),
    parity("the sum of {o} and {x} is a number that is", lambda n: "even" if n % 2 else "odd"),
)
"""Order and parity."""

KERNELS: Mapping[str, Kernel] = {"arithmetic": ARITHMETIC, "magnitude": MAGNITUDE}
