"""When W&B is told what, and how a run is gone on with."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import wandb
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from loop import fit
from recorded import recorded
from told import STEPS, live, losses, observations, run
from wandb_case import EVERY, QUIET, Noting, monitor, only
from wandb_case import offline as offline
from wandb_file import OfflineRun, offline_runs

from observatory import (
    Logbook,
    WandbRecorder,
    open_logbook,
)
from observatory.publish.allowance import Allowance
from observatory.publish.scalars import observed, row
from observatory.publish.session import Session

pytestmark = QUIET


def test_what_costs_takes_no_more_than_its_share_of_the_time() -> None:
    now, spent = [0.0], 0.0
    allowance = Allowance(0.02, guess=1.0, clock=lambda: now[0])
    shares = []
    for _ in range(5000):
        now[0] += 1.0
        if allowance.due():
            with allowance.spending():
                now[0] += 3.0
                spent += 3.0
            shares.append(spent / now[0])
    assert len(shares) > 20
    assert shares[0] < 0.06  # the guess was too low by a factor of three
    assert max(shares[1:]) <= 0.02
    assert spent > 0.015 * now[0]


def test_verdicts_and_figures_are_shown_while_the_run_goes_on(tmp_path: Path) -> None:
    now, noting = [0.0], Noting()
    with Logbook(tmp_path / "o.h5") as book:
        session = Session(noting, book.path, clock=lambda: now[0])
        for observation in observations(run()):
            now[0] += 45.0  # at which verdicts are due from the second on, and figures at the eighth
            book.record(observation)
            session.tell(row(observed(observation)))
    assert [told.judged is not None for told in noting.told] == [False, *[True] * 7]
    assert [bool(told.figures) for told in noting.told] == [False] * 7 + [True]
    assert noting.alerts == ["early emerged", "late emerged"]


def test_a_record_does_not_wait(tmp_path: Path) -> None:
    recorder, took = WandbRecorder("p"), []
    with Logbook(tmp_path / "o.h5") as book:
        recorder.begin((book, recorder))
        for observation in observations(losses()):
            book.record(observation)
            start = time.perf_counter()
            recorder.record(observation)
            took.append(time.perf_counter() - start)
        recorder.close()
    assert sorted(took[1:])[3] < 1.0  # on a busy machine, too; the first begins the run


def resumed(folder: Path, first: WandbLogger, second: WandbLogger) -> list[OfflineRun]:
    saving = ModelCheckpoint(folder / "checkpoints", every_n_train_steps=4, save_top_k=-1)
    fit(folder, [monitor(folder), saving], steps=4, logger=first, enable_checkpointing=True)
    wandb.finish()
    (checkpoint,) = (folder / "checkpoints").glob("*.ckpt")
    fit(folder, [monitor(folder), saving], steps=6, resume=checkpoint, logger=second, enable_checkpointing=True)
    wandb.finish()
    return offline_runs(folder)


def test_a_resumed_run_is_shown_every_observation_once(tmp_path: Path) -> None:
    one, two = resumed(
        tmp_path, *(WandbLogger(save_dir=tmp_path, id="same", offline=True, project="p") for _ in range(2))
    )
    assert one.id == two.id == "same"
    assert [*one.steps(), *two.steps()] == EVERY
    assert two.observed()[-1]["observatory/tokens"] == 6 * 32


def test_a_new_run_is_given_what_the_logbook_holds_already(tmp_path: Path) -> None:
    one, two = resumed(tmp_path, *(WandbLogger(save_dir=tmp_path, id=name, offline=True) for name in ("one", "two")))
    assert one.steps() == EVERY[:5]
    assert two.steps() == EVERY
    assert open_logbook(tmp_path / "observations.h5").attrs["wandb_runs"] == "one two"


def test_where_training_went_back_a_run_keeps_its_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with wandb.init():
        live(tmp_path / "o.h5", losses(), WandbRecorder(), steps=STEPS[:6])
        with Logbook(tmp_path / "o.h5") as book:
            book.rewind(40)
        assert "went back" not in caplog.text
        live(tmp_path / "o.h5", losses(), WandbRecorder(), steps=STEPS[4:])
    assert only(tmp_path).steps() == STEPS
    assert "training went back; steps up to 160 are in this run already" in caplog.text
    assert open_logbook(tmp_path / "o.h5")["step"].values.tolist() == STEPS


def test_what_had_emerged_before_is_no_news(tmp_path: Path) -> None:
    now, noting = [0.0], Noting()
    path = recorded(tmp_path / "o.h5", run())
    session = Session(noting, path, clock=lambda: now[0])
    session.catch_up(but=STEPS[-1])
    now[0] += 60.0
    session.tell(row(open_logbook(path).isel(step=[-1])))
    assert noting.told[-1].judged is not None
    assert set(noting.told[-1].judged.emerged) == {"early", "late"}
    assert noting.alerts == []


def test_another_logbook_in_the_same_run_is_shown_from_its_beginning(tmp_path: Path) -> None:
    with wandb.init():
        live(tmp_path / "one.h5", losses(), WandbRecorder())
        live(tmp_path / "two.h5", losses(), WandbRecorder())
    assert only(tmp_path).steps() == STEPS * 2
