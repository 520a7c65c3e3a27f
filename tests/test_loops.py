"""Four training loops, one monitor: each is left as it was, and each gives the same logbook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from loop import small_battery, word_tokenizer
from loops import (
    BATTERY,
    INSTRUMENTS,
    LOOPS,
    QUIET,
    SIZE,
    STEPS,
    Drawing,
    Gone,
    Labelled,
    Trained,
    arguments,
    assert_same_run,
    batches,
    by_hand,
    by_trainer,
    each_loop,
    loss_of,
    monitor,
    needs_accelerate,
    optimizer_of,
    small_model,
)
from models import tiny
from saved import assert_same
from transformers import Trainer, TrainerCallback

from observatory import Instrument, Monitor, Observatory, Recorder, Variable, open_logbook
from observatory.measure.scene import Scene
from observatory.observation import Observation
from observatory.record.logbook import Logbook
from observatory.watch import Watch

pytestmark = QUIET
with_dropout = partial(small_model, 0.1)


def of_checkpoints(trained: Trained, path: Path) -> xr.Dataset:
    """What the weights after each step would have been observed to be, one plain model after another."""
    watch = Watch(
        Observatory(word_tokenizer(), battery=BATTERY, instruments=INSTRUMENTS, twins=0), [logbook := Logbook(path)]
    )
    model = small_model(0.1)
    for step, weights in enumerate(trained.weights):
        model.load_state_dict(weights)
        watch.observe(model, step, tokens=step * SIZE * 8)
    watch.close()
    return open_logbook(logbook.path)


@each_loop
def test_watching_changes_no_bit_and_records_what_the_checkpoints_would_show(loop: str, tmp_path: Path) -> None:
    watching = monitor(loop, tmp_path, instruments=[*INSTRUMENTS, Drawing()])
    watched = LOOPS[loop](tmp_path, watching, with_dropout)
    assert_same_run(watched, LOOPS[loop](tmp_path / "alone", None, with_dropout))
    assert len(watched.weights) == STEPS + 1
    logbook = open_logbook(watching.logbook_path)
    assert logbook["step"].values.tolist() == list(range(STEPS + 1))
    assert_same(logbook, of_checkpoints(watched, tmp_path / "checkpoints.h5"), "train_loss", "drawing_draws")


@needs_accelerate
def test_four_loops_with_the_same_model_and_data_give_the_same_weights_and_the_same_logbook(tmp_path: Path) -> None:
    logbooks, runs = {}, {}
    for loop, run in LOOPS.items():
        watching = monitor(loop, tmp_path / loop, instruments=INSTRUMENTS)
        runs[loop] = run(tmp_path / loop, watching, partial(small_model, 0.0))
        logbooks[loop] = open_logbook(watching.logbook_path)
    assert np.isfinite(logbooks["plain"]["train_loss"].values[1:]).all()
    for loop in LOOPS:
        for here, there in zip(runs["plain"].weights, runs[loop].weights, strict=True):
            assert all(torch.equal(here[name], there[name]) for name in here)
        assert_same(logbooks["plain"], logbooks[loop])
        assert logbooks[loop].attrs["model_parameters"] == logbooks["plain"].attrs["model_parameters"]
        configs = (json.loads(logbooks[one].attrs["model_config"]) for one in (loop, "plain"))
        assert next(configs).items() ^ next(configs).items() <= {("use_cache", True), ("use_cache", False)}
        assert logbooks[loop].attrs["max_steps"] == STEPS


def test_gradients_that_are_being_accumulated_stay_as_they_are(tmp_path: Path) -> None:
    """Observed between two backward passes of one step, and between the last of them and the step."""

    def run(watching: Monitor | None) -> Trained:
        torch.manual_seed(7)
        model = with_dropout()
        trained = Trained(model, optimizer := optimizer_of(model))
        if watching is not None:
            watching.begin(model, max_steps=9)
        for number, ids in zip(range(1, 9), batches(0), strict=False):
            loss_of(model(input_ids=ids), ids).backward()
            held = [p.grad for p in model.parameters()]
            if watching is not None:
                watching.step(number)
            assert all(p.grad is grad for p, grad in zip(model.parameters(), held, strict=True))
            if number % 2 == 0:
                optimizer.step()
                optimizer.zero_grad()
        if watching is not None:
            watching.end()
        return trained

    watching = monitor("plain", tmp_path)
    assert_same_run(run(watching), run(None))
    assert open_logbook(watching.logbook_path)["step"].values.tolist() == list(range(9))


class Counting(Recorder):
    def __init__(self) -> None:
        self.steps: list[int] = []

    def record(self, observation: Observation) -> None:
        self.steps.append(observation.step)


def test_a_loop_may_say_the_same_step_after_each_of_its_batches(tmp_path: Path) -> None:
    counting = Counting()
    watching = monitor("plain", tmp_path, "every 1", recorders=[counting]).begin(with_dropout(), max_steps=2)
    for step in (0, 0, 1, 1, 2, 2):
        watching.step(step)
    watching.end()
    assert counting.steps == [0, 1, 2]


# Resuming


CASES = {"same": ("every 1", 2, 2), "earlier": ("every 1", 3, 1), "later": ("at 0 1 4", 3, 3)}
"""How it is watched, after which step the machine is lost, and from the checkpoint of which step it goes on."""


@each_loop
@pytest.mark.parametrize("case", CASES)
def test_a_run_that_is_lost_and_resumed_gives_the_logbook_of_one_that_is_not(
    loop: str, case: str, tmp_path: Path
) -> None:
    schedule, lost, resume = CASES[case]
    quick = {"instruments": INSTRUMENTS if loop == "plain" else ["competence"]}  # which tell weights apart
    uninterrupted = monitor(loop, tmp_path / "whole", schedule, **quick)
    whole = LOOPS[loop](tmp_path / "whole", uninterrupted, with_dropout)
    parts = tmp_path / "parts"
    first = monitor(loop, parts, schedule, **quick)
    with pytest.raises(Gone):
        LOOPS[loop](parts, first, with_dropout, gone=lost)
    if loop != "lightning":  # which tells its callbacks
        first.close()
    seen = open_logbook(first.logbook_path)["step"].values.tolist()
    assert np.sign(resume - max(seen)) == {"earlier": -1, "same": 0, "later": 1}[case]
    resumed = monitor(loop, parts, schedule, **quick)
    again = LOOPS[loop](parts, resumed, with_dropout, resume=resume)
    assert resumed.logbook_path == first.logbook_path
    assert all(torch.equal(whole.weights[-1][name], value) for name, value in again.weights[-1].items())
    assert_same(open_logbook(uninterrupted.logbook_path), open_logbook(resumed.logbook_path))


def test_what_a_run_has_recorded_after_the_step_it_goes_on_from_is_dropped(tmp_path: Path) -> None:
    """Its end, at step 3, is of a run that did not go this way."""
    first = monitor("plain", tmp_path, "at 0 1 4")
    by_hand(tmp_path, first, with_dropout, steps=3)
    assert open_logbook(first.logbook_path)["step"].values.tolist() == [0, 1, 3]
    again = monitor("plain", tmp_path, "at 0 1 4")
    by_hand(tmp_path, again, with_dropout, resume=2)
    assert open_logbook(again.logbook_path)["step"].values.tolist() == [0, 1, 4]


def other_model() -> torch.nn.Module:
    return tiny("gpt2", n_inner=24)


@each_loop
@pytest.mark.parametrize("what", ["battery", "model"])
def test_going_on_with_another_battery_or_model_is_refused_with_both_hashes(
    loop: str, what: str, tmp_path: Path
) -> None:
    first = monitor(loop, tmp_path, "every 2")
    LOOPS[loop](tmp_path, first, with_dropout, steps=2)
    before = open_logbook(first.logbook_path).load()
    other = small_battery(name="another") if what == "battery" else BATTERY
    again = monitor(loop, tmp_path, "every 2", battery=other)
    observatory = Observatory(word_tokenizer(), battery=other, instruments=["competence"])
    make = with_dropout if what == "battery" else other_model
    here = observatory.provenance(make())[what]
    there = before.attrs[f"provenance_{what}"]
    assert here != there

    def go_on() -> None:
        if what == "battery":
            LOOPS[loop](tmp_path, again, make, resume=2)
        else:  # whose weights would not fit into the checkpoint's
            getattr(again, "_monitor", again).begin(make(), 2)

    with pytest.raises(ValueError, match=f"with {what} {there}, and this run has {what} {here};"):
        go_on()
    assert before.identical(open_logbook(first.logbook_path).load())
    LOOPS[loop](tmp_path, monitor(loop, tmp_path, "every 2"), with_dropout, resume=2, steps=3)  # the lock is free


def test_a_checkpoint_of_step_0_goes_on_in_its_logbook_without_observing_again(tmp_path: Path) -> None:
    first = monitor("plain", tmp_path).begin(with_dropout(), max_steps=STEPS)
    state = first.state_dict()
    first.close()
    again = monitor("plain", tmp_path)
    again.load_state_dict(json.loads(json.dumps(state)))  # as whatever a loop keeps it in
    time = open_logbook(first.logbook_path)["time"].values.tolist()
    by_resumed = again.begin(with_dropout(), max_steps=STEPS)
    by_resumed.close()
    assert by_resumed.logbook_path == first.logbook_path
    assert open_logbook(first.logbook_path)["time"].values.tolist() == time


def test_a_monitor_whose_run_ended_in_an_error_serves_the_next_run_from_its_start(tmp_path: Path) -> None:
    """It had remembered to have seen step 0, of the run before, and had that run's logbook still open."""
    watching = monitor("plain", tmp_path)
    with pytest.raises(Gone):
        by_hand(tmp_path, watching, with_dropout, gone=0)
    by_hand(tmp_path, watching, with_dropout, steps=1)
    assert watching.logbook_path == tmp_path / "observations-2.h5"
    assert open_logbook(watching.logbook_path)["step"].values.tolist() == [0, 1]
    Logbook(tmp_path / "observations.h5").close()  # the lock is free


