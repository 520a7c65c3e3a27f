"""Physical: what heat does, and what bodies do by their weight, shape and stuff."""

from __future__ import annotations

from collections.abc import Mapping

from observatory.stimuli.generators.minimal import Kernel, template

STUFF = "butter wax chocolate cheese honey lard"
HOT = "oven stove furnace kiln grill"
COLD = "freezer icebox fridge snow frost"
METAL = "rail bolt wire bridge pipe cable"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
OBJECTS = "lamp picture clock basket mirror plant"
ROOMS = "kitchen cellar garage attic hall office"

HEAT: Kernel = (
    template(
        "on {d} the {s} left in the {h} will",
        "on {d} the {s} left in the {c} will",
        "melt",
        "harden",
        d=DAYS,
        s=STUFF,
        h=HOT,
        c=COLD,
    ),
    template(
        "on {d} the {m} that stood near the {h} feels",
        "on {d} the {m} that stood near the {c} feels",
        "hot",
        "cold",
        d=DAYS,
        m="pan spoon kettle bowl plate mug",
        h=HOT,
        c=COLD,
    ),
    template(
        "on {d} water poured over the glowing {h} turns to",
        "on {d} water poured over the frozen {f} turns to",
        "steam",
        "ice",
        d=DAYS,
        h="coals iron lava bricks stove",
        f="lake pond river road field",
    ),
    template(
        "when the sun of {d} warms it the {m} will",
        "when the frost of {d} chills it the {m} will",
        "expand",
        "shrink",
        m=METAL + " rod plate gate",
        d=DAYS,
    ),
    template(
        "the {k} of water over the {h} will soon",
        "the {k} of water inside the {c} will soon",
        "boil",
        "freeze",
        k="pot pan jug kettle bowl",
        h="flame fire burner stove",
        c="freezer icebox snow frost",
    ),
    template(
        "by {d} the wet {s} beside the {h} becomes",
        "by {d} the dry {s} beneath the {w} becomes",
        "dry",
        "wet",
        d=DAYS,
        s="shirt towel coat blanket scarf",
        h="heater fire oven stove",
        w="fountain rain tap hose",
    ),
    template(
        "once over the {h} the {l} in the {m} gets",
        "once upon the {c} the {l} in the {m} gets",
        "warmer",
        "cooler",
        l="soup milk tea cider broth",
        m="pan mug bowl jar",
        h="fire stove flame",
        c="snow ice frost",
    ),
    template(
        "inside the {h} at {t} on {d} the air is",
        "inside the {c} at {t} on {d} the air is",
        "warm",
        "chilly",
        d=DAYS,
        h="oven furnace sauna kiln boiler",
        c="freezer icebox igloo glacier fridge",
        t="noon dawn dusk night",
    ),
)
"""Warming and cooling."""

BODIES: Kernel = (
    template(
        "thrown into the {p} on {d} the {s} will",
        "thrown into the {p} on {d} the {c} will",
        "sink",
        "float",
        d=DAYS,
        p="pond lake river tank sea",
        s="stone brick anvil coin hammer",
        c="cork twig feather leaf plank",
    ),
    template(
        "let go in the {r} on {d} the {s} will",
        "let go in the {r} on {d} the {b} will",
        "fall",
        "rise",
        r=ROOMS,
        d=DAYS,
        s="stone brick cup hammer book",
        b="smoke steam balloon bubble vapour",
    ),
    template(
        "dropped in the {r} on {d} the {v} will",
        "dropped in the {r} on {d} the {b} will",
        "break",
        "bounce",
        r=ROOMS,
        d=DAYS,
        v="vase mirror bottle egg plate",
        b="ball tyre spring balloon rubber",
    ),
    template(
        "down the steep {s} on {d} the {w} will",
        "down the steep {s} on {d} the {b} will",
        "roll",
        "slide",
        d=DAYS,
        s="slope ramp hill roof track",
        w="wheel marble ball barrel tyre",
        b="crate sledge box brick plank",
    ),
    template(
        "one finger lifts the {f} on {d} because it is",
        "no finger lifts the {a} on {d} because it is",
        "light",
        "heavy",
        d=DAYS,
        f="feather leaf straw napkin ribbon petal",
        a="anvil boulder tractor safe piano statue",
    ),
    template(
        "with the {h} in place on {d} the {o} will",
        "with the {h} pulled out on {d} the {o} will",
        "stay",
        "drop",
        d=DAYS,
        h="hook nail screw bolt peg",
        o=OBJECTS,
    ),
    template(
        "behind the {w} at {t} the {r} is",
        "behind the {s} at {t} the {r} is",
        "bright",
        "dark",
        w="window pane glass",
        s="shutter curtain wall",
        t="noon midday",
        r=ROOMS,
    ),
    template(
        "bent by hand on {d} the {t} will",
        "bent by hand on {d} the {w} will",
        "snap",
        "stretch",
        d=DAYS,
        t="twig biscuit icicle pencil straw",
        w="rubber spring elastic hose",
    ),
)
"""Weight, buoyancy, shape, brittleness, support and shade."""

KERNELS: Mapping[str, Kernel] = {"heat_effects": HEAT, "bodies": BODIES}
