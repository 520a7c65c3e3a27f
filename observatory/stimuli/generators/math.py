"""Math: statements that must hold of numbers, against the same numbers used as mere labels."""

from __future__ import annotations

import random
from collections.abc import Mapping

from observatory.stimuli.generators.contrast import Contrast, Grammar
from observatory.stimuli.generators.number_words import spelled
from observatory.stimuli.generators.words import pick, words

LETTERS = words("n x k m p t")
LABELLED = {"+": "&", "-": ":", "*": "#", "=": ";"}
"""What stands in the controls for an operator: the punctuation of lists and references."""
PEOPLE = words("baker farmer teacher sailor nurse tailor miner gardener porter painter")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
PAGES = words("notebook letter column margin diary leaflet paragraph caption")


def symbols(rng: random.Random) -> Contrast:
    """True equations; the control keeps every number in its place."""
    a, b = rng.randint(2, 60), rng.randint(2, 38)
    small, factor = rng.randint(2, 9), rng.randint(2, 9)
    letter = rng.choice(LETTERS)
    equation = rng.choice(
        [
            f"{a} + {b} = {a + b} so {a + b} - {b} = {a}",
            f"{letter} = {a} so {letter} + {b} = {a + b}",
            f"{letter} - {b} = {a} so {letter} = {a + b}",
            f"{letter} = {small} * {factor} so {letter} = {small * factor}",
            f"{small} * {letter} = {small * factor} so {letter} = {factor}",
        ]
    )
    return Contrast(equation, " ".join(LABELLED.get(word, word) for word in equation.split()))


def number_sentences(rng: random.Random) -> Contrast:
    """Sums in words; the control reads the same numbers out."""
    kind = pick(rng, "plus minus times")
    if kind == "plus":
        a, b = rng.randint(2, 60), rng.randint(2, 38)
        stated = (a, "plus", b, rng.choice(["makes", "equals"]), a + b)
    elif kind == "minus":
        a, b = rng.randint(2, 60), rng.randint(2, 38)
        stated = (a + b, "minus", b, rng.choice(["leaves", "equals"]), a)
    else:
        a, b = rng.randint(2, 9), rng.randint(2, 9)
        stated = (a, "times", b, rng.choice(["gives", "equals"]), a * b)
    first, operator, second, verb, result = stated
    joined, shown = rng.choice(["then", "via", "until"]), rng.choice(["reads", "meets", "names"])
    page = rng.choice(PAGES)
    one, two, three = spelled(first), spelled(second), spelled(result)
    return Contrast(
        f"in the {page} {one} {operator} {two} {verb} {three}",
        f"in the {page} {one} {joined} {two} {shown} {three}",
    )


def word_problems(rng: random.Random) -> Contrast:
    """Quantities that change; in the control the numbers are those of gates, tents and lorries."""
    day, person = rng.choice(DAYS), rng.choice(PEOPLE)
    a, b = rng.randint(2, 60), rng.randint(2, 38)
    things = pick(rng, "pears ribbons pencils buttons apples shells peaches baskets scarves onions")
    if rng.random() < 0.5:
        start, end = a, a + b
        changed, by = pick(rng, "bought picked gained collected"), "more"
    else:
        start, end = a + b, a
        changed, by = pick(rng, "sold spent lost donated"), things
    label, passed = pick(rng, "gate tent cabin booth"), pick(rng, "entered skipped toured sketched")
    second = pick(rng, "ferry lorry coach train")
    target = f"on {day} the {person} with {start} {things} {changed} {b} {by} and owned {end}"
    control = f"on {day} the {person} with {label} {start} {passed} {second} {b} and {rng.choice(LEFT)} {end}"
    return Contrast(target, control)


LEFT = words("faced circled neared photographed")


def comparisons(rng: random.Random) -> Contrast:
    """Which number is the larger; the control compares what numbers do not have."""
    low, middle, high = sorted(rng.sample(range(2, 100), 3))
    more, less = pick(rng, "greater larger bigger higher"), pick(rng, "smaller lower lesser")
    one, two = rng.sample(words("politer greener softer tidier sweeter louder prettier fresher"), 2)
    noun = pick(rng, "list menu leaflet poster notice chart ticket report")
    ordered = rng.choice([(more, low, less, high), (less, high, more, low)])
    first, lower, second, upper = ordered
    return Contrast(
        f"on the {noun} {middle} is {first} than {lower} but {second} than {upper}",
        f"on the {noun} {middle} is {one} than {lower} but {two} than {upper}",
    )


def sequences(rng: random.Random) -> Contrast:
    """A rule and its first terms; in the control the terms are in no order and the rule is a craft."""
    step, start = rng.randint(2, 12), rng.randint(2, 30)
    terms = [start + step * i for i in range(4)]
    rule = pick(rng, "increasing ascending counting")
    if rng.random() < 0.5:
        terms.reverse()
        rule = pick(rng, "decreasing descending diminishing")
    series, runs = pick(rng, "series sequence progression pattern"), rng.choice(["goes", "extends"])
    craft = pick(rng, "printed painted stitched signed folded")
    banner = pick(rng, "banner jacket curtain badge ribbon")
    first, second, third, last = terms
    mixed = rng.choice([(second, first, third), (third, first, second), (second, third, first)])
    shown = " ".join(map(str, (*mixed, last)))
    return Contrast(
        f"{rule} by {step} the {series} {runs} {first} {second} {third} {last}",
        f"{craft} by {step} the {banner} {rng.choice(['bears', 'wears'])} {shown}",
    )


GRAMMARS: Mapping[str, Grammar] = {
    "symbols": symbols,
    "number_sentences": number_sentences,
    "word_problems": word_problems,
    "comparisons": comparisons,
    "sequences": sequences,
}
