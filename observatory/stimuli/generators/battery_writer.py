"""The built-in battery, drawn from the grammars with one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from observatory.stimuli.battery import Domain, Family, Item
from observatory.stimuli.battery_file import domain_text
from observatory.stimuli.generators import GRAMMARS
from observatory.stimuli.generators.contrast import Contrast, Grammar
from observatory.stimuli.generators.descriptions import CONTROLS, DOMAINS

SEED = 20260
ITEMS = 48


def built_in_domains(seed: int = SEED) -> Iterator[Domain]:
    """The four domains; a family's items depend on the seed and its own name alone."""
    for domain, grammars in GRAMMARS.items():
        families = tuple(
            Family(
                domain,
                name,
                CONTROLS[domain][name],
                items(name, distinct(grammar, random.Random(f"{seed} {domain} {name}"))),
            )
            for name, grammar in grammars.items()
        )
        yield Domain(domain, DOMAINS[domain], families, ())


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


def items(family: str, contrasts: list[Contrast]) -> tuple[Item, ...]:
    """Contrasts with their ids."""
    return tuple(Item(f"{family}-{i:02}", *contrast) for i, contrast in enumerate(contrasts, start=1))


def write(folder: Path, seed: int = SEED) -> list[Path]:
    """One file a domain."""
    written = []
    for domain in built_in_domains(seed):
        path = folder / f"{domain.name}.json"
        path.write_text(domain_text(domain), encoding="utf-8")
        written.append(path)
    return written
