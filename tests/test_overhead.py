"""Observing takes no more of a run's time than it may, and what it takes is told and written down."""

from __future__ import annotations

import resource
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loop import small_battery, word_tokenizer
from models import tiny

from observatory import (
    Instrument,
    Logbook,
    Monitor,
    Recorder,
    SpecializationMonitor,
    TransformersMonitor,
    Variable,
    open_logbook,
)
from observatory.measure.scene import Scene
from observatory.observation import Observation

BATTERY = small_battery(items=2)
COST, PACE, STEPS = 0.05, 0.01, 150
SHARE = 0.9


class Slow(Instrument):
    """Takes its time, and from some call on much more."""

    name = "slow"

    def __init__(self, later: float = COST, fails: bool = False) -> None:
        self.later, self.fails, self.calls = later, fails, 0

    def __repr__(self) -> str:
        return "Slow()"

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        self.calls += 1
        time.sleep(COST if self.calls == 1 else self.later)
        if self.fails and self.calls > 1:
            raise RuntimeError("slow and in vain")
        return {"calls": Variable((), np.array(self.calls))}


class Told(Recorder):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def record(self, observation: Observation) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


def monitor(folder: Path, **settings: Any) -> Monitor:
    chosen: dict[str, Any] = {
        "battery": BATTERY,
        "instruments": [Slow()],
        "recorders": (),
        "twins": 0,
        "max_overhead": SHARE,
    }
    return Monitor(word_tokenizer(), folder / "observations.h5", **{**chosen, **settings})


def train(watching: Monitor, begin: int = 0, end: int = STEPS, known: bool = True, until: int | None = None) -> Monitor:
    """Steps that take long."""
    watching.begin(tiny("gpt_neox"), begin, max_steps=end if known else None)
    for step in range(begin + 1, (until or end) + 1):
        time.sleep(PACE)
        watching.step(step)
    watching.close() if until else watching.end()
    return watching


def steps(watching: Monitor) -> list[int]:
    found: list[int] = open_logbook(watching.logbook_path)["step"].values.tolist()
    return found


@pytest.mark.parametrize("known", [True, False])
def test_a_run_is_observed_as_often_as_its_share_has_room(known: bool, tmp_path: Path) -> None:
    watching = train(monitor(tmp_path), known=known)
    found, attrs = steps(watching), open_logbook(watching.logbook_path).attrs
    assert (found[0], found[-1]) == (0, STEPS)
    assert all(step > 16 for step in found[1:])  # before, it is not known how long a step takes
    assert attrs["seconds_training"] >= STEPS * PACE
    assert attrs["seconds_observing"] >= len(found) * COST
    # One more than there is room for: the last is made whatever it costs.
    room = SHARE * attrs["seconds_training"]
    assert attrs["seconds_observing"] <= 1.3 * room + attrs["seconds_observing"] / len(found)
    assert len(found) >= 4
    assert attrs["max_overhead"] == SHARE
    assert "schedule" not in attrs


@pytest.mark.parametrize("kind", [Monitor, SpecializationMonitor, TransformersMonitor])
def test_a_schedule_and_a_share_are_not_given_together(kind: Any, tmp_path: Path) -> None:
    words = r"give a schedule or max_overhead, not both; got 'every 2' and 0\.01"
    with pytest.raises(ValueError, match=words):
        kind(word_tokenizer(), tmp_path / "o.h5", "every 2", max_overhead=0.01)
    with pytest.raises(ValueError, match=r"max_overhead is a share of training, such as 0\.01; got 2"):
        kind(word_tokenizer(), tmp_path / "o.h5", max_overhead=2)


