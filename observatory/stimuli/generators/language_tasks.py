"""Language: what number agreement asks for."""

from __future__ import annotations

from collections.abc import Mapping

from observatory.stimuli.generators.minimal import Kernel, Template, template

NOUNS = (
    "keys|key boxes|box letters|letter chairs|chair bottles|bottle flags|flag windows|window tickets|ticket "
    "boats|boat paintings|painting hats|hat clocks|clock"
)
PLACES = "gate gates shop shops bridge bridges garden gardens tower towers farm farms"
PEOPLE = "clerk baker farmer printer weaver potter tailor florist"
ADJECTIVES = "old new green narrow tall plain small famous"


def same(pattern: str, plural: str, singular: str, **slots: str) -> Template:
    """A template whose two stems differ in the number of a noun alone."""
    return template(pattern, pattern, plural, singular, **slots)


AGREEMENT: Kernel = (
    same("the {n} near the {p}", "are", "is", n=NOUNS, p=PLACES),
    same("the {a} {n} from the {p}", "were", "was", n=NOUNS, p=PLACES, a=ADJECTIVES),
    same("the {n} that the {w} sold", "have", "has", n=NOUNS, w=PEOPLE),
    same("my {n} beside the {a} {p}", "are", "is", n=NOUNS, p=PLACES, a=ADJECTIVES),
    same("the {w} said the {n}", "were", "was", n=NOUNS, w=PEOPLE),
    same("in the {p} our {n}", "have", "has", n=NOUNS, p=PLACES),
    same("the {n} which the {w} cleaned", "are", "is", n=NOUNS, w=PEOPLE),
    same("after lunch the {n} of the {w}", "were", "was", n=NOUNS, w=PEOPLE),
)
"""A verb agrees with its noun, whatever stands between them."""


PRONOUNS: Kernel = (
    same("the {w} found the {n} and sold", "them", "it", w=PEOPLE, n=NOUNS),
    same("the {w} washed the {a} {n} and stored", "them", "it", w=PEOPLE, n=NOUNS, a=ADJECTIVES),
    same("the {n} came late because", "they", "it", n=NOUNS),
    same("no one used the {n} although", "they", "it", n=NOUNS),
    same("behind the {p} stood the {n} but", "they", "it", n=NOUNS, p=PLACES),
    same("take the {n} to the {p} and leave", "them", "it", n=NOUNS, p=PLACES),
    same("the {w} kept the {a} {n} since", "they", "it", w=PEOPLE, n=NOUNS, a=ADJECTIVES),
    same("if the {w} wraps the {n} then post", "them", "it", w=PEOPLE, n=NOUNS),
)
"""A pronoun agrees with the noun that it stands for."""

KERNELS: Mapping[str, Kernel] = {"agreement": AGREEMENT, "pronouns": PRONOUNS}
