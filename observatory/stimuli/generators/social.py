"""Social: minds, feelings, aims, ties and duties, in people; the controls say the like of things and places.

A target has a person and what the person thinks, feels, wants, owes or is to another; its control has a thing in
the person's place and a relation that needs no mind in the other. The rest of the sentence is the same. Each
family has its own people (professions, relatives, groups, names) and its own things, so that no word of one
family tells anything in another.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from observatory.stimuli.generators.contrast import Contrast, Grammar
from observatory.stimuli.generators.words import pick, words

CITIES = words("Paris Lisbon Vienna Oslo Dublin Cairo Lima Madrid Boston Delhi")


def beliefs(rng: random.Random) -> Contrast:
    """A person takes something to be so; a sign, map or photo only shows it."""
    person = pick(rng, "nurse captain cook porter judge pilot waiter sailor dentist butcher")
    sign = pick(rng, "sign map photo label notice chart poster diagram screen sketch")
    thinks = pick(rng, "believes thinks doubts assumes imagines supposes guesses")
    shows = pick(rng, "shows states indicates records displays proves")
    thing = pick(rng, "key purse ticket parcel hammer violin coin lantern notebook")
    place = pick(rng, "basket cupboard garage trunk cabinet bucket")
    room = pick(rng, "station harbour market chapel library airport")
    return Contrast(
        f"the {person} at the {room} {thinks} that the {thing} is in the {place}",
        f"the {sign} at the {room} {shows} that the {thing} is in the {place}",
    )


def emotions(rng: random.Random) -> Contrast:
    """How a relative feels, and what a thing is made of or looks like."""
    relative = pick(rng, "uncle aunt brother nephew niece father grandson wife husband daughter")
    thing = pick(rng, "lamp statue bicycle piano wagon barrel clock kettle carpet mirror")
    feeling = pick(rng, "nervous cheerful jealous grateful lonely anxious furious delighted embarrassed hopeful")
    look = pick(rng, "wooden square striped yellow oval plastic hollow spotted metallic rectangular")
    parcel, city = pick(rng, "letter parcel invitation postcard telegram"), rng.choice(CITIES)
    return Contrast(
        f"my {relative} seemed {feeling} when the {parcel} came from {city}",
        f"my {thing} seemed {look} when the {parcel} came from {city}",
    )


def desires(rng: random.Random) -> Contrast:
    """What people are after, and what vehicles merely do."""
    people = pick(rng, "pupils soldiers farmers dancers students miners nuns actors painters monks")
    vehicles = pick(rng, "vans ferries tractors taxis trains lorries trams barges boats buses")
    want = pick(rng, "hope want plan intend yearn wish aim decide")
    do = pick(rng, "tend happen start begin continue appear")
    time = pick(rng, "noon midnight sunrise evening Friday Sunday")
    season, city = pick(rng, "summer winter spring autumn"), rng.choice(CITIES)
    return Contrast(
        f"in {season} the {people} {want} to reach {city} by {time}",
        f"in {season} the {vehicles} {do} to reach {city} by {time}",
    )


NAMES = words("Anna Omar Nora Felix Maria Peter Lena Hugo Clara Ivan Julia Samir Tessa Boris Alice Marco")
COUNTRIES = words("Kenya Norway Brazil Chile Poland Egypt Nepal Ghana Spain Peru Japan Malta Qatar Laos Benin Oman")


def relations(rng: random.Random) -> Contrast:
    """How one person stands to two others, and one country to two others."""
    one, two = rng.sample(words("trusts admires betrays comforts mocks flatters thanks insults respects adores"), 2)
    near, far = rng.sample(words("borders flanks adjoins outranks outsizes overlooks precedes supplies"), 2)
    first, second, third = rng.sample(NAMES, 3)
    here, there, beyond = rng.sample(COUNTRIES, 3)
    when = pick(rng, "summer winter spring week month year")
    return Contrast(
        f"{first} {one} {second} and {two} {third} more every {when}",
        f"{here} {near} {there} and {far} {beyond} more every {when}",
    )


def norms(rng: random.Random) -> Contrast:
    """What people owe or may do, and what machines are made for."""
    people = pick(rng, "lodgers passengers members tenants drivers clerks players voters patients citizens")
    machines = pick(rng, "gates hatches lamps shutters engines barriers lifts pumps cranes alarms")
    bound = pick(rng, "obliged forbidden allowed entitled permitted required")
    made = pick(rng, "wired shaped fitted timed designed programmed")
    act = pick(rng, "stop start move return turn halt work wait")
    hour = pick(rng, "seven eight nine ten eleven noon")
    day = pick(rng, "Monday Tuesday Wednesday Thursday Friday")
    return Contrast(
        f"{people} in the hall are {bound} to {act} before {hour} on {day}",
        f"{machines} in the hall are {made} to {act} before {hour} on {day}",
    )


GRAMMARS: Mapping[str, Grammar] = {
    "beliefs": beliefs,
    "emotions": emotions,
    "desires": desires,
    "relations": relations,
    "norms": norms,
}
