"""The synthetic corpus: documents of one domain and one condition, drawn from the grammars of the stimuli."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from observatory.train.held_out import HeldOut
from observatory.train.mixture import Mixture, Source

Grammar = Callable[[random.Random], tuple[str, str]]
"""Draws one target and its matched control."""
Grammars = Mapping[str, Mapping[str, Grammar]]
"""Grammars by domain and family."""
Condition = Literal["target", "control"]

_TRIES = 1000
"""How often a sentence is redrawn before its grammar is taken to hold nothing but held-out sentences."""


@dataclass(frozen=True)
class Document:
    """A text that keeps to its subject, as real ones do: what it is about can be told from its beginning."""

    domain: str
    condition: Condition
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences, one after the other."""
        return " ".join(self.sentences)


class Corpus:
    """Draws documents. All randomness comes from the generator that is passed in."""

    def __init__(self, grammars: Grammars, mixture: Mixture, held_out: HeldOut) -> None:
        unknown = set(mixture.domains) - set(grammars)
        if unknown:
            raise ValueError(f"no grammar for the domain {', '.join(sorted(unknown))}; there are {', '.join(grammars)}")
        self.mixture = mixture
        self.held_out = held_out
        self._families = {name: tuple(grammars[name].values()) for name in mixture.domains}

    def document(self, rng: random.Random, step: int) -> Document:
        """A document of a domain that has started, in either condition."""
        weights = self.mixture.started(step)
        edges = list(accumulate(weights.values()))
        domain = list(weights)[bisect(edges, rng.random() * edges[-1])]
        condition: Condition = "control" if rng.random() < self.mixture.control_share else "target"
        return self.document_of(domain, condition, rng)

    def document_of(self, domain: str, condition: Condition, rng: random.Random) -> Document:
        """A document of a given domain and condition, whether or not the domain has started."""
        source = self.mixture.domains[domain]
        count = rng.randint(self.mixture.shortest, self.mixture.longest)
        sentences = tuple(self._sentence(domain, source, condition, rng) for _ in range(count))
        return Document(domain, condition, sentences)

    def sample(self, domain: str, condition: Condition, count: int, seed: int = 0) -> list[Document]:
        """Documents for evaluation: a stream of its own, so they are not those that a training run draws."""
        rng = random.Random(f"sample/{seed}/{domain}/{condition}")
        return [self.document_of(domain, condition, rng) for _ in range(count)]

    def documents(self, rng: random.Random, step: int) -> Iterator[Document]:
        """Documents without end, all as of one step."""
        while True:
            yield self.document(rng, step)

    def _sentence(self, domain: str, source: Source, condition: Condition, rng: random.Random) -> str:
        for _ in range(_TRIES):
            target, control = rng.choice(self._families[domain])(rng)
            sentence = control if condition == "control" else target
            if sentence in self.held_out:
                continue
            if source.shuffled:
                sentence = shuffled(sentence, rng)
                if sentence in self.held_out:
                    continue
            return sentence
        raise ValueError(
            f"{_TRIES} sentences drawn from the domain {domain!r} were all held out; its grammars are too small "
            f"for the battery"
        )


def shuffled(sentence: str, rng: random.Random) -> str:
    """The words in random order; the final mark stays at the end, since it separates sentences."""
    body = sentence.rstrip(".?!")
    words = body.split()
    rng.shuffle(words)
    return " ".join(words) + sentence[len(body) :]
