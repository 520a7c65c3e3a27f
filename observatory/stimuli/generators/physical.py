"""Physical: what bodies do, against the same things in catalogues, markets and hearings."""

from __future__ import annotations

import random
from collections.abc import Mapping

from observatory.stimuli.generators.contrast import Contrast, Grammar, other

OBJECTS = "crate barrel marble brick bottle ladder hammer bucket plank kettle lantern basket".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def falling(rng: random.Random) -> Contrast:
    """A body goes down from one place to another; in the control it changes lists."""
    thing, day = rng.choice(OBJECTS), rng.choice(DAYS)
    fell = rng.choice("fell rolled slid dropped tumbled toppled slipped plunged bounced".split())
    high = rng.choice("shelf ledge roof ramp slope cliff balcony tower".split())
    low = rng.choice("floor ground pavement ditch lawn gutter valley".split())
    passed = rng.choice("passed switched reverted migrated defaulted".split())
    one, two = rng.sample("inventory catalogue register ledger schedule index archive agenda".split(), 2)
    return Contrast(
        f"last {day} the {thing} {fell} from the {high} to the {low}",
        f"last {day} the {thing} {passed} from the {one} to the {two}",
    )


HOT = ("melted softened boiled burned thawed scorched".split(), "oven stove furnace kiln grill".split())
COLD = ("froze hardened chilled stiffened solidified".split(), "freezer fridge icebox".split())


def heat(rng: random.Random) -> Contrast:
    """A substance changes with the temperature; in the control with the market."""
    stuff = rng.choice("butter wax chocolate honey soup cheese syrup jam lard cream".split())
    (changed, sources), felt = rng.choice([(HOT, "hot warm scalding".split()), (COLD, "cold icy frosty".split())])
    sold = rng.choice("sold qualified expired lapsed succeeded".split())
    permit = rng.choice("tariff permit patent brand treaty coupon subsidy licence".split())
    valid = rng.choice("legal valid cheap public official final".split())
    day = rng.choice(DAYS)
    return Contrast(
        f"the {stuff} {rng.choice(changed)} once the {rng.choice(sources)} became {rng.choice(felt)} on {day}",
        f"the {stuff} {sold} once the {permit} became {valid} on {day}",
    )


SUPPORT = {
    "against": ("leans rests presses".split(), "pillar wall fence post".split()),
    "from": ("hangs dangles droops".split(), "hook rope beam nail".split()),
    "within": ("fits lies nests".split(), "box chest drawer cage".split()),
}
STANDING = {
    "against": ("competes ranks polls".split(), "rival average benchmark norm".split()),
    "from": ("differs profits benefits".split(), "model version edition format".split()),
    "within": ("qualifies trades sells".split(), "region bracket segment sector".split()),
}


def support(rng: random.Random) -> Contrast:
    """What holds a body up or in; in the control, how it does in the trade."""
    thing, preposition = rng.choice(OBJECTS), rng.choice(list(SUPPORT))
    leans, pillars = SUPPORT[preposition]
    ranks, rivals = STANDING[preposition]
    when = rng.choice("week month summer winter morning autumn".split())
    adjective = rng.choice("large small old new red second".split())
    return Contrast(
        f"the {adjective} {thing} {rng.choice(leans)} {preposition} the {rng.choice(pillars)} every {when}",
        f"the {adjective} {thing} {rng.choice(ranks)} {preposition} the {rng.choice(rivals)} every {when}",
    )


def breaking(rng: random.Random) -> Contrast:
    """One body damages another; in the control it outdoes it."""
    first = rng.choice(OBJECTS)
    second = other(rng, OBJECTS, first)
    broke = rng.choice("shattered cracked dented smashed crushed splintered chipped pierced flattened".split())
    outdid = rng.choice("outsold resembled preceded replaced outranked predated outlived".split())
    adjective, hour, day = rng.choice("large small old new red".split()), rng.choice(HOURS), rng.choice(DAYS)
    return Contrast(
        f"the {first} {broke} the {adjective} {second} before {hour} on {day}",
        f"the {first} {outdid} the {adjective} {second} before {hour} on {day}",
    )


HOURS = "noon midnight dawn dusk seven nine".split()


def flow(rng: random.Random) -> Contrast:
    """A liquid finds its way; in the control it is the matter of a debate."""
    liquid = rng.choice("water oil milk paint ink petrol juice vinegar cider tar".split())
    ran = rng.choice("dripped leaked poured seeped gushed trickled flowed spilled".split())
    pipe = rng.choice("pipe hose funnel crack sieve drain".split())
    pool = rng.choice("pond tank puddle bowl river sink".split())
    went = rng.choice("advanced proceeded progressed entered resurfaced".split())
    hearing = rng.choice("audit hearing debate review merger inquiry".split())
    statute = rng.choice("forecast summary proposal contract statute memo".split())
    when = rng.choice("week month spring year".split())
    return Contrast(
        f"this {when} the {liquid} {ran} through the {pipe} into the {pool}",
        f"this {when} the {liquid} {went} through the {hearing} into the {statute}",
    )


def light(rng: random.Random) -> Contrast:
    """A lamp lights a place; in the control it does well there."""
    lamp = rng.choice("lamp candle torch lantern mirror window bulb crystal".split())
    cast = rng.choice("cast shed threw emitted".split())
    shadow = rng.choice("shadow glow gleam glare shimmer flicker".split())
    won = rng.choice("won drew earned attracted".split())
    prize = rng.choice("prize rating discount rebate fee bonus".split())
    adjective, place = rng.choice("faint long small modest strange".split()), rng.choice(ROOMS)
    return Contrast(
        f"the {lamp} {cast} a {adjective} {shadow} across the whole {place}",
        f"the {lamp} {won} a {adjective} {prize} across the whole {place}",
    )


ROOMS = "room street village market hall island harbour garden".split()

GRAMMARS: Mapping[str, Grammar] = {
    "falling": falling,
    "heat": heat,
    "support": support,
    "breaking": breaking,
    "flow": flow,
    "light": light,
}
