"""Language: sentences against their own words out of order, one construction a family."""

from __future__ import annotations

import random
from collections.abc import Mapping

from observatory.stimuli.generators.contrast import Contrast, Grammar
from observatory.stimuli.generators.shuffling import shuffled
from observatory.stimuli.generators.words import pick, words

PEOPLE = words("baker painter tailor farmer clerk printer plumber weaver florist editor barber potter")
PLURAL_PEOPLE = words("students workers tourists dancers miners traders cyclists hikers actors villagers")
ADJECTIVES = words("narrow modern ancient green tall simple famous quiet spare wooden foreign local")
PLACES = words("museum market library garden office village theatre harbour school workshop")
MONTHS = words("January March April June July August October November")


LEAD_INS = (
    "today",
    "sometimes",
    "yesterday",
    "last year",
    "by noon",
    "in spring",
    "after lunch",
    "as usual",
    "one day",
)
LEAD_OUTS = ("again", "too", "these days", "once more", "at night", "as well", "in autumn", "every year", "on Sundays")


def framed(rng: random.Random, sentence: str) -> Contrast:
    """The sentence after or before a few words, or bare, so that no word keeps one place in a family; shuffled."""
    return shuffled(
        rng.choice((sentence, f"{rng.choice(LEAD_INS)} {sentence}", f"{sentence} {rng.choice(LEAD_OUTS)}")), rng
    )


def relative_clauses(rng: random.Random) -> Contrast:
    """A relative clause stands between a noun and its verb."""
    person, adjective, place = rng.choice(PEOPLE), rng.choice(ADJECTIVES), rng.choice(PLACES)
    made = pick(rng, "built sold wrapped borrowed carved ordered")
    thing = pick(rng, "bench kite ladder violin basket carpet cupboard saddle wagon fiddle")
    left = pick(rng, "left cleaned rented toured guarded mapped")
    if rng.random() < 0.5:
        sentence = f"the {person} who {left} the {place} has {made} a {adjective} {thing}"
    else:
        sentence = f"a {thing} that the {person} {made} has reached the {adjective} {place}"
    return framed(rng, sentence)


def questions(rng: random.Random) -> Contrast:
    """A question with its auxiliary in front of the subject."""
    opening = rng.choice(["when will", "where did", "why should", "how can", "when could", "why would"])
    verb = pick(rng, "deliver collect store display unload weigh rent repaint")
    things = pick(rng, "frames letters parcels tickets samples costumes tools posters pianos")
    sentence = (
        f"{opening} the {rng.choice(PLURAL_PEOPLE)} {verb} those {rng.choice(ADJECTIVES)} {things} "
        f"for the {rng.choice(PLACES)}"
    )
    return framed(rng, sentence)


def passives(rng: random.Random) -> Contrast:
    """The doer comes last."""
    thing = pick(rng, "fence chapel menu novel poem uniform sculpture magazine banner tunnel")
    done = pick(rng, "designed inspected restored examined translated decorated registered financed")
    when = rng.choice(["was", "had been", "will be", "has been"])
    skilled = pick(rng, "local foreign young famous quiet retired skilled cheerful patient")
    people = rng.choice(PLURAL_PEOPLE)
    sentence = f"every {thing} in the {rng.choice(PLACES)} {when} {done} by some {skilled} {people}"
    return framed(rng, sentence)


def subordinate_clauses(rng: random.Random) -> Contrast:
    """Two clauses joined by time or reason."""
    joined = pick(rng, "because although while after before until since")
    first = pick(rng, "arrived whistled rehearsed camped practised sang paused travelled")
    second = pick(rng, "opened closed moved expanded reopened")
    where = pick(rng, "upstairs nearby outside downtown abroad indoors")
    sentence = (
        f"the {rng.choice(PLURAL_PEOPLE)} {first} {where} {joined} our {rng.choice(ADJECTIVES)} "
        f"{rng.choice(PLACES)} had {second} in {rng.choice(MONTHS)}"
    )
    return framed(rng, sentence)


def existentials(rng: random.Random) -> Contrast:
    """A dummy subject, a comparison and an ellipsis."""
    things = pick(rng, "candles stamps recipes flags bicycles umbrellas chairs maps blankets bottles")
    amount = pick(rng, "fewer more better stranger nicer cheaper older")
    sentence = (
        f"there were {amount} {things} at our {rng.choice(PLACES)} than in the {rng.choice(ADJECTIVES)} "
        f"{rng.choice(['shop', 'hotel', 'castle', 'barn', 'cottage', 'bakery', 'tavern', 'studio'])}"
    )
    return framed(rng, sentence)


GRAMMARS: Mapping[str, Grammar] = {
    "relative_clauses": relative_clauses,
    "questions": questions,
    "passives": passives,
    "subordinate_clauses": subordinate_clauses,
    "existentials": existentials,
}
