"""Physical: what bodies do, against the same things in catalogues, markets and hearings."""

from __future__ import annotations

import random
from collections.abc import Mapping

from observatory.stimuli.generators.contrast import Contrast, Grammar
from observatory.stimuli.generators.words import other, pick, words

OBJECTS = words("crate barrel marble brick bottle ladder hammer bucket plank kettle lantern basket")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")


def falling(rng: random.Random) -> Contrast:
    """A body goes down from one place to another; in the control it changes lists."""
    thing, day = rng.choice(OBJECTS), rng.choice(DAYS)
    fell = pick(rng, "fell rolled skidded plummeted tumbled toppled slipped plunged bounced")
    high = pick(rng, "ledge roof ramp staircase cliff balcony scaffold")
    low = pick(rng, "floor carpet pavement ditch lawn gutter")
    passed = pick(rng, "converted switched reverted migrated defaulted")
    one, two = rng.sample(words("inventory dossier register ledger schedule index archive agenda"), 2)
    return Contrast(
        f"last {day} the {thing} {fell} from the {high} to the {low}",
        f"last {day} the {thing} {passed} from the {one} to the {two}",
    )


HOT = (words("melted softened boiled burned thawed scorched"), words("oven stove furnace kiln grill"))
COLD = (words("froze hardened chilled stiffened solidified"), words("freezer fridge icebox"))


def heat(rng: random.Random) -> Contrast:
    """A substance changes with the temperature; in the control with the market."""
    stuff = pick(rng, "butter wax chocolate honey soup cheese syrup jam lard cream")
    (changed, sources), felt = rng.choice([(HOT, words("hot warm scalding")), (COLD, words("cold icy frosty"))])
    sold = pick(rng, "thrived lagged recovered rallied boomed")
    permit = pick(rng, "tariff permit trademark quota treaty coupon subsidy licence")
    valid = pick(rng, "lawful valid fashionable official permanent")
    day = rng.choice(DAYS)
    return Contrast(
        f"the {stuff} {rng.choice(changed)} once the {rng.choice(sources)} became {rng.choice(felt)} on {day}",
        f"the {stuff} {sold} once the {permit} became {valid} on {day}",
    )


SUPPORT = {
    "against": (words("leans rests presses"), words("pillar wall fence post")),
    "from": (words("hangs dangles droops"), words("hook rope beam nail")),
    "within": (words("fits lies nests"), words("box chest drawer cage")),
}
STANDING = {
    "against": (words("competes ranks polls"), words("rival average benchmark norm")),
    "from": (words("differs profits benefits"), words("model version edition format")),
    "within": (words("qualifies trades sells"), words("region bracket segment sector")),
}


def support(rng: random.Random) -> Contrast:
    """What holds a body up or in; in the control, how it does in the trade."""
    thing, preposition = rng.choice(OBJECTS), rng.choice(list(SUPPORT))
    leans, pillars = SUPPORT[preposition]
    ranks, rivals = STANDING[preposition]
    when = pick(rng, "week month summer winter morning autumn")
    adjective = pick(rng, "large small old new red second")
    return Contrast(
        f"the {adjective} {thing} {rng.choice(leans)} {preposition} the {rng.choice(pillars)} every {when}",
        f"the {adjective} {thing} {rng.choice(ranks)} {preposition} the {rng.choice(rivals)} every {when}",
    )


def breaking(rng: random.Random) -> Contrast:
    """One body damages another; in the control it outdoes it."""
    first = rng.choice(OBJECTS)
    second = other(rng, OBJECTS, first)
    broke = pick(rng, "shattered cracked dented smashed crushed splintered chipped pierced flattened")
    outdid = pick(rng, "outsold resembled preceded replaced outranked predated outlived")
    adjective, hour, day = pick(rng, "large small old new red"), rng.choice(HOURS), rng.choice(DAYS)
    return Contrast(
        f"the {first} {broke} the {adjective} {second} before {hour} on {day}",
        f"the {first} {outdid} the {adjective} {second} before {hour} on {day}",
    )


HOURS = words("noon midnight dawn dusk seven nine")


def flow(rng: random.Random) -> Contrast:
    """A liquid finds its way; in the control it is the matter of a debate."""
    liquid = pick(rng, "water oil milk paint ink petrol juice vinegar cider tar")
    ran = pick(rng, "dripped leaked poured seeped gushed trickled flowed spilled")
    pipe = pick(rng, "pipe hose funnel crack sieve drain")
    pool = pick(rng, "tank puddle bowl sink vat basin")
    went = pick(rng, "advanced proceeded progressed entered resurfaced")
    hearing = pick(rng, "audit hearing debate review merger inquiry")
    statute = pick(rng, "forecast summary proposal contract statute memo")
    when = pick(rng, "week month spring year")
    return Contrast(
        f"this {when} the {liquid} {ran} through the {pipe} into the {pool}",
        f"this {when} the {liquid} {went} through the {hearing} into the {statute}",
    )


def light(rng: random.Random) -> Contrast:
    """A lamp lights a place; in the control it does well there."""
    lamp = pick(rng, "lamp candle torch lantern mirror window bulb crystal")
    cast = pick(rng, "cast shed threw emitted")
    shadow = pick(rng, "shadow glow gleam glare shimmer flicker")
    won = pick(rng, "received drew earned attracted")
    prize = pick(rng, "prize rating discount rebate fee bonus")
    adjective, place = pick(rng, "faint long small modest strange"), rng.choice(ROOMS)
    return Contrast(
        f"the {lamp} {cast} a {adjective} {shadow} across the whole {place}",
        f"the {lamp} {won} a {adjective} {prize} across the whole {place}",
    )


ROOMS = words("room street village market hall island harbour garden")

GRAMMARS: Mapping[str, Grammar] = {
    "falling": falling,
    "heat": heat,
    "support": support,
    "breaking": breaking,
    "flow": flow,
    "light": light,
}
