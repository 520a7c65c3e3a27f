"""When to observe."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from observatory.schedules import Schedule, at, crossed, either, every, logarithmic, parse, pythia


def due(schedule: Schedule, last: int) -> list[int]:
    return [step for step in range(last + 1) if schedule(step)]


@pytest.mark.parametrize("per_decade", [1, 2, 3, 5, 10, 12, 20, 50, 300, 1000])
def test_a_logarithmic_schedule_is_the_rounded_grid_and_nothing_else(per_decade: int) -> None:
    last = 20_000
    grid = {round(10 ** (k / per_decade)) for k in range(5 * per_decade)}
    assert due(logarithmic(per_decade), last) == sorted({0} | {step for step in grid if step <= last})


def test_a_logarithmic_schedule_holds_far_out() -> None:
    grid = {round(10 ** (k / 12)) for k in range(12 * 9)}
    far = logarithmic()
    assert all(far(step) for step in grid)
    assert not any(far(step + 1) for step in grid if step > 100 and step + 1 not in grid)


def test_the_default_is_twelve_a_decade() -> None:
    assert due(logarithmic(), 100) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 26, 32, 38, 46, 56, 68, 83, 100]


def test_pythias_schedule_is_its_154_checkpoints() -> None:
    published = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *range(1000, 143_001, 1000)]
    assert len(published) == 154
    assert due(pythia(), 143_000) == published


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (every(4), [0, 4, 8, 12]),
        (every(1), list(range(13))),
        (at([3, 0, 3, 99]), [0, 3]),
        (at([]), []),
        (at(iter([1, 2])), [1, 2]),
        (either(every(6), at([5])), [0, 5, 6, 12]),
        (either(), []),
    ],
    ids=["every 4", "every 1", "at", "at none", "at an iterator", "either", "either of none"],
)
def test_the_steps_that_are_due(schedule: Schedule, expected: list[int]) -> None:
    assert due(schedule, 12) == expected
    assert due(schedule, 12) == expected  # and again


@pytest.mark.parametrize("schedule", [every(3), logarithmic(), pythia(), at([0])])
def test_nothing_is_due_before_the_first_step(schedule: Schedule) -> None:
    assert schedule(0)
    assert not schedule(-1)


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [(-1, 0, True), (0, 9, False), (0, 10, True), (9, 11, True), (10, 10, False), (10, 19, False), (5, 40, True)],
)
def test_a_step_that_was_jumped_over_is_noticed_once(last: int, now: int, expected: bool) -> None:
    assert crossed(every(10), last, now) == expected


@pytest.mark.parametrize("stride", [1, 2, 3, 7])
def test_each_due_step_is_noticed_by_just_one_stride(stride: int) -> None:
    noticed = [now for now in range(0, 500, stride) if crossed(logarithmic(), now - stride, now)]
    wanted = sorted({-(-step // stride) * stride for step in due(logarithmic(), 499)})
    assert noticed == [step for step in wanted if step < 500]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("logarithmic", logarithmic()),
        ("logarithmic 20", logarithmic(20)),
        ("  pythia ", pythia()),
        ("every 500", every(500)),
        ("at 0 10 99", at([0, 10, 99])),
        ("at 0, 10, 99", at([0, 10, 99])),
        ("at", at([])),
    ],
)
def test_a_configuration_names_a_schedule(text: str, same: Schedule) -> None:
    assert due(parse(text), 3000) == due(same, 3000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sometimes",
        "every",
        "every 0",
        "every 1 2",
        "every ten",
        "logarithmic 0",
        "logarithmic 1 2",
        "pythia 3",
        "at x",
    ],
)
def test_a_name_for_no_schedule_says_what_would_do(text: str) -> None:
    with pytest.raises(
        ValueError, match=f"^no schedule {text!r}; use one of 'logarithmic', 'logarithmic 20'"
    ) as caught:
        parse(text)
    assert str(caught.value).endswith("'pythia', 'every 500', 'at 0 10 100'")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: every(0), r"every\(\) needs a positive number of steps, got 0"),
        (lambda: logarithmic(0), r"logarithmic\(\) needs at least 1 observation per decade, got 0"),
    ],
)
def test_a_bad_setting_is_refused_at_once(make: Callable[[], Schedule], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
