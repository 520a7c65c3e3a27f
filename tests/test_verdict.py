"""The rule of two observations running: when a level emerges and is lost, against patterns written out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pytest
import xarray as xr

from observatory.review.judge.evidence import CONDITIONS, GUARD, LEVELS, READOUT
from observatory.review.judge.verdict import NONE, UNKNOWN, Episode, Verdict, verdict

HOLDS, FAILS, SILENT = "1", "0", "?"
NAMES = [name for level in LEVELS for name in CONDITIONS[level]]
SPACES, POOLINGS = ["mlp", "heads"], ["last", "mean"]


def evidence_of(patterns: Mapping[str, Sequence[str]], first: int = 0) -> xr.Dataset:
    """Of each domain a pattern a level, the first level's first; a level may not hold where the one before does not.

    Steps are first, first + 10, ...
    """
    length = len(next(iter(patterns.values()))[0])
    rows = {name: [*given, *[FAILS * length] * (len(LEVELS) - len(given))] for name, given in patterns.items()}
    marks = np.array([[list(row) for row in levels] for levels in rows.values()]).transpose(1, 2, 0)
    marks = np.where((marks == SILENT).any(0), SILENT, marks)
    p = np.select([marks == HOLDS, marks == FAILS], [0.001, 0.5], np.nan)  # level, step, domain
    by_condition = np.concatenate([[p[place]] * len(CONDITIONS[level]) for place, level in enumerate(LEVELS)])
    readouts = (len(SPACES), len(POOLINGS))
    index = np.where(marks[0] == SILENT, np.nan, np.where(marks[0] == HOLDS, 0.7, 0.1))[:, None, None]
    index = np.broadcast_to(index, (length, *readouts, len(rows)))
    dims = ("step", *READOUT, "domain")
    wide = np.broadcast_to(p[:, :, None, None], (len(LEVELS), *index.shape))
    conditions = np.broadcast_to(by_condition[:, :, None, None], (len(NAMES), *index.shape))
    summary = ("level", "step", "domain")
    return xr.Dataset(
        {
            "index": (dims, index),
            "low": (dims, index - 0.1),
            "high": (dims, index + 0.1),
            "floor": (dims[1:], np.full(index.shape[1:], 0.2)),
            "draws": ((*dims, "draw"), index[..., None] + np.array([-0.1, 0.1])),
            "condition_p": (("condition", *dims), conditions),
            "level_p": (("level", *dims), wide),
            "domain_p": (summary, p),
            "holds": (summary, marks == HOLDS),
        },
        {
            "step": first + 10 * np.arange(length),
            "level": list(LEVELS),
            "condition": NAMES,
            "space": SPACES,
            "pooling": POOLINGS,
            "domain": list(rows),
        },
        {"alpha": 0.05, "alpha_of_domain": 0.01, "alpha_of_readout": 0.0025, "smallest_p": 0.001},
    )


@pytest.fixture(autouse=True)
def _any_two_observations(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most patterns here lie ten steps apart throughout; how far apart observations must lie has tests of its own."""
    if "apart" not in request.node.name:
        monkeypatch.setattr("observatory.review.judge.verdict.LASTING", 0.0)


def judge(*levels: str, first: int = 0) -> Verdict:
    return verdict(evidence_of({"a": levels}, first), "a")


def by_hand(pattern: str) -> list[Episode]:
    """By search in texts: `11` begins an episode; without what is silent, two that stand in no `11` end it."""
    told = [place for place, mark in enumerate(pattern) if mark != SILENT]
    sustained = re.sub("11+", lambda run: "2" * len(run[0]), "".join(pattern[place] for place in told))
    found, start = [], 0
    while begun := re.compile("11").search(pattern, start):
        number = told.index(begun.start())
        end = re.compile("[01]{2}").search(sustained, number)
        after = 10 * told[number - 1] if number else None
        lost = (10 * told[end.start() - 1], 10 * told[end.start()]) if end else (None, None)
        found.append(Episode(after, 10 * told[number], *lost))
        if not end:
            break
        start = told[end.start()]
    return found


