"""Orders of emergence, against replicates that are sorted one by one."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, permutations
from math import inf, nan

import numpy as np
import pytest

from observatory.observation import Array
from observatory.review.judge.order import Order, Precedence, order_probabilities, precedence


def drawn(seed: int, domains: int = 4, replicates: int = 300) -> dict[str, Array]:
    """Onsets with many ties and many that never emerge."""
    draw = np.random.default_rng(seed)
    onsets = draw.integers(1, 5, (domains, replicates)).astype(float)
    onsets[draw.random(onsets.shape) < 0.2] = inf
    return dict(zip("dbca", onsets, strict=False))


@pytest.mark.parametrize("seed", range(5))
def test_the_orders_are_those_of_the_replicates_sorted_one_by_one(seed: int) -> None:
    onsets = drawn(seed)
    counted: Counter[tuple[tuple[frozenset[str], ...], frozenset[str]]] = Counter()
    for replicate in range(300):
        at = {name: row[replicate] for name, row in onsets.items()}
        groups = [(step, frozenset(names)) for step, names in groupby(sorted(at, key=at.__getitem__), at.__getitem__)]
        never = frozenset(name for name in at if at[name] == inf)
        counted[tuple(names for step, names in groups if step < inf), never] += 1
    found = order_probabilities(onsets)
    keyed = {(tuple(map(frozenset, order.groups)), frozenset(order.never)): order.probability for order in found}
    assert len(keyed) == len(found)
    assert keyed == {key: pytest.approx(count / 300) for key, count in counted.items()}
    shares = [order.probability for order in found]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)


def test_without_ties_every_order_is_a_permutation() -> None:
    onsets = dict(zip("abc", np.random.default_rng(0).random((3, 5000)), strict=True))
    found = {order.groups: order.probability for order in order_probabilities(onsets)}
    assert set(found) == {tuple((name,) for name in names) for names in permutations("abc")}
    assert all(share == pytest.approx(1 / 6, abs=0.02) for share in found.values())


def test_ties_and_what_never_emerges_stand_apart() -> None:
    onsets = {"late": np.array([9, 9, 9, inf]), "never": np.full(4, inf), "a": np.array([2, 2, 3, 9.0])}
    assert order_probabilities({**onsets, "b": np.array([2, 2, 1, 9])}) == [
        Order((("a", "b"), ("late",)), ("never",), 0.5),
        Order((("a", "b"),), ("late", "never"), 0.25),
        Order((("b",), ("a",), ("late",)), ("never",), 0.25),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_precedence_is_counted_pair_by_pair(seed: int) -> None:
    onsets = drawn(seed)
    found = precedence(onsets)
    assert set(found) == set(permutations(onsets, 2))
    for (first, second), pair in found.items():
        both = list(zip(onsets[first], onsets[second], strict=True))
        assert pair.before == sum(a < b for a, b in both) / 300
        assert pair.after == sum(a > b for a, b in both) / 300
        assert pair.tie == sum(a == b for a, b in both) / 300
        assert pair.neither == sum(a == b == inf for a, b in both) / 300
        assert pair.before == found[second, first].after


def test_what_emerges_comes_before_what_never_does() -> None:
    assert precedence({"a": np.array([5.0, inf]), "b": np.array([inf, inf])})["a", "b"] == Precedence(0.5, 0, 0.5, 0.5)


@pytest.mark.parametrize("take", [order_probabilities, precedence])
@pytest.mark.parametrize(
    ("onsets", "words"),
    [
        ({}, "got no domain"),
        ({"a": [1, 2], "b": [1]}, r"equally many and at least one each; got a: \(2,\), b: \(1,\)"),
        ({"a": [], "b": []}, "at least one each"),
        ({"a": [[1]]}, "one row of onsets"),
        ({"a": [1, nan], "b": [1, 2]}, "the onsets of a contain nan"),
        ({"a": [1, 2], "b": [1, -inf]}, "the onsets of b contain nan or -inf; give inf"),
    ],
)
def test_onsets_that_are_not_paired_or_not_numbers_are_refused(take: object, onsets: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        take(onsets)  # type: ignore[operator]
