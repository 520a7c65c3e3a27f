"""Can the words alone, or words and their places, tell targets from controls in a family not learnt from?

A simple classifier that can is a shortcut that a network may take too, an untrained one included: a word that
stands first in the targets of two families and later in their controls moves the activations of random weights.
The classifier is multinomial naive Bayes with Laplace smoothing (Manning, Raghavan and Schuetze 2008, chapter
13); the measure is the area under the ROC curve, which is .5 where nothing transfers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import log

import numpy as np

from observatory.observation import Array
from observatory.stimuli.battery import Family

Features = Callable[[str], Sequence[str]]


def words_of(text: str) -> Sequence[str]:
    """What stands in a text, wherever."""
    return text.split()


def placed_words_of(text: str) -> Sequence[str]:
    """What stands where, counted from the beginning, for that is what positions of tokens are counted from."""
    return [f"{place} {word}" for place, word in enumerate(text.split())]


def word_weights(targets: Sequence[str], controls: Sequence[str], features: Features = words_of) -> Mapping[str, float]:
    """log p(word | target) - log p(word | control), each smoothed by one count.

    A word that was never met says nothing, and both classes are equally likely.
    """
    met = [Counter(word for text in texts for word in features(text)) for texts in (targets, controls)]
    vocabulary = met[0].keys() | met[1].keys()
    target, control = ({w: log((n[w] + 1) / (n.total() + len(vocabulary))) for w in vocabulary} for n in met)
    return {word: target[word] - control[word] for word in vocabulary}


def scores(weights: Mapping[str, float], texts: Sequence[str], features: Features = words_of) -> Array:
    """How much each text looks like a target; equal up to the order of addition is equal."""
    return np.array([round(sum(weights.get(word, 0.0) for word in features(text)), 9) for text in texts])


def area_under_curve(positive: Array, negative: Array) -> float:
    """The share of pairs in which the positive scores higher, ties counted half (Mann and Whitney 1947)."""
    difference = positive[:, None] - negative[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def leak(source: Family, destination: Family, features: Features = words_of) -> float:
    """How well what was learnt on one family tells the targets of another from its controls."""
    weights = word_weights(*texts_of(source), features)
    targets, controls = texts_of(destination)
    return area_under_curve(scores(weights, targets, features), scores(weights, controls, features))


def texts_of(family: Family) -> tuple[list[str], list[str]]:
    """Its targets and its controls."""
    return [item.target for item in family.items], [item.control for item in family.items]