PATTERNS: dict[str, tuple[str, str, list[Episode]]] = {
    "never": ("0000", NONE, []),
    "from the start": ("1111", LEVELS[0], [Episode(None, 0)]),
    "two running": ("0011", LEVELS[0], [Episode(10, 20)]),
    "single flickers": ("0101001", NONE, []),
    "the last observation alone": ("0001", NONE, []),
    "one observation without it is no loss": ("0110110", LEVELS[0], [Episode(0, 10)]),
    "alternating after it emerged": ("0110101", NONE, [Episode(0, 10, 20, 30)]),
    "the last observation without it is no loss": ("0111110", LEVELS[0], [Episode(0, 10)]),
    "lost at the end": ("011100", NONE, [Episode(0, 10, 30, 40)]),
    "lost, and a flicker after": ("01100100", NONE, [Episode(0, 10, 20, 30)]),
    "lost and back": ("0110011", LEVELS[0], [Episode(0, 10, 20, 30), Episode(40, 50)]),
    "lost, back and lost": ("11001100", NONE, [Episode(None, 0, 10, 20), Episode(30, 40, 50, 60)]),
    "silent at the start": ("??011", LEVELS[0], [Episode(20, 30)]),
    "silent before it was there": ("??11", LEVELS[0], [Episode(None, 20)]),
    "silent between, and there on both sides": ("01?10", NONE, []),
    "silent in the middle of it": ("011???11", LEVELS[0], [Episode(0, 10)]),
    "silent at every second place after it emerged": ("011?1?1?1", LEVELS[0], [Episode(0, 10)]),
    "silent where it is lost": ("011?0?0", NONE, [Episode(0, 10, 20, 40)]),
    "silent before the first that is confirmed": ("0?11", LEVELS[0], [Episode(0, 20)]),
    "diverged while it was there": ("0111???", LEVELS[0], [Episode(0, 10)]),
    "diverged before it could": ("001???", NONE, []),
}


@pytest.mark.parametrize("case", PATTERNS)
def test_two_observations_running_make_it_and_two_end_it(case: str) -> None:
    pattern, level, episodes = PATTERNS[case]
    judged = judge(pattern)
    assert judged.level == level
    assert judged.episodes == {LEVELS[0]: tuple(episodes), LEVELS[1]: (), LEVELS[2]: ()}
    last = {SILENT: UNKNOWN, HOLDS: LEVELS[0], FAILS: NONE}[pattern[-1]]
    assert judged.holds_at_last == last


def test_every_pattern_of_six_observations_is_read_as_a_search_in_texts_reads_it() -> None:
    random = np.random.default_rng(0)
    patterns = random.permutation(["".join(marks) for marks in product("01?", repeat=6)])[:80]
    longer = ["".join(random.choice(list("0011?"), 12)) for _ in range(40)]
    for chosen in (patterns.tolist(), longer):
        evidence = evidence_of({pattern: [pattern] for pattern in chosen})
        for pattern in chosen:
            judged, expected = verdict(evidence, pattern), by_hand(pattern)
            assert list(judged.episodes[LEVELS[0]]) == expected, pattern
            lasts = bool(expected) and expected[-1].lost_by is None
            said = any(SILENT not in pattern[place : place + 2] for place in range(len(pattern) - 1))
            assert judged.level == (UNKNOWN if not said else LEVELS[0] if lasts else NONE), pattern


APART: dict[str, tuple[str, list[int], list[Episode]]] = {
    "two that are nearly the same network": ("0110", [8, 10, 12, 15], []),
    "a fifth apart, and held until a quarter": ("01110", [8, 10, 12, 15, 18], [Episode(8, 10)]),
    "a quarter apart": ("011", [6, 8, 10], [Episode(6, 8)]),
    "step 0 and the next": ("11", [0, 1], [Episode(None, 0)]),
    "not far enough before the end": ("0011", [600, 700, 800, 999], []),
    "far enough at the end": ("0011", [600, 700, 800, 1000], [Episode(700, 800)]),
    "gone for a moment is not lost": ("0110011", [4, 8, 10, 11, 12, 13, 17], [Episode(4, 8)]),
    "gone for a quarter is lost": ("011000", [4, 8, 10, 12, 13, 15], [Episode(4, 8, 10, 12)]),
}


@pytest.mark.parametrize("case", APART)
def test_observations_confirm_each_other_where_they_lie_apart(case: str) -> None:
    """A run without maths had it at steps 15 and 18, one without social text at 5 and 6, in one readout each."""
    pattern, steps, episodes = APART[case]
    evidence = evidence_of({"a": [pattern]}).assign_coords(step=steps)
    assert list(verdict(evidence, "a").episodes[LEVELS[0]]) == episodes


def test_what_is_silent_makes_nothing_emerge() -> None:
    random = np.random.default_rng(1)
    for _ in range(15):
        pattern = random.choice(list("011"), 10)
        silenced = np.where(random.random(10) < 0.3, SILENT, pattern)
        before, after = (judge("".join(marks)).episodes[LEVELS[0]] for marks in (pattern, silenced))
        assert before or not after


TOO_LITTLE = {
    "1": "there is one observation, at which selective holds; emergence takes two running",
    "0": "there is one observation, at which no level holds; emergence takes two running",
    "?1??": "there is one observation, at which selective holds; emergence takes two running",
    "1?1": "no two observations running say anything, and emergence takes two; at the last, selective holds",
    "1?0?": "no two observations running say anything, and emergence takes two; at the last, no level holds",
    "??": "the index is missing at every observation",
}


@pytest.mark.parametrize("pattern", TOO_LITTLE)
def test_of_too_few_observations_nothing_is_said(pattern: str) -> None:
    judged = judge(pattern)
    assert judged.level == UNKNOWN
    assert judged.reason.startswith(TOO_LITTLE[pattern])
    assert judged.holds_at_last == {HOLDS: LEVELS[0], FAILS: NONE, SILENT: UNKNOWN}[pattern[-1]]
    assert not any(judged.episodes.values())


