"""Observations handed on: what a recorder could not take waits, and no recorder suffers for another."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from loop import small_battery, word_tokenizer
from models import tiny

from observatory import Gap, Instrument, Logbook, Observation, Observatory, Recorder, Variable
from observatory.measure.instruments import ContrastLocalizer
from observatory.measure.scene import Scene
from observatory.watch import Watch


class Counting(Instrument):
    """Costs nothing and remembers what it saw of the observation before."""

    name = "counting"

    def __init__(self) -> None:
        self.before: list[int | None] = []

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        return {"calls": Variable((), np.array(float(len(self.before) + 1)))}

    def changes(self, before: Observation | None, now: Mapping[str, Variable]) -> Mapping[str, Variable]:
        self.before.append(None if before is None else before.step)
        return {}


class Notebook(Recorder):
    """Keeps the steps that it took, and fails at chosen attempts."""

    def __init__(self, fails: Mapping[int, Exception] | None = None, closing: Exception | None = None) -> None:
        self.taken: list[int] = []
        self.gaps: list[int] = []
        self.closed = 0
        self._fails, self._closing, self._attempt = dict(fails or {}), closing, -1

    def record(self, observation: Observation) -> None:
        self._try()
        self.taken.append(observation.step)

    def gap(self, gap: Gap) -> None:
        self._try()
        self.gaps.append(gap.step)
        self.taken.append(gap.step)

    def close(self) -> None:
        self.closed += 1
        if self._closing is not None:
            raise self._closing

    def _try(self) -> None:
        self._attempt += 1
        if self._attempt in self._fails:
            raise self._fails[self._attempt]


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def watch(*recorders: Recorder, instrument: Instrument | None = None, previous: Observation | None = None) -> Watch:
    observatory = Observatory(word_tokenizer(), battery=small_battery(), instruments=[instrument or Counting()])
    return Watch(observatory, recorders, previous)


MODEL = tiny("gpt_neox")


def test_what_could_not_be_written_waits_and_comes_later_in_order() -> None:
    failing, other = Notebook({1: full(), 2: full()}), Notebook()
    watching = watch(failing, other)
    watching.observe(MODEL, 0)
    with pytest.warns(UserWarning, match=r"^Notebook could not write step 1 \(.*No space left.*\); 1 waiting, tried "):
        watching.observe(MODEL, 1)
    with pytest.warns(UserWarning, match="could not write step 2 .* 2 waiting, tried again at the next observation"):
        watching.gap(Gap(2, "a reason"))
    assert failing.taken == [0]
    assert other.taken == [0, 1, 2]
    watching.observe(MODEL, 3)
    assert failing.taken == [0, 1, 2, 3]
    assert failing.gaps == [2]
    watching.close()
    assert failing.taken == other.taken


def test_closing_delivers_what_waits() -> None:
    failing = Notebook({0: full()})
    watching = watch(failing)
    with pytest.warns(UserWarning, match="could not write step 5"):
        watching.observe(MODEL, 5)
    watching.close()
    assert failing.taken == [5]
    assert failing.closed == 1


def test_closing_says_what_was_not_written_and_closes_all() -> None:
    failing, other = Notebook(dict.fromkeys(range(9), full())), Notebook()
    watching = watch(failing, other)
    with pytest.warns(UserWarning, match="could not write"):
        watching.observe(MODEL, 3)
    with pytest.warns(UserWarning, match="could not write"):
        watching.observe(MODEL, 7)
    with pytest.raises(OSError, match="No space left") as caught:
        watching.close()
    assert caught.value.__notes__ == ["not written: step 3, 7"]
    assert (failing.closed, other.closed) == (1, 1)
    assert other.taken == [3, 7]


def test_a_recorder_that_fails_to_close_leaves_no_other_open() -> None:
    failing, other = Notebook(closing=OSError("the wire is cut")), Notebook(closing=ValueError("later"))
    watching = watch(failing, other)
    with pytest.raises(OSError, match="the wire is cut"):
        watching.close()
    assert other.closed == 1


def test_what_a_recorder_refuses_for_good_is_raised_once_and_keeps_nobody_waiting() -> None:
    """A refused entry used to be offered again for ever, so that nothing after it was written anywhere."""
    failing, other = Notebook({1: ValueError("no such column")}), Notebook()
    watching = watch(failing, other)
    watching.observe(MODEL, 0)
    with pytest.raises(ValueError, match="no such column"):
        watching.observe(MODEL, 1)
    watching.observe(MODEL, 2)
    watching.close()
    assert failing.taken == [0, 2]
    assert other.taken == [0, 1, 2]


def test_an_observation_counts_once_it_was_recorded() -> None:
    watching = watch(Notebook({0: ValueError("no")}))
    with pytest.raises(ValueError, match="no"):
        watching.observe(MODEL, 0)
    assert not watching.observed
    watching.observe(MODEL, 1)
    assert watching.observed


def test_each_observation_sees_the_one_before_it() -> None:
    counting = Counting()
    watching = watch(Notebook({1: ValueError("no")}), instrument=counting)
    assert not watching.observed
    first = watching.observe(MODEL, 0)
    with pytest.raises(ValueError, match="no"):
        watching.observe(MODEL, 4)
    watching.observe(MODEL, 6)
    watching.go_back(first)
    watching.observe(MODEL, 2)
    assert counting.before == [None, 0, 4, 0]


def test_extras_are_recorded_beside_what_was_measured(tmp_path: Path) -> None:
    with Logbook(tmp_path / "o.h5") as logbook:
        watching = watch(logbook)
        watching.observe(MODEL, 0, tokens=7, extras={"train_loss": Variable((), np.array(2.5))})
        last = logbook.last()
    assert last is not None
    assert float(last["train_loss"]) == 2.5
    assert float(last["counting_calls"]) == 1
    assert last.tokens == 7


def test_another_battery_is_refused_before_anything_is_measured() -> None:
    before = watch().observe(MODEL, 0)
    other = Observatory(word_tokenizer(), battery=small_battery(name="another"), instruments=[Counting()])
    with pytest.raises(ValueError, match=r"written with battery .* and this run has battery .*; give it a logbook of"):
        Watch(other, (), before)


PROVENANCE = {
    "model": (tiny("gpt_neox", intermediate_size=24), {}),
    "settings": (MODEL, {"instruments": [ContrastLocalizer(share=0.2)]}),
    "battery": (MODEL, {"battery": small_battery(name="another")}),
}


@pytest.mark.parametrize(("model", "settings"), PROVENANCE.values(), ids=PROVENANCE)
def test_the_check_says_what_differs(
    request: pytest.FixtureRequest, model: object, settings: dict[str, object]
) -> None:
    usual: dict[str, object] = {"battery": small_battery(), "instruments": [ContrastLocalizer(share=0.1)]}
    before = Observatory(word_tokenizer(), **usual).observe(MODEL, 0)  # type: ignore[arg-type]
    here = Observatory(word_tokenizer(), **{**usual, **settings})  # type: ignore[arg-type]
    what = request.node.callspec.id
    words = rf"the logbook was written with {what} .* and this run has {what} .*or the same {what}"
    with pytest.raises(ValueError, match=words):
        Watch(here, (), before).check(here.provenance(model))  # type: ignore[arg-type]
    there = Observatory(word_tokenizer(), **usual)  # type: ignore[arg-type]
    Watch(there, (), before).check(there.provenance(MODEL))
