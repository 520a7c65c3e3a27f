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
        "the {t} left the {a} for the {b} while {n} watched so {n} opens the",
        "the {t} left the {a} for the {b} while {n} slept so {n} opens the",
    ),
    moved(
        "{n} watched the trip of the {t} from the {a} to the {b} and searches the",
        "{n} missed the trip of the {t} from the {a} to the {b} and searches the",
    ),
    moved(
        "{m} moved the {t} from the {a} to the {b} and told {n} who checks the",
        "{m} moved the {t} from the {a} to the {b} and avoided {n} who checks the",
    ),
    moved(
        "before the eyes of {n} the {t} left the {a} for the {b} so {n} tries the",
        "behind the back of {n} the {t} left the {a} for the {b} so {n} tries the",
    ),
    moved(
        "with {n} present the {t} went from the {a} into the {b} and {n} looks in the",
        "with {n} abroad the {t} went from the {a} into the {b} and {n} looks in the",
    ),
    moved(
        "{m} openly shifts the {t} of {n} from the {a} to the {b} and {n} feels in the",
        "{m} secretly shifts the {t} of {n} from the {a} to the {b} and {n} feels in the",
    ),
    moved(
        "a note says the {t} left the {a} for the {b} and {n} read it and opens the",
        "a note says the {t} left the {a} for the {b} and {n} lost it and opens the",
    ),
    moved(
        "awake while the {t} went from the {a} to the {b} {n} reaches into the",
        "asleep while the {t} went from the {a} to the {b} {n} reaches into the",
    ),
)
"""False belief: who saw the move and who did not."""

KERNELS: Mapping[str, Kernel] = {"feelings": FEELINGS, "knowledge": KNOWLEDGE}
