"""How often a run can be observed for a given share of its time."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest

from observatory.spacing import Budget


def observed(budget: Budget, end: int, pace: float, cost: float, known: bool = True) -> tuple[list[int], float]:
    """The steps of a simulated run from its sixteenth step on, and the share of its time that they took."""
    seen, spent, next_step = [0], cost, 0.0
    budget = budget.after(cost, 0.0)
    next_step = budget.next(16, pace, end if known else None)
    for step in range(17, end + 1):
        if step >= next_step:
            seen.append(step)
            spent += cost
            budget = budget.after(cost, 0.0)
            next_step = budget.next(step, pace, end if known else None)
    return seen, spent / (pace * end)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("cost", [1.0, 10.0])
def test_a_run_with_a_known_end_is_observed_as_often_as_there_is_room_and_at_its_end(share: float, cost: float) -> None:
    seen, taken = observed(Budget(share), 10_000, 1.0, cost)
    room = int(share * 10_000 / cost)
    assert taken <= max(share, cost / 10_000)  # step 0 is observed whatever it costs
    assert len(seen) == max(1, room)
    if room > 1:
        assert seen[-1] == 10_000
    ratios = [late / early for early, late in pairwise([16, *seen[1:]])]
    assert all(
        abs(ratio - ratios[-1]) < 0.1 or late - early == 1
        for ratio, (early, late) in zip(ratios, pairwise([16, *seen[1:]]), strict=True)
    )


def test_a_run_without_a_known_end_is_observed_when_it_is_paid_for() -> None:
    seen, taken = observed(Budget(0.01), 10_000, 1.0, 5.0, known=False)
    assert seen == [0, *range(1000, 10_001, 500)]
    assert taken <= 0.01 + 5 / 10_000


def test_what_is_done_once_is_paid_and_not_expected_again() -> None:
    budget = Budget(0.5).after(seconds=12.0, once=10.0)
    assert (budget.spent, budget.cost) == (12.0, 2.0)
    assert budget.after(1.0, 0.0).cost == 2.0  # the dearest so far
    assert budget.affordable(pace=1.0, end=40) == 4
    assert budget.next(40, 1.0, 40) == inf
    assert Budget(0.5).affordable(1.0, 100) == 0


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 5.0])
def test_a_share_is_between_nothing_and_all(share: float) -> None:
    with pytest.raises(ValueError, match=r"max_overhead is a share of training, such as 0.01; got"):
        Budget(share)
