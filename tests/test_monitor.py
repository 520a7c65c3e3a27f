"""The monitor in a live run: when it observes, what it leaves alone, how it resumes and fails."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from loop import (
    TOKENS_PER_BATCH,
    Language,
    TwoOptimizers,
    fit,
    loader,
    same,
    small_battery,
    trainer,
    weights,
    word_tokenizer,
)

from observatory import Instrument, Observatory, Variable, open_logbook
from observatory.callbacks import SpecializationMonitor
from observatory.callbacks.stepping import count_tokens
from observatory.measure.instruments import ContrastLocalizer
from observatory.measure.scene import Scene

# Lightning says so of every run that is resumed, and of the submodule that is frozen on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
]


class Drawing(Instrument):
    """Uses every random generator there is, as a bootstrap would."""

    name = "drawing"

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        draws = random.random(), np.random.random(), float(torch.rand(())), float(torch.randn(3).sum())
        scene.model.train()
        return {"drawn": Variable(("generator",), np.array(draws))}


class Failing(Instrument):
    """Fails at chosen calls."""

    name = "failing"

    def __init__(self, calls: set[int]) -> None:
        self.calls, self.count = calls, -1

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        self.count += 1
        if self.count in self.calls:
            raise RuntimeError(f"out of luck at call {self.count}")
        return {"value": Variable((), np.array(float(self.count)))}


def monitor(folder: Path, schedule: str = "every 2", **settings: Any) -> SpecializationMonitor:
    defaults: dict[str, Any] = {"battery": small_battery(), "recorders": (), "twins": 2}
    return SpecializationMonitor(word_tokenizer(), folder / "observations.h5", schedule, **{**defaults, **settings})


def steps(path: Path) -> list[int]:
    found: list[int] = open_logbook(path)["step"].values.tolist()
    return found


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"accumulate_grad_batches": 3},
    "clipping": {"gradient_clip_val": 0.5},
    "validation": {"num_sanity_val_steps": 1, "limit_val_batches": 1, "val_check_interval": 2},
}


@pytest.mark.parametrize("way", WAYS)
def test_watching_changes_no_bit_of_the_weights(tmp_path: Path, way: str) -> None:
    watching = monitor(tmp_path, "every 1", instruments=[ContrastLocalizer(share=0.1), Drawing()])
    watched, _ = fit(tmp_path, [watching], **WAYS[way])
    alone, _ = fit(tmp_path, [], **WAYS[way])
    untrained = Language()
    assert same(weights(watched), weights(alone))
    assert not same(weights(watched), weights(untrained))
    assert steps(watching.logbook_path) == list(range(7))


def test_watching_changes_no_bit_with_two_optimizers(tmp_path: Path) -> None:
    watching = monitor(tmp_path, "every 3", instruments=[ContrastLocalizer(share=0.1), Drawing()])
    watched, run = fit(tmp_path, [watching], steps=8, module=TwoOptimizers())
    alone, _ = fit(tmp_path, [], steps=8, module=TwoOptimizers())
    assert same(weights(watched), weights(alone))
    # The counter jumps by two, so what was due at 3 is seen at 4; 6 is seen at 6, and 8 is the last.
    assert run.global_step == 8
    assert steps(watching.logbook_path) == [0, 4, 6, 8]


def test_it_observes_step_0_the_scheduled_steps_and_the_last(tmp_path: Path) -> None:
    watching = monitor(tmp_path, "every 3")
    fit(tmp_path, [watching], steps=7)
    assert steps(watching.logbook_path) == [0, 3, 6, 7]


def test_under_accumulation_a_step_is_observed_once_with_all_its_tokens(tmp_path: Path) -> None:
    watching = monitor(tmp_path, "every 1")
    fit(tmp_path, [watching], steps=4, accumulate_grad_batches=3)
    logbook = open_logbook(watching.logbook_path)
    assert logbook["step"].values.tolist() == [0, 1, 2, 3, 4]
    assert logbook["tokens"].values.tolist() == [3 * TOKENS_PER_BATCH * step for step in range(5)]


def test_the_training_loss_beside_it_is_the_one_of_the_loop(tmp_path: Path) -> None:
    seen: list[float] = []

    class Listening(Language):
        def training_step(self, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
            loss = super().training_step(batch, index)
            seen.append(float(loss.detach()))
            return loss

    watching = monitor(tmp_path, "every 1")
    fit(tmp_path, [watching], steps=3, accumulate_grad_batches=2, module=Listening())
    recorded = open_logbook(watching.logbook_path)["train_loss"].values
    assert np.isnan(recorded[0])
    np.testing.assert_allclose(recorded[1:], seen[1::2], rtol=1e-6)


def test_what_is_recorded_is_the_model_after_that_step(tmp_path: Path) -> None:
    watching = monitor(tmp_path, "every 2")
    module, _ = fit(tmp_path, [watching], steps=4)
    again = Observatory(word_tokenizer(), battery=small_battery()).observe(module, 4)
    recorded = open_logbook(watching.logbook_path).isel(step=-1)
    for name in ("contrast_index", "contrast_effect", "contrast_score_mlp"):
        np.testing.assert_array_equal(recorded[name].values, again[name])


@pytest.mark.parametrize("last", [3, 4, 5])
def test_a_run_resumed_from_a_checkpoint_gives_the_logbook_of_an_uninterrupted_one(tmp_path: Path, last: int) -> None:
    """Stopped at `last`, resumed from the checkpoint of step 3: at the same step or at an earlier one."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    uninterrupted = monitor(whole, "every 1")
    whole.mkdir()
    parts.mkdir()
    fit(whole, [uninterrupted], steps=6)

    saving = ModelCheckpoint(parts, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    fit(parts, [monitor(parts, "every 1"), saving], steps=last, enable_checkpointing=True)
    resumed = monitor(parts, "every 1")
    fit(parts, [resumed, saving], steps=6, resume=parts / "step=3.ckpt", enable_checkpointing=True)

    one, other = open_logbook(uninterrupted.logbook_path), open_logbook(resumed.logbook_path)
    assert resumed.logbook_path == parts / "observations.h5"
    assert other["step"].values.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert other["tokens"].values.tolist() == one["tokens"].values.tolist()
    # The loader starts anew, so from step 4 on the weights are others; up to there all is the same.
    for name in one.data_vars:
        if "step" in one[name].dims:
            np.testing.assert_array_equal(one[name].isel(step=slice(0, 4)), other[name].isel(step=slice(0, 4)))


def test_fitting_on_with_the_same_trainer_continues_the_logbook(tmp_path: Path) -> None:
    watching = monitor(tmp_path, "every 2")
    module, run = fit(tmp_path, [watching], steps=4)
    run.fit_loop.epoch_loop.max_steps = 8
    run.fit(module, loader(), loader(1))
    assert steps(watching.logbook_path) == [0, 2, 4, 6, 8]


def test_a_new_run_never_writes_into_an_older_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watching = monitor(tmp_path, "every 2")
    fit(tmp_path, [watching], steps=4)
    fit(tmp_path, [watching], steps=2)
    assert watching.logbook_path == tmp_path / "observations-2.h5"
    assert "holds another run; this one goes to" in capsys.readouterr().out
    assert steps(tmp_path / "observations.h5") == [0, 2, 4]
    assert steps(tmp_path / "observations-2.h5") == [0, 2]


def test_the_logbook_knows_the_seed_and_the_plan(tmp_path: Path) -> None:
    fit(tmp_path, [monitor(tmp_path, "every 2")], steps=2)
    attributes = open_logbook(tmp_path / "observations.h5").attrs
    assert (attributes["seed"], attributes["schedule"], attributes["max_steps"]) == (1, "every 2", 2)


def test_a_failure_at_the_first_observation_stops_the_run_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of luck at call 0"):
        fit(tmp_path, [monitor(tmp_path, instruments=[Failing({0})])])


def test_a_later_failure_is_a_gap_and_training_goes_on(tmp_path: Path) -> None:
    watching = monitor(tmp_path, "every 2", instruments=[Failing({1})])
    with pytest.warns(UserWarning, match="no observation at step 2: RuntimeError: out of luck at call 1"):
        watched, _ = fit(tmp_path, [watching])
    alone, _ = fit(tmp_path, [])
    assert same(weights(watched), weights(alone))
    logbook = open_logbook(watching.logbook_path)
    assert logbook["step"].values.tolist() == [0, 4, 6]
    assert logbook["gap_step"].values.tolist() == [2]
    assert "out of luck at call 1" in str(logbook["gap_reason"].values[0])


def test_an_exception_in_training_leaves_a_complete_logbook(tmp_path: Path) -> None:
    class Broken(Language):
        def training_step(self, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
            if self.global_step == 3:
                raise RuntimeError("the node is gone")
            return super().training_step(batch, index)

    watching = monitor(tmp_path, "every 1")
    with pytest.raises(RuntimeError, match="the node is gone"):
        fit(tmp_path, [watching], module=Broken())
    assert steps(watching.logbook_path) == [0, 1, 2, 3]
    fit(tmp_path, [monitor(tmp_path, "every 3")], steps=3)  # the lock is free again


def test_resuming_with_another_battery_is_refused(tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    fit(tmp_path, [monitor(tmp_path), saving], steps=2, enable_checkpointing=True)
    other = monitor(tmp_path, battery=small_battery(name="another"))
    with pytest.raises(ValueError, match="battery"):
        fit(tmp_path, [other, saving], steps=4, resume=tmp_path / "step=2.ckpt", enable_checkpointing=True)


def test_an_output_that_cannot_be_written_stops_the_run_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((OSError, ValueError), match="file"):
        fit(tmp_path, [monitor(tmp_path / "file")])


def test_a_data_module_may_bring_the_tokenizer(tmp_path: Path) -> None:
    class Data(L.LightningDataModule):
        tokenizer = word_tokenizer()

        def train_dataloader(self) -> Any:
            return loader()

        def val_dataloader(self) -> Any:
            return loader(1)

    watching = SpecializationMonitor(None, tmp_path / "o.h5", "every 2", battery=small_battery(), recorders=())
    trainer(tmp_path, 2, callbacks=[watching]).fit(Language(), Data())
    assert steps(watching.logbook_path) == [0, 2]


def test_without_a_tokenizer_anywhere_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs the model's tokenizer.*SpecializationMonitor\(tokenizer=...\)"):
        fit(tmp_path, [SpecializationMonitor(None, tmp_path / "o.h5", battery=small_battery())])


def test_one_rank_under_ddp_gives_the_same_observations(tmp_path: Path) -> None:
    plain = monitor(tmp_path)
    fit(tmp_path, [plain], steps=2)
    distributed = monitor(tmp_path / "ddp")
    (tmp_path / "ddp").mkdir()
    fit(tmp_path, [distributed], steps=2, strategy="ddp", devices=1)
    one, other = open_logbook(plain.logbook_path), open_logbook(distributed.logbook_path)
    np.testing.assert_array_equal(one["contrast_effect"].isel(step=0), other["contrast_effect"].isel(step=0))
    assert other["step"].values.tolist() == [0, 2]


BATCHES: list[tuple[Any, int]] = [
    (torch.zeros(2, 5, dtype=torch.long), 10),
    ({"input_ids": torch.zeros(3, 4, dtype=torch.int32), "labels": torch.zeros(9, 9, dtype=torch.long)}, 12),
    ((torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 7, dtype=torch.long)), 6),
    ([{"x": torch.zeros(2, 2)}, {"y": torch.ones(2, 2, dtype=torch.long)}], 4),
    ({"text": ["a", "b"]}, 0),
    (None, 0),
]


@pytest.mark.parametrize(("batch", "tokens"), BATCHES)
def test_tokens_are_counted_in_batches_of_many_kinds(batch: Any, tokens: int) -> None:
    assert count_tokens(batch) == tokens
