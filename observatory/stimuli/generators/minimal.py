"""Minimal pairs before they have a prompt format: two unfinished sentences and the word that ends each."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from observatory.stimuli.generators.words import pick


class Stem(NamedTuple):
    """A sentence without its last word, and that word."""

    text: str
    answer: str


class Minimal(NamedTuple):
    """Two stems that differ in what decides the answer and in nothing else."""

    clean: Stem
    corrupted: Stem


Template = Callable[[random.Random], Minimal]
Kernel = Sequence[Template]
"""The templates of one kind of question; each is a cluster of pairs."""


def template(clean: str, corrupted: str, correct: str, incorrect: str, **slots: str) -> Template:
    """A template from patterns with {slots}; a slot has one filler, the same wherever it stands.

    A filler "keys|key" is "keys" in the clean stem and "key" in the corrupted one.
    """

    def draw(rng: random.Random) -> Minimal:
        fillers: dict[str, str] = {}
        for slot, lexicon in slots.items():
            while (filler := pick(rng, lexicon)) in fillers.values():
                pass
            fillers[slot] = filler
        left = {slot: filler.split("|")[0] for slot, filler in fillers.items()}
        right = {slot: filler.split("|")[-1] for slot, filler in fillers.items()}
        return Minimal(
            Stem(clean.format(**left), correct.format(**left)),
            Stem(corrupted.format(**right), incorrect.format(**right)),
        )

    return draw
