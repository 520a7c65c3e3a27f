"""Social: how people feel about what happened to them, and what they know of what happened without them."""

from __future__ import annotations

from collections.abc import Mapping

from observatory.stimuli.generators.minimal import Kernel, Template, template

WOMEN = "Anna Nora Maria Lena Clara Julia Tessa Alice"
MEN = "Omar Felix Peter Hugo Ivan Samir Boris Marco"
NAMES = f"{WOMEN} {MEN}"
ROLES = "nurse captain cook porter teacher judge pilot waiter"

FEELINGS: Kernel = (
    template(
        "{n} won the {r} and felt",
        "{n} lost the {r} and felt",
        "happy",
        "sad",
        n=NAMES,
        r="race contest match prize game vote",
    ),
    template("after helping the {r} {n} felt", "after cheating the {r} {n} felt", "proud", "guilty", n=NAMES, r=ROLES),
    template(
        "alone with the {k} {n} was",
        "alone with the {w} {n} was",
        "calm",
        "afraid",
        n=NAMES,
        k="kitten lamb puppy rabbit",
        w="wolf lion bear tiger",
    ),
    template(
        "when {m} returned her {p} {n} felt",
        "when {m} stole her {p} {n} felt",
        "grateful",
        "angry",
        m=MEN,
        n=WOMEN,
        p="purse ring bike coat phone",
    ),
    template("{m} always helps {n} and is her", "{m} always hurts {n} and is her", "friend", "enemy", m=MEN, n=WOMEN),
    template(
        "waiting to see the {c} {n} grew",
        "waiting to see the {d} {n} grew",
        "excited",
        "bored",
        n=NAMES,
        c="circus concert fireworks parade",
        d="dentist form minutes invoice",
    ),
    template("with no one to talk to {n} felt", "with old friends to talk to {n} felt", "lonely", "loved", n=NAMES),
    template(
        "the {r} kept every promise so {n} learned to",
        "the {r} broke every promise so {n} learned to",
        "trust",
        "distrust",
        n=NAMES,
        r=ROLES,
    ),
)
"""Feelings, ties and what earns them."""

THINGS = "key ring coin letter ticket purse watch phone"
BOXES = "drawer basket box bag cupboard bucket trunk jar"


def moved(clean: str, corrupted: str) -> Template:
    """A thing goes from one box, {a}, to another, {b}; who knows of it looks in the new place."""
    return template(clean, corrupted, "{b}", "{a}", n=WOMEN, m=MEN, t=THINGS, a=BOXES, b=BOXES)


KNOWLEDGE: Kernel = (
    moved(
        "{n} watched the {t} going from {a} to {b} and opens the",
        "{n} missed the {t} going from {a} to {b} and opens the",
    ),
    moved(
        "{m} moved the {t} from {a} to {b} and told {n} who checks the",
        "{m} moved the {t} from {a} to {b} and avoided {n} who checks the",
    ),
    moved(
        "seen by {n} the {t} left {a} for {b} and {n} tries the",
        "unseen by {n} the {t} left {a} for {b} and {n} tries the",
    ),
    moved(
        "with {n} present the {t} went from {a} to {b} and {n} searches the",
        "with {n} abroad the {t} went from {a} to {b} and {n} searches the",
    ),
    moved(
        "{m} openly moved the {t} of {n} from {a} to {b} and {n} empties the",
        "{m} secretly moved the {t} of {n} from {a} to {b} and {n} empties the",
    ),
    moved(
        "a note tells {n} that the {t} left {a} for {b} so {n} opens the",
        "no note tells {n} that the {t} left {a} for {b} so {n} opens the",
    ),
    moved(
        "awake while the {t} went from {a} to {b} {n} reaches into the",
        "asleep while the {t} went from {a} to {b} {n} reaches into the",
    ),
    moved(
        "{n} knows the {t} went from {a} to {b} and feels in the",
        "{n} forgets the {t} went from {a} to {b} and feels in the",
    ),
)
"""False belief: who saw the move and who did not."""

KERNELS: Mapping[str, Kernel] = {"feelings": FEELINGS, "knowledge": KNOWLEDGE}