@pytest.mark.parametrize("carried", [True, False])
def test_a_run_that_is_resumed_keeps_to_its_share(carried: bool, tmp_path: Path) -> None:
    """What an observation costs was not known any more, and no more were made up to the end."""
    first = train(monitor(tmp_path), until=STEPS // 2)
    seconds = open_logbook(first.logbook_path).attrs
    time.sleep(0.5)  # between the processes no time of the run goes by
    again = monitor(tmp_path)
    if carried:
        again.load_state_dict(first.state_dict())
    train(again, begin=STEPS // 2)
    found, attrs = steps(again), open_logbook(again.logbook_path).attrs
    assert len([step for step in found if STEPS // 2 < step < STEPS]) >= 1
    assert attrs["seconds_observing"] <= 1.3 * SHARE * attrs["seconds_training"] + 4 * COST + (0 if carried else 1)
    if carried:
        gone = {name: attrs[name] - seconds[name] for name in ("seconds_training", "seconds_observing")}
        assert gone["seconds_training"] >= STEPS // 2 * PACE
        assert gone["seconds_observing"] >= COST
        assert again.state_dict()["budget"]["spent"] == pytest.approx(attrs["seconds_observing"], rel=0.05)
        assert first.state_dict()["seconds"]["training"] == pytest.approx(seconds["seconds_training"])


def test_what_fails_is_paid_for_as_well(tmp_path: Path) -> None:
    """Or a run whose observations all fail would be held up by them again and again."""
    with pytest.warns(UserWarning, match="slow and in vain"):
        watching = train(monitor(tmp_path, instruments=[Slow(later=0.4, fails=True)]))
    gaps = open_logbook(watching.logbook_path)["gap_step"].values.tolist()
    assert gaps[-1] == STEPS
    assert 1 <= len(gaps) <= 3


def test_after_sixteen_steps_the_share_of_the_run_is_told(tmp_path: Path) -> None:
    told = Told()
    scheduled = monitor(tmp_path, schedule="every 10", max_overhead=None, recorders=[told])
    scheduled.begin(tiny("gpt_neox"), max_steps=STEPS)
    began = time.perf_counter()
    assert any("16 observations take" in note for note in told.notes)
    for step in range(1, 17):
        assert not any("% of what" in note for note in told.notes)
        time.sleep(PACE)
        scheduled.step(step)
    most = (time.perf_counter() - began) / 16
    scheduled.close()
    (note,) = (note for note in told.notes if "% of what" in note)
    assert note.startswith("16 observations are scheduled")
    told_pace = float(note.split(f"of what {STEPS:,} steps of ")[1].split()[0])
    assert 0.9 * PACE <= told_pace <= 1.1 * most
    percent = float(note.split(":")[1].split("%")[0].split(",")[-1])
    assert percent >= 100 * 16 * COST / (STEPS * told_pace) * 0.5

    told = Told()
    shared = monitor(tmp_path, recorders=[told])
    train(shared, until=17)
    assert any("has room for" in note and f"{SHARE} of {STEPS} steps" in note for note in told.notes)
    assert not any("observations take" in note for note in told.notes)  # of a schedule that there is not


def test_an_observation_that_takes_too_long_is_given_up_and_training_goes_on(tmp_path: Path) -> None:
    settings = {"schedule": "at 2", "max_overhead": None, "time_limit": 2.0}
    watching = monitor(tmp_path, instruments=[Slow(later=2.5), "contrast"], **settings)
    watching.begin(tiny("gpt_neox"), max_steps=4)
    watching.step(1)
    with pytest.warns(UserWarning, match="no observation at step 2: TimeoutError: the observation was not done within"):
        watching.step(2)
    watching.step(3)
    watching.close()
    logbook = open_logbook(watching.logbook_path)
    assert logbook["step"].values.tolist() == [0]
    assert logbook["gap_step"].values.tolist() == [2]
    assert "within 2 s; raise the limit, or measure less at a time" in str(logbook["gap_reason"].values[0])


def test_a_loss_with_its_graph_is_taken_and_let_go(tmp_path: Path) -> None:
    """The graph of a step would have stayed in memory until the next."""
    watching = monitor(tmp_path, schedule="at 1", max_overhead=None)
    watching.begin(tiny("gpt_neox"), max_steps=2)
    weight = torch.ones(1, requires_grad=True)
    loss = (weight * 2).sum()
    graph = weakref.ref(loss)
    watching.step(1, loss=loss)
    del loss
    assert graph() is None
    watching.close()
    assert open_logbook(watching.logbook_path)["train_loss"].values.tolist()[1] == 2.0


def test_a_disk_that_is_full_at_the_end_leaves_no_lock_and_every_observation(tmp_path: Path) -> None:
    watching = monitor(tmp_path).begin(tiny("gpt_neox"))
    journal = watching.logbook_path.with_name(watching.logbook_path.name + ".journal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size, hard))
    try:
        with pytest.warns(UserWarning, match=r"does not say how long observing took: .*File too large"):
            watching.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with Logbook(watching.logbook_path) as book:  # and so it is free
        assert book.steps == (0,)
