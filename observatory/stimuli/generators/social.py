"""Social: minds and their relations, against the same people and things with no mind at work.

In most families the control is the target with person and thing exchanged and one word replaced, so the two
differ in who the sentence is about and in nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from observatory.stimuli.generators.contrast import Contrast, Grammar
from observatory.stimuli.generators.words import other, pick, words

NAMES = words("Anna Omar Nora Felix Maria Peter Lena Hugo Clara Ivan Julia Samir Tessa Boris Alice Marco")
ROLES = words("nurse captain cook porter teacher farmer judge pilot waiter sailor clerk driver")
KIN = words("uncle aunt cousin sister brother nephew niece father mother grandson")
PLACES = words("station harbour market office chapel bakery library airport castle hotel")


def beliefs(rng: random.Random) -> Contrast:
    """A person takes something to be so; a sign, map or photo only shows it."""
    name = rng.choice(NAMES)
    sign = pick(rng, "sign map photo label notice chart poster diagram screen drawing")
    thinks = pick(rng, "believes thinks doubts suspects assumes imagines supposes guesses")
    shows = pick(rng, "shows states indicates records displays proves")
    thing = pick(rng, "key purse ticket parcel hammer violin letter coin lantern notebook")
    place = pick(rng, "drawer basket cupboard garage cellar trunk attic cabinet")
    return Contrast(
        f"{name} by the {sign} {thinks} that the {thing} is in the {place}",
        f"the {sign} by {name} {shows} that the {thing} is in the {place}",
    )


def emotions(rng: random.Random) -> Contrast:
    """How a person feels, and what a thing is made of or looks like."""
    role, place = rng.choice(ROLES), rng.choice(PLACES)
    thing = pick(rng, "lamp trunk statue bicycle piano wagon barrel clock bench kettle")
    feeling = pick(
        rng, "nervous cheerful jealous grateful lonely anxious furious delighted embarrassed hopeful miserable"
    )
    look = pick(rng, "wooden square striped yellow oval plastic hollow spotted metallic rectangular")
    seemed = pick(rng, "was seemed remained")
    return Contrast(
        f"the {role} with the {thing} {seemed} {feeling} at the {place}",
        f"the {thing} with the {role} {seemed} {look} at the {place}",
    )


def desires(rng: random.Random) -> Contrast:
    """What a person is after, and what a vehicle merely does."""
    kin = rng.choice(KIN)
    vehicle = pick(rng, "van ferry tractor taxi train wagon lorry tram barge coach")
    wants = pick(rng, "hopes wants plans intends longs wishes aims decides")
    does = pick(rng, "tends happens starts begins continues appears")
    city = pick(rng, "Paris Lisbon Vienna Oslo Dublin Cairo Lima Madrid Boston Delhi")
    time = pick(rng, "noon midnight sunrise evening Friday Sunday")
    return Contrast(
        f"my {kin} near the {vehicle} {wants} to reach {city} by {time}",
        f"the {vehicle} near my {kin} {does} to reach {city} by {time}",
    )


def relations(rng: random.Random) -> Contrast:
    """How one person stands to another, and where."""
    first = rng.choice(ROLES)
    second = other(rng, ROLES, first)
    stands = pick(rng, "trusts admires betrays forgives comforts mocks flatters thanks insults respects")
    passes = pick(rng, "passes precedes trails faces nears overtakes outpaces")
    when = pick(rng, "summer winter spring week month year")
    place = rng.choice(PLACES)
    return Contrast(
        f"the {first} {stands} the {second} at the {place} every {when}",
        f"the {first} {passes} the {second} at the {place} every {when}",
    )


def norms(rng: random.Random) -> Contrast:
    """What people owe or may do, and what machines are made for."""
    people = pick(rng, "visitors pupils guests members tenants drivers clerks players voters patients")
    machines = pick(rng, "gates doors lamps shutters engines barriers lifts pumps cranes alarms")
    bound = pick(rng, "obliged forbidden allowed entitled expected permitted required")
    made = pick(rng, "built wired shaped fitted timed designed")
    act = pick(rng, "stop start move return turn halt work wait")
    hour = pick(rng, "seven eight nine ten eleven noon")
    day = pick(rng, "Monday Tuesday Wednesday Thursday Friday")
    return Contrast(
        f"{people} near the {machines} are {bound} to {act} before {hour} on {day}",
        f"the {machines} near {people} are {made} to {act} before {hour} on {day}",
    )


GRAMMARS: Mapping[str, Grammar] = {
    "beliefs": beliefs,
    "emotions": emotions,
    "desires": desires,
    "relations": relations,
    "norms": norms,
}