def test_of_two_observations_something_is_said() -> None:
    assert judge("11").level == LEVELS[0]
    assert judge("01").level == judge("10").level == judge("00").level == NONE


def test_each_level_has_its_own_episodes_and_the_highest_that_lasts_is_told() -> None:
    judged = judge("011111111", "000111111", "000001100")
    assert judged.level == "specific"
    assert judged.episodes == {
        "selective": (Episode(0, 10),),
        "specific": (Episode(20, 30),),
        "general": (Episode(40, 50, 60, 70),),
    }
    assert judged.holds_at_last == "specific"
    assert judge("0111", "0111", "0111").level == "general"
    assert judge("0111", "0111", "0001").level == "specific"
    assert judge("0111", "0111", "0001").holds_at_last == "general"


def test_the_steps_are_those_of_the_logbook() -> None:
    assert judge("0011", first=70).episodes["selective"] == (Episode(80, 90),)


def with_readouts(evidence: xr.Dataset, name: str, values: Sequence[float], **where: object) -> xr.Dataset:
    """The values of mlp last, mlp mean, heads last, heads mean."""
    changed = evidence.copy(deep=True)
    for place, value in enumerate(values):
        changed[name].loc[{**where, "space": SPACES[place // 2], "pooling": POOLINGS[place % 2]}] = value
    return changed


def test_numbers_are_of_the_readout_that_shows_the_domain_most_often() -> None:
    """Not of the one that shows it first: in the demo that was one in which it was soon gone."""
    evidence = evidence_of({"a": ["0011"]})
    first = with_readouts(evidence, "level_p", [0.5, 0.5, 0.5, 0.001], level="selective", step=20)
    assert str(verdict(with_readouts(first, "level_p", [0.001, 0.5, 0.5, 0.5], step=30), "a").readout) == "mlp, last"
    often = with_readouts(evidence, "level_p", [0.5, 0.5, 0.001, 0.5], level="selective", step=20)
    best_at_last = with_readouts(often, "level_p", [0.0001, 0.5, 0.002, 0.5], level="selective", step=30)
    assert str(verdict(best_at_last, "a").readout) == "heads, last"
    tied = with_readouts(evidence, "level_p", [0.01, 0.001, 0.001, 0.01], level="selective", step=30)
    clearer = with_readouts(tied, "index", [0.9, 0.3, 0.5, 0.9], step=30)
    assert str(verdict(clearer, "a").readout) == "heads, last"
    silent = with_readouts(tied, "level_p", [0.01, 0.001, np.nan, 0.01], level="selective", step=30)
    assert str(verdict(silent, "a").readout) == "mlp, mean"


def test_a_domain_that_has_not_emerged_is_told_of_by_its_last_observation() -> None:
    evidence = evidence_of({"a": ["0000?"]})
    at_last = with_readouts(evidence, "level_p", [0.5, 0.4, 0.3, 0.2], level="selective", step=30)
    told = with_readouts(at_last, "index", [0.1, 0.2, 0.3, 0.4], step=30)
    judged = verdict(told, "a")
    assert str(judged.readout) == "heads, mean"
    assert (judged.index, judged.floor) == (0.4, 0.2)
    assert judged.interval == pytest.approx((0.0, 0.2))


@pytest.mark.parametrize("level", LEVELS)
def test_the_reason_names_the_condition_that_the_next_level_lacks_most(level: str) -> None:
    """In the best readout, which here is the third."""
    held = LEVELS.index(level)
    evidence = evidence_of({"a": ["011"] * held or ["000"]})
    for name in NAMES:
        evidence = with_readouts(evidence, "condition_p", [0.001] * 4, condition=name, step=20)
    failing = CONDITIONS[level][-1]
    evidence = with_readouts(evidence, "condition_p", [0.3, 0.2, 0.02, 0.3], condition=failing, step=20)
    evidence = with_readouts(evidence, "level_p", [0.3, 0.2, 0.02, 0.3], level=level, step=20)
    expected = f"not {level}: p = 0.02 for {failing} (heads, last) in the best readout"
    assert verdict(evidence, "a").reason == expected
    passed = with_readouts(evidence, "condition_p", [0.001, 0.001, 0.04, 0.001], condition=GUARD, step=20)
    assert verdict(passed, "a").reason == expected  # the guard is held at alpha, and is not what lacks
    guard = with_readouts(evidence, "condition_p", [0.001, 0.001, 0.06, 0.001], condition=GUARD, step=20)
    assert verdict(guard, "a").reason == f"not {level}: p = 0.06 for {GUARD} (heads, last) in the best readout"


def test_the_reason_is_empty_where_no_level_is_left_and_says_where_one_only_waits() -> None:
    assert judge(*["0111"] * 3).reason == ""
    assert judge("0001").reason == "selective holds at the last observation, and takes two running"
    assert judge("0111", "0001").reason == "specific holds at the last observation, and takes two running"
    assert judge("0110").reason.startswith("not specific: p = 0.5 for ")
