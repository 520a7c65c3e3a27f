"""Contrasts as the literature has them, which differ in more than the domain; never part of an index.

They show how much of a published effect the surface alone can give: an untrained network passes them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from observatory.stimuli.generators import language
from observatory.stimuli.generators.contrast import Contrast, Grammar
from observatory.stimuli.generators.words import pick, words

SYLLABLES = words(
    "bra cro dwe fle gli plo stu tri vus wem nad pilt sorb tard zun kesh lomp murg quib rast jend hosp yilt"
)


def non_words(rng: random.Random) -> Contrast:
    """A sentence against pronounceable strings that are no words."""
    sentence = rng.choice(tuple(language.GRAMMARS.values()))(rng).target
    strings = ["".join(rng.sample(SYLLABLES, 1 if len(word) < 4 else 2)) for word in sentence.split()]
    return Contrast(sentence, " ".join(strings))


def hard_sums(rng: random.Random) -> Contrast:
    """Sums of three-digit numbers against sums of one-digit numbers."""
    hard = [rng.randint(100, 999) for _ in range(3)]
    easy = [rng.randint(1, 9) for _ in range(3)]
    return Contrast(*(f"{a} + {b} + {c} = {a + b + c}" for a, b, c in (hard, easy)))


def belief_or_photo(rng: random.Random) -> Contrast:
    """A false belief against an outdated photo."""
    name = pick(rng, "Anna Omar Nora Felix Maria Peter Lena Hugo Clara Ivan")
    thing = pick(rng, "cake bicycle vase kitten ladder apple statue bench")
    old, new = rng.sample(words("garden kitchen garage attic hall cellar shed yard"), 2)
    return Contrast(
        f"{name} left the {thing} in the {old} and still expects it there but it is in the {new}",
        f"a photo shows the {thing} in the {old} as it was that day but it is in the {new}",
    )


def concrete_words(rng: random.Random) -> Contrast:
    """A physical event against a sentence of abstract words."""
    thing = pick(rng, "rock bottle barrel hammer ladder crate marble brick")
    event = pick(rng, "rolled|hill bounced|stairs slid|ramp dropped|cliff tumbled|slope")
    moved, place = event.split("|")
    idea = pick(rng, "theory policy motive concept virtue paradox doctrine custom")
    view = pick(rng, "prevailed|era persisted|literature faded|discourse spread|tradition evolved|curriculum")
    held, field = view.split("|")
    heavy, vague = pick(rng, "heavy round broken wet dusty rusty"), pick(rng, "vague noble formal moral bold subtle")
    return Contrast(f"the {heavy} {thing} {moved} down the {place}", f"the {vague} {idea} {held} across the {field}")


GRAMMARS: Mapping[str, Mapping[str, Grammar]] = {
    "language": {"non_words": non_words},
    "math": {"hard_sums": hard_sums},
    "physical": {"concrete_words": concrete_words},
    "social": {"belief_or_photo": belief_or_photo},
}
