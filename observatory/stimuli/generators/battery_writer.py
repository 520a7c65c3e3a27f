"""The built-in battery: drawn from the grammars with one seed, beside the families that were written by hand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from observatory.stimuli.battery import Domain, Family, Item, Pair, Task
from observatory.stimuli.battery_file import domain_text
from observatory.stimuli.generators import GRAMMARS, SURFACE_GRAMMARS, TASK_GRAMMARS, WRITTEN
from observatory.stimuli.generators.contrast import Contrast, Grammar
from observatory.stimuli.generators.descriptions import CONTROLS, DOMAINS
from observatory.stimuli.generators.prompt_formats import TaskGrammar, mirrored

SEED = 20260
ITEMS = 48
DRAWS_PER_TEMPLATE = 3
"""Each draw gives a pair and its mirror image."""
TEMPLATES = 8


def built_in_domains(seed: int = SEED) -> Iterator[Domain]:
    """The four domains; a family's items depend on the seed and its own name alone."""
    for domain in GRAMMARS:
        families = (
            *drawn_families(domain, GRAMMARS[domain], seed, matched=True),
            *(family(domain, name, contrasts) for name, contrasts in WRITTEN[domain].items()),
            *drawn_families(domain, SURFACE_GRAMMARS[domain], seed, matched=False),
        )
        tasks = tuple(
            task(domain, name, grammar, random.Random(f"{seed} {domain} {name}"))
            for name, grammar in TASK_GRAMMARS[domain].items()
        )
        yield Domain(domain, DOMAINS[domain], families, tasks)


def drawn_families(domain: str, grammars: Mapping[str, Grammar], seed: int, matched: bool) -> Iterator[Family]:
    """One family a grammar."""
    for name, grammar in grammars.items():
        yield family(domain, name, distinct(grammar, random.Random(f"{seed} {domain} {name}")), matched)


def family(domain: str, name: str, contrasts: Iterable[Contrast], matched: bool = True) -> Family:
    """Contrasts with their ids."""
    items = tuple(Item(f"{name}-{i:02}", *contrast) for i, contrast in enumerate(contrasts, start=1))
    return Family(domain, name, CONTROLS[domain][name], items, matched)


def distinct(grammar: Grammar, rng: random.Random) -> list[Contrast]:
    """As many contrasts as a family has, no text twice."""
    drawn: list[Contrast] = []
    seen: set[str] = set()
    while len(drawn) < ITEMS:
        contrast = grammar(rng)
        if seen.isdisjoint(contrast):
            seen.update(contrast)
            drawn.append(contrast)
    return drawn


def task(domain: str, name: str, grammar: TaskGrammar, rng: random.Random) -> Task:
    """Equally many pairs of every template, each with its mirror image, no prompt twice."""
    drawn: list[Pair] = []
    seen: set[str] = set()
    templates: Counter[str] = Counter()
    while len(drawn) < 2 * DRAWS_PER_TEMPLATE * TEMPLATES:
        pair = grammar(rng)
        if templates[pair.template] < DRAWS_PER_TEMPLATE and seen.isdisjoint((pair.clean, pair.corrupted)):
            templates[pair.template] += 1
            seen.update((pair.clean, pair.corrupted))
            drawn += [pair, mirrored(pair)]
    drawn.sort(key=lambda pair: pair.template)
    pairs = tuple(replace(pair, id=f"{name}-{i:02}") for i, pair in enumerate(drawn, start=1))
    return Task(domain, name, name.rsplit("_", 1)[1], pairs)


def write(folder: Path, seed: int = SEED) -> list[Path]:
    """One file a domain."""
    written = []
    for domain in built_in_domains(seed):
        path = folder / f"{domain.name}.json"
        path.write_text(domain_text(domain), encoding="utf-8")
        written.append(path)
    return written
