"""Language: sentences against their own words out of order, one construction a family."""

from __future__ import annotations

import random
from collections.abc import Mapping

from observatory.stimuli.generators.contrast import Contrast, Grammar, other
from observatory.stimuli.generators.shuffling import shuffled

PEOPLE = "baker painter tailor farmer clerk printer plumber weaver florist editor barber potter".split()
PLURAL_PEOPLE = "students workers tourists dancers miners traders cyclists hikers actors villagers".split()
ADJECTIVES = "narrow modern ancient green tall simple famous quiet spare wooden foreign local".split()
PLACES = "museum market library garden office village theatre harbour school workshop".split()


def relative_clauses(rng: random.Random) -> Contrast:
    """A subject with a relative clause between it and its verb."""
    subject = rng.choice(PEOPLE)
    acted = rng.choice("hired met taught paid visited photographed".split())
    made = rng.choice("built sold wrapped borrowed carved ordered".split())
    thing = rng.choice("bench kite ladder violin basket carpet cupboard saddle wagon fiddle".split())
    adjective = rng.choice(ADJECTIVES)
    if rng.random() < 0.5:
        sentence = f"the {subject} who {acted} the {other(rng, PEOPLE, subject)} {made} a {adjective} {thing}"
    else:
        sentence = f"a {subject} that the {other(rng, PEOPLE, subject)} {acted} has {made} the {adjective} {thing}"
    return shuffled(sentence, rng)


def questions(rng: random.Random) -> Contrast:
    """A question with its auxiliary in front of the subject."""
    opening = rng.choice(["when will", "where did", "why should", "how can", "when could", "why would"])
    verb = rng.choice("deliver collect store display unload weigh rent repaint".split())
    things = rng.choice("frames letters parcels tickets samples costumes tools posters pianos".split())
    sentence = (
        f"{opening} the {rng.choice(PLURAL_PEOPLE)} {verb} those {rng.choice(ADJECTIVES)} {things} "
        f"for the {rng.choice(PLACES)}"
    )
    return shuffled(sentence, rng)


def passives(rng: random.Random) -> Contrast:
    """The doer comes last."""
    thing = rng.choice("fence chapel menu novel poem uniform sculpture magazine banner tunnel".split())
    done = rng.choice("designed admired restored examined translated decorated registered financed".split())
    when = rng.choice(["was", "had been", "will be", "has been"])
    people = rng.choice(PLURAL_PEOPLE)
    sentence = f"every {thing} in the {rng.choice(PLACES)} {when} {done} by some {rng.choice(ADJECTIVES)} {people}"
    return shuffled(sentence, rng)


def subordinate_clauses(rng: random.Random) -> Contrast:
    """Two clauses joined by time or reason."""
    joined = rng.choice("because although while after before until since".split())
    first = rng.choice("arrived whistled rehearsed camped practised sang paused travelled".split())
    second = rng.choice("opened closed moved expanded reopened".split())
    where = rng.choice("upstairs nearby outside downtown abroad indoors".split())
    sentence = (
        f"the {rng.choice(PLURAL_PEOPLE)} {first} {where} {joined} our {rng.choice(ADJECTIVES)} "
        f"{rng.choice(PLACES)} had {second} in {rng.choice(MONTHS)}"
    )
    return shuffled(sentence, rng)


def existentials(rng: random.Random) -> Contrast:
    """A dummy subject, a comparison and an ellipsis."""
    things = rng.choice("candles stamps recipes flags bicycles umbrellas chairs maps blankets bottles".split())
    amount = rng.choice("fewer more better stranger nicer cheaper older".split())
    sentence = (
        f"there were {amount} {things} at this {rng.choice(PLACES)} than in the {rng.choice(ADJECTIVES)} "
        f"{rng.choice('shop hotel castle barn cottage bakery tavern studio'.split())}"
    )
    return shuffled(sentence, rng)


MONTHS = "January March April June July August October November".split()

GRAMMARS: Mapping[str, Grammar] = {
    "relative_clauses": relative_clauses,
    "questions": questions,
    "passives": passives,
    "subordinate_clauses": subordinate_clauses,
    "existentials": existentials,
}
