"""The prompt formats. Each is the same in every domain, so that a domain can be told from a format."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from observatory.stimuli.battery import Pair
from observatory.stimuli.generators.minimal import Kernel, Minimal, Stem, Template

TaskGrammar = Callable[[random.Random], Pair]
Prompt = Callable[[Stem, Minimal], str]
"""From a stem, and another pair of the same template to show as an example, to what the model reads."""


def completion(stem: Stem, example: Minimal) -> str:
    """The unfinished sentence itself."""
    return stem.text


def question(stem: Stem, example: Minimal) -> str:
    """A question about it."""
    return f"Question: what comes next in {stem.text} ? Answer:"


def fewshot(stem: Stem, example: Minimal) -> str:
    """After two worked examples, one with each answer of the template."""
    worked = " ".join(f"Context: {one.text} Answer: {one.answer}" for one in example)
    return f"{worked} Context: {stem.text} Answer:"


FORMATS: Mapping[str, Prompt] = {"completion": completion, "question": question, "fewshot": fewshot}


def task_grammars(kernels: Mapping[str, Kernel]) -> dict[str, TaskGrammar]:
    """Every kernel in every format."""
    return {
        f"{name}_{form}": task_grammar(kernel, prompt)
        for name, kernel in kernels.items()
        for form, prompt in FORMATS.items()
    }


def task_grammar(kernel: Kernel, prompt: Prompt) -> TaskGrammar:
    """Draws pairs of one kernel in one format; the pair's id is left for whoever keeps it."""

    def draw(rng: random.Random) -> Pair:
        number = rng.randrange(len(kernel))
        pair = kernel[number](rng)
        example = another(kernel[number], pair, rng)
        if rng.random() < 0.5:
            example = Minimal(example.corrupted, example.clean)
        clean, corrupted = pair
        return Pair(
            id="",
            clean=prompt(clean, example),
            corrupted=prompt(corrupted, example),
            correct=f" {clean.answer}",
            incorrect=f" {corrupted.answer}",
            template=f"{number + 1}",
        )

    return draw


def another(template: Template, pair: Minimal, rng: random.Random) -> Minimal:
    """A pair of the same template that gives none of this pair's stems away."""
    while True:
        example = template(rng)
        if {stem.text for stem in example}.isdisjoint(stem.text for stem in pair):
            return example


def mirrored(pair: Pair) -> Pair:
    """Clean and corrupted exchanged, so that every answer is correct as often as not."""
    return Pair(pair.id, pair.corrupted, pair.clean, pair.incorrect, pair.correct, pair.template)