class Broken(Instrument):
    name = "broken"

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        raise ZeroDivisionError


def test_where_the_first_observation_fails_the_logbook_is_let_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        monitor("plain", tmp_path, instruments=[Broken()]).begin(with_dropout())
    Logbook(tmp_path / "observations.h5").close()


# The Trainer of transformers


class Stopping(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        control.should_training_stop = state.global_step == 3


@needs_accelerate
def test_the_trainer_that_puts_back_its_best_weights_at_the_end_is_observed_before(tmp_path: Path) -> None:
    """Its last event comes afterwards, and says the last step's number of another step's weights."""
    watching = monitor("trainer", tmp_path, "at 0")
    settings = {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True, "greater_is_better": True}
    watched = by_trainer(
        tmp_path, watching, with_dropout, callbacks=(Stopping(),), metric_for_best_model="eval_loss", **settings
    )
    assert not all(torch.equal(watched.weights[-1][name], v) for name, v in watched.model.state_dict().items())
    logbook = open_logbook(watching.logbook_path)
    assert logbook["step"].values.tolist() == [0, 3]
    wanted = of_checkpoints(watched, tmp_path / "checkpoints.h5").sel(step=3)
    np.testing.assert_array_equal(logbook["competence_margin"].sel(step=3), wanted["competence_margin"])


@needs_accelerate
def test_a_trainer_that_restores_its_callbacks_leaves_the_monitor_as_it_was_made(tmp_path: Path) -> None:
    """It makes callbacks anew whose state goes by their class's name, and would have none but the tokenizer's."""
    with pytest.raises(Gone):
        by_trainer(tmp_path, first := monitor("trainer", tmp_path), with_dropout, gone=2)
    first.close()
    state = json.loads((tmp_path / "checkpoint-2" / "trainer_state.json").read_text())
    assert state["stateful_callbacks"][f"observatory: {tmp_path / 'observations.h5'}"]["acted"] == 2
    again = monitor("trainer", tmp_path)
    by_trainer(tmp_path, again, with_dropout, resume=2, restore_callback_states_from_checkpoint=True)
    assert open_logbook(again.logbook_path)["step"].values.tolist() == list(range(STEPS + 1))


@needs_accelerate
def test_the_trainer_that_is_interrupted_goes_on_with_the_same_monitor(tmp_path: Path) -> None:
    watching = monitor("trainer", tmp_path)
    with pytest.raises(Gone):
        by_trainer(tmp_path, watching, with_dropout, gone=2)
    by_trainer(tmp_path, watching, with_dropout, resume=2)
    assert watching.logbook_path == tmp_path / "observations.h5"
    assert open_logbook(watching.logbook_path)["step"].values.tolist() == list(range(STEPS + 1))


@needs_accelerate
def test_the_loss_stands_where_the_trainer_logs_it(tmp_path: Path) -> None:
    watching, every = monitor("trainer", tmp_path), monitor("trainer", tmp_path / "every")
    by_trainer(tmp_path, watching, with_dropout, logging_steps=2)
    by_trainer(tmp_path / "every", every, with_dropout)
    found, single = (open_logbook(one.logbook_path)["train_loss"].values for one in (watching, every))
    assert np.isnan(found).tolist() == [True, True, False, True, False]
    np.testing.assert_allclose(found[[2, 4]], [single[1:3].mean(), single[3:5].mean()], rtol=1e-6)


@needs_accelerate
def test_the_trainer_that_counts_no_tokens_is_told_how_it_would(tmp_path: Path) -> None:
    watching = monitor("trainer", tmp_path, "at 0")
    with pytest.warns(UserWarning, match="include_num_input_tokens_seen='all'"):
        by_trainer(tmp_path, watching, with_dropout, steps=1, include_num_input_tokens_seen="no")
    assert open_logbook(watching.logbook_path)["tokens"].values.tolist() == [0, 0]


@needs_accelerate
def test_accumulating_and_clipping_by_the_trainer_stay_as_they_are(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"gradient_accumulation_steps": 2, "max_grad_norm": 0.1, "logging_strategy": "no"}
    watching = monitor("trainer", tmp_path, instruments=INSTRUMENTS)
    watched = by_trainer(tmp_path, watching, with_dropout, **settings)
    assert_same_run(watched, by_trainer(tmp_path / "alone", None, with_dropout, **settings))
    logbook = open_logbook(watching.logbook_path)
    assert logbook["tokens"].values.tolist() == [2 * SIZE * 8 * step for step in range(STEPS + 1)]
    assert_same(logbook, of_checkpoints(watched, tmp_path / "c.h5"), "train_loss", "tokens")


class Silent(Trainer):
    def log(self, *_: Any, **__: Any) -> None:
        """To nobody."""


@needs_accelerate
def test_a_trainer_that_tells_its_callbacks_nothing_is_observed_all_the_same(tmp_path: Path) -> None:
    watching = monitor("trainer", tmp_path, "at 1")
    settings = arguments(tmp_path, STEPS, save_strategy="no")
    Silent(with_dropout(), settings, train_dataset=Labelled(), callbacks=[watching, Stopping()]).train()
    assert open_logbook(watching.logbook_path)["step"].values.tolist() == [0, 1, 3]


@needs_accelerate
def test_the_tokenizer_may_be_the_trainers(tmp_path: Path) -> None:
    watching = monitor("trainer", tmp_path, "at 0")
    watching.tokenizer = None
    tokenizer = word_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    run = Trainer(
        with_dropout(),
        arguments(tmp_path, 1),
        train_dataset=Labelled(),
        processing_class=tokenizer,
        callbacks=[watching],
    )
    run.train()
    assert open_logbook(watching.logbook_path)["step"].values.tolist() == [0, 1]
