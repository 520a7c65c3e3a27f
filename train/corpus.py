"""The synthetic corpus: documents of one domain and one condition, drawn from the grammars of the stimuli."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from observatory.stimuli.generators import Grammar, TaskGrammar
from observatory.train.held_out import HeldOut
from observatory.train.mixture import Mixture

Grammars = Mapping[str, Mapping[str, Grammar]]
"""Contrast grammars by domain and family."""
TaskGrammars = Mapping[str, Mapping[str, TaskGrammar]]
"""Task grammars by domain and task."""
Draw = Callable[[random.Random], str]
Condition = Literal["target", "control", "task"]
"""What a document's sentences are: targets of contrasts, their matched controls, or prompts with true answers."""

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
        """The sentences, one after the other, each with a mark at its end."""
        return " ".join(_ended(sentence) for sentence in self.sentences)


class Corpus:
    """Draws documents. All randomness comes from the generator that is passed in."""

    def __init__(self, grammars: Grammars, tasks: TaskGrammars, mixture: Mixture, held_out: HeldOut) -> None:
        unknown = set(mixture.domains) - set(grammars)
        if unknown:
            raise ValueError(f"no grammar for the domain {', '.join(sorted(unknown))}; there are {', '.join(grammars)}")
        self.mixture = mixture
        self.held_out = held_out
        self._draws: dict[tuple[str, Condition], Sequence[Draw]] = {}
        for name in mixture.domains:
            families = grammars[name].values()
            self._draws[name, "target"] = [_target(grammar) for grammar in families]
            self._draws[name, "control"] = [_control(grammar) for grammar in families]
            self._draws[name, "task"] = [_answered(grammar) for grammar in tasks.get(name, {}).values()]

    def document(self, rng: random.Random, step: int) -> Document:
        """A document of a domain that has started."""
        weights = self.mixture.started(step)
        edges = list(accumulate(weights.values()))
        domain = list(weights)[bisect(edges, rng.random() * edges[-1])]
        return self.document_of(domain, self._condition(domain, rng), rng)

    def document_of(self, domain: str, condition: Condition, rng: random.Random) -> Document:
        """A document of a given domain and condition, whether or not the domain has started."""
        count = rng.randint(self.mixture.shortest, self.mixture.longest)
        draws = self._draws[domain, condition]
        return Document(domain, condition, tuple(self._sentence(domain, draws, rng) for _ in range(count)))

    def sample(self, domain: str, condition: Condition, count: int, seed: int = 0) -> list[Document]:
        """Documents for evaluation: a stream of its own, so they are not those that a training run draws."""
        rng = random.Random(f"sample/{seed}/{domain}/{condition}")
        return [self.document_of(domain, condition, rng) for _ in range(count)]

    def documents(self, rng: random.Random, step: int) -> Iterator[Document]:
        """Documents without end, all as of one step."""
        while True:
            yield self.document(rng, step)

    def _condition(self, domain: str, rng: random.Random) -> Condition:
        task, control = rng.random() < self.mixture.task_share, rng.random() < self.mixture.control_share
        if task and self._draws[domain, "task"]:
            return "task"
        return "control" if control else "target"

    def _sentence(self, domain: str, draws: Sequence[Draw], rng: random.Random) -> str:
        for _ in range(_TRIES):
            sentence = rng.choice(draws)(rng)
            if sentence in self.held_out:
                continue
            if self.mixture.domains[domain].shuffled:
                sentence = shuffled(sentence, rng)
                if sentence in self.held_out:
                    continue
            return sentence
        raise ValueError(
            f"{_TRIES} sentences drawn from the domain {domain!r} were all held out; its grammars are too small "
            f"for the battery"
        )


def _target(grammar: Grammar) -> Draw:
    return lambda rng: grammar(rng).target


def _control(grammar: Grammar) -> Draw:
    return lambda rng: grammar(rng).control


def _answered(grammar: TaskGrammar) -> Draw:
    def draw(rng: random.Random) -> str:
        pair = grammar(rng)
        # Which of the two is called clean may depend on the template; a truth is a truth either way.
        if rng.random() < 0.5:
            return pair.clean + pair.correct
        return pair.corrupted + pair.incorrect

    return draw


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def shuffled(sentence: str, rng: random.Random) -> str:
    """The words in random order; the final mark stays at the end, since it separates sentences."""
    body = sentence.rstrip(".?!")
    words = body.split()
    rng.shuffle(words)
    return " ".join(words) + sentence[len(body) :]
