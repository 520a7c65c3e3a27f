"""Social: minds and their relations, against the same people and things with no mind at work.

In most families the control is the target with person and thing exchanged and one word replaced, so the two
differ in who the sentence is about and in nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from observatory.stimuli.generators.contrast import Contrast, Grammar, other

NAMES = "Anna Omar Nora Felix Maria Peter Lena Hugo Clara Ivan Julia Samir Tessa Boris Alice Marco".split()
ROLES = "nurse captain cook porter teacher farmer judge pilot waiter sailor clerk driver".split()
KIN = "uncle aunt cousin sister brother nephew niece father mother grandson".split()
PLACES = "station harbour market office chapel bakery library airport castle hotel".split()


def beliefs(rng: random.Random) -> Contrast:
    """A person takes something to be so; a sign, map or photo only shows it."""
    name = rng.choice(NAMES)
    sign = rng.choice("sign map photo label notice chart poster diagram screen drawing".split())
    thinks = rng.choice("believes thinks doubts suspects assumes imagines supposes guesses".split())
    shows = rng.choice("shows states indicates records displays proves".split())
    thing = rng.choice("key purse ticket parcel hammer violin letter coin lantern notebook".split())
    place = rng.choice("drawer basket cupboard garage cellar trunk attic cabinet".split())
    return Contrast(
        f"{name} by the {sign} {thinks} that the {thing} is in the {place}",
        f"the {sign} by {name} {shows} that the {thing} is in the {place}",
    )


def emotions(rng: random.Random) -> Contrast:
    """How a person feels, and what a thing is made of or looks like."""
    role, place = rng.choice(ROLES), rng.choice(PLACES)
    thing = rng.choice("lamp trunk statue bicycle piano wagon barrel clock bench kettle".split())
    feeling = rng.choice(
        "ashamed proud jealous grateful lonely anxious furious delighted embarrassed hopeful miserable".split()
    )
    look = rng.choice("wooden square striped yellow oval plastic hollow spotted metallic rectangular".split())
    seemed = rng.choice("was seemed remained".split())
    return Contrast(
        f"the {role} with the {thing} {seemed} {feeling} at the {place}",
        f"the {thing} with the {role} {seemed} {look} at the {place}",
    )


def desires(rng: random.Random) -> Contrast:
    """What a person is after, and what a vehicle merely does."""
    kin = rng.choice(KIN)
    vehicle = rng.choice("van ferry tractor taxi train wagon lorry tram barge coach".split())
    wants = rng.choice("hopes wants plans intends longs wishes aims decides".split())
    does = rng.choice("tends happens starts begins continues appears".split())
    city = rng.choice("Paris Lisbon Vienna Oslo Dublin Cairo Lima Madrid Boston Delhi".split())
    time = rng.choice("noon midnight sunrise evening Friday Sunday".split())
    return Contrast(
        f"my {kin} near the {vehicle} {wants} to reach {city} by {time}",
        f"the {vehicle} near my {kin} {does} to reach {city} by {time}",
    )


def relations(rng: random.Random) -> Contrast:
    """How one person stands to another, and where."""
    first = rng.choice(ROLES)
    second = other(rng, ROLES, first)
    stands = rng.choice("trusts admires betrays forgives comforts mocks flatters thanks insults respects".split())
    passes = rng.choice("passes precedes trails faces nears overtakes outpaces".split())
    when = rng.choice("summer winter spring week month year".split())
    place = rng.choice(PLACES)
    return Contrast(
        f"the {first} {stands} the {second} at the {place} every {when}",
        f"the {first} {passes} the {second} at the {place} every {when}",
    )


def norms(rng: random.Random) -> Contrast:
    """What people owe or may do, and what machines are made for."""
    people = rng.choice("visitors pupils guests members tenants drivers clerks players voters patients".split())
    machines = rng.choice("gates doors lamps shutters engines barriers lifts pumps cranes alarms".split())
    bound = rng.choice("obliged forbidden allowed entitled expected permitted required".split())
    made = rng.choice("built wired shaped fitted timed designed".split())
    act = rng.choice("stop start move return turn halt work wait".split())
    hour = rng.choice("seven eight nine ten eleven noon".split())
    day = rng.choice("Monday Tuesday Wednesday Thursday Friday".split())
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
