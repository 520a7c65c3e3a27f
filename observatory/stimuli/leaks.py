"""Can the words alone tell targets from controls in a family that was not learnt from?

A unigram classifier that can is a shortcut that a network may take too. The classifier is multinomial naive
Bayes with Laplace smoothing (Manning, Raghavan and Schuetze 2008, chapter 13); the measure is the area under
the ROC curve, which is .5 where nothing transfers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log

import numpy as np

from observatory.observation import Array
from observatory.stimuli.battery import Family


def word_weights(targets: Sequence[str], controls: Sequence[str]) -> Mapping[str, float]:
    """log p(word | target) - log p(word | control), each smoothed by one count.

    A word that was never met says nothing, and both classes are equally likely.
    """
    met = [Counter(word for text in texts for word in text.split()) for texts in (targets, controls)]
    vocabulary = met[0].keys() | met[1].keys()
    target, control = ({w: log((n[w] + 1) / (n.total() + len(vocabulary))) for w in vocabulary} for n in met)
    return {word: target[word] - control[word] for word in vocabulary}


def scores(weights: Mapping[str, float], texts: Sequence[str]) -> Array:
    """How much each text looks like a target; equal up to the order of addition is equal."""
    return np.array([round(sum(weights.get(word, 0.0) for word in text.split()), 9) for text in texts])


def area_under_curve(positive: Array, negative: Array) -> float:
    """The share of pairs in which the positive scores higher, ties counted half (Mann and Whitney 1947)."""
    difference = positive[:, None] - negative[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def leak(source: Family, destination: Family) -> float:
    """How well the words learnt on one family tell the targets of another from its controls."""
    weights = word_weights(*texts_of(source))
    targets, controls = texts_of(destination)
    return area_under_curve(scores(weights, targets), scores(weights, controls))


def texts_of(family: Family) -> tuple[list[str], list[str]]:
    """Its targets and its controls."""
    return [item.target for item in family.items], [item.control for item in family.items]
