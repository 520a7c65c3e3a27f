"""Weights & Biases, in real offline runs that are read back record by record."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import wandb
from lightning.pytorch.loggers import WandbLogger
from loop import Language, fit, word_tokenizer
from PIL import Image
from saved import BATTERY as SAVED_BATTERY
from told import CURVES, STEPS, live, losses, observations, run
from torch import Tensor
from wandb_case import EVERY, QUIET, Bias, keep_offline, monitor, only
from wandb_case import offline as offline
from wandb_file import OfflineRun, messages, offline_runs

from observatory import (
    Logbook,
    Observation,
    Recorder,
    WandbRecorder,
    emergence,
    open_logbook,
)
from observatory.callbacks import PythiaCheckpoints
from observatory.cli import main
from observatory.publish.judgement import judge
from observatory.review.figures.plot import FIGURES
from observatory.stimuli.battery_file import domain_text

pytestmark = QUIET


def test_the_reader_knows_a_damaged_record_and_puts_long_ones_together(tmp_path: Path) -> None:
    with wandb.init() as one:
        one.log({"long": "x" * 100_000})  # over four blocks
    (found,) = offline_runs(tmp_path)
    assert [entry["long"] for entry in found.rows] == ["x" * 100_000]
    (path,) = found.folder.glob("*.wandb")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        list(messages(path))


class Logging(Language):
    """Logs at every step, as modules do."""

    def training_step(self, batch: dict[str, Tensor], number: int) -> Tensor:
        loss = super().training_step(batch, number)
        self.log("loss", loss)
        self.log("steps_before", float(self.global_step))
        return loss


class Hearing(Recorder):
    """Remembers what stands beside it."""

    def begin(self, recorders: Sequence[Recorder], loggers: Sequence[object] = ()) -> None:
        self.recorders, self.loggers = recorders, list(loggers)

    def record(self, observation: Observation) -> None:
        pass


def test_beside_lightnings_logger_no_row_is_lost_and_each_has_an_axis_of_its_own(tmp_path: Path) -> None:
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    hearing = Hearing()
    watching = monitor(tmp_path, instruments=["contrast"], recorders=[WandbRecorder(), hearing])
    fit(tmp_path, [watching], module=Logging(), logger=logger, log_every_n_steps=1)
    found = only(tmp_path)
    trainers = [entry for entry in found.rows if "loss" in entry]
    assert [entry["steps_before"] for entry in trainers] == [0, 1, 2, 3, 4, 5]
    assert not [key for entry in trainers for key in entry if key.startswith("observatory/")]
    assert found.steps() == EVERY
    assert [entry["_step"] for entry in found.rows] == list(range(len(found.rows)))
    # Lightning's row of a step has its number less one; so has ours.
    ours = {entry["trainer/global_step"]: entry["observatory/step"] for entry in found.observed()}
    assert all(entry["trainer/global_step"] == entry["steps_before"] for entry in trainers)
    assert all(step == origin + 1 for origin, step in ours.items())
    assert [entry["observatory/tokens"] for entry in found.observed()][:7] == [32 * step for step in EVERY]
    assert found.metrics["observatory/*"] == "observatory/tokens"
    assert {"observatory/tokens", "observatory/step"} <= set(found.metrics)
    logbook = open_logbook(tmp_path / "observations.h5")
    index = logbook["contrast_index"].sel(space="mlp", pooling="mean", domain="alpha").values
    assert [entry["observatory/alpha/index"] for entry in found.observed() if "observatory/seconds" in entry] == list(
        index
    )
    # Any recorder is told of the logbook and of the trainer's loggers.
    assert [one.path for one in hearing.recorders if isinstance(one, Logbook)] == [tmp_path / "observations.h5"]
    assert hearing.loggers == [logger]


class OwnSteps(L.Callback):
    """Logs with W&B's own step, in `every` steps, before and after the monitor acts."""

    def __init__(self, every: int, to: str) -> None:
        self.every, self.to = every, to

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step % self.every == 0 and wandb.run is not None:
            wandb.log({self.to: trainer.global_step}, step=trainer.global_step // self.every)


@pytest.mark.parametrize("every", [1, 3])
def test_in_a_bare_run_that_is_logged_to_by_step_nothing_is_dropped(every: int, tmp_path: Path) -> None:
    """Its steps may be slower than ours, epochs for one; a row that we closed would refuse what comes later."""
    with wandb.init() as bare:
        watching = monitor(tmp_path, instruments=["contrast"] if every == 1 else [Bias()])  # with figures at the end
        fit(tmp_path, [OwnSteps(every, "before"), watching, OwnSteps(every, "after")])
        if every == 1:  # else more was to be shown than there were rows, and the last row is closed at the end
            bare.log({"tested": 0.5}, step=EVERY[-1])
    found = only(tmp_path)
    due = [step for step in EVERY[1:] if step % every == 0]
    assert [entry["before"] for entry in found.rows if "before" in entry] == due
    assert [entry["after"] for entry in found.rows if "after" in entry] == due
    assert found.steps() == EVERY
    assert [entry["tested"] for entry in found.rows if "tested" in entry] == [0.5] * (every == 1)
    own = {entry["_step"]: entry["after"] for entry in found.rows if "after" in entry}
    assert own == {step // every: step for step in due}


def test_a_bare_run_is_shown_observations_while_it_goes_on(tmp_path: Path) -> None:
    """One a row of the trainer's: of 8 observations among as many rows, all but the last are there before the end."""
    with wandb.init() as bare:
        recorder = WandbRecorder()
        with Logbook(tmp_path / "o.h5") as book:
            recorder.begin((book, recorder))
            for observation in observations(losses()):
                bare.log({"loss": 1.0})
                book.record(observation)
                recorder.record(observation)
    (found,) = offline_runs(tmp_path)
    assert found.steps() == STEPS
    assert len([entry for entry in found.rows if "loss" in entry]) == len(STEPS)


@pytest.fixture(scope="module")
def planted_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OfflineRun]:
    """The logbook of a whole planted run, and the W&B run of its own in which it was shown."""
    folder = tmp_path_factory.mktemp("planted")
    with pytest.MonkeyPatch.context() as variables:
        keep_offline(variables, folder)
        live(folder / "o.h5", run(), WandbRecorder("regions"))
        assert wandb.run is None  # it ends what it began
        wandb.teardown()
    return folder / "o.h5", only(folder)


def test_a_run_of_its_own_has_all_that_is_told(planted_run: tuple[Path, OfflineRun]) -> None:
    path, told = planted_run
    logbook = open_logbook(path)
    judged = emergence(logbook)
    assert told.steps() == STEPS
    # what an instrument says of itself, and the loss; not the error of it
    rows = [entry for entry in told.observed() if "observatory/seconds" in entry]
    assert [entry["observatory/probe_score"] for entry in rows] == logbook["probe_score"].values.tolist()
    losses_shown = [entry["observatory/train_loss"] for entry in rows if "observatory/train_loss" in entry]
    assert losses_shown == logbook["train_loss"].dropna("step").values.tolist() != []
    assert not any("observatory/probe_error" in entry for entry in rows)
    # the summary, by which runs sort
    onsets = {name: told.summary[f"observatory/{name}/onset_tokens"] for name in CURVES}
    assert 10 * 2048 < onsets["early"] <= 20 * 2048 < 80 * 2048 < onsets["late"] <= 160 * 2048
    assert onsets["never"] is None
    assert told.summary["observatory/early/onset_step"] == judged.onsets["early"].crossing
    assert told.summary["observatory/late/verdict"] == "general"
    assert told.summary["observatory/never/verdict"] == "not emerged"
    # the table
    (table,) = [entry for entry in told.rows if "observatory/regions._type" in entry]
    cells = json.loads((told.folder / "files" / table["observatory/regions.path"]).read_text())
    rows = {line[0]: dict(zip(cells["columns"], line, strict=True)) for line in cells["data"]}
    assert set(rows) == set(CURVES)
    by_name = {one.domain: one for one in judged.verdicts}
    assert (rows["late"]["emerged_after"], rows["late"]["emerged_by"]) == (80, 160)
    assert [rows["late"][name] for name in ("E", "E_low", "E_high")] == [
        by_name["late"].index,
        *by_name["late"].interval,
    ]
    assert "not shown to have emerged" in rows["never"]["in_words"]
    # news
    assert [title for title, _ in told.alerts] == ["early emerged", "late emerged"]
    assert "between steps 80 and 160" in dict(told.alerts)["late emerged"]
    # one image a figure
    drawn = {
        key.removesuffix("._type").removeprefix("observatory/figures/"): entry[key.replace("_type", "path")]
        for entry in told.rows
        for key in entry
        if key.startswith("observatory/figures/") and key.endswith("._type")
    }
    assert set(drawn) == {name for name, drawing in FIGURES.items() if not drawing.lacking(logbook)} != set()
    for path in drawn.values():
        with Image.open(told.folder / "files" / path) as image:
            assert image.format == "PNG"
            assert min(image.size) > 300
    # the report
    (page,) = [entry["observatory/report.path"] for entry in told.rows if "observatory/report.path" in entry]
    assert "early" in (told.folder / "files" / page).read_text()
    assert told.config["observatory"]["provenance_battery"] == logbook.attrs["provenance_battery"]


def test_the_logbook_is_stored_at_intervals_and_at_the_end(planted_run: tuple[Path, OfflineRun]) -> None:
    path, told = planted_run
    kept = [one for one in told.artifacts if one.type == "logbook"]
    assert {one.name for one in kept} == {f"observations-{told.id}"}
    assert len(kept) == 4  # after 2, 4 and 8 observations, and at the end
    (content,) = kept[-1].manifest.contents
    digest = base64.b64encode(hashlib.md5(path.read_bytes()).digest()).decode()
    assert (content.path, content.digest) == ("o.h5", digest)


def test_steps_are_the_axis_where_tokens_are_not_known(tmp_path: Path) -> None:
    live(tmp_path / "o.h5", losses(tokens=0), WandbRecorder("p"))
    assert only(tmp_path).metrics["observatory/*"] == "observatory/step"
    judged = judge(run(tokens=0))
    assert judged is not None
    assert judged.summary["observatory/early/onset_tokens"] is None
    onset = judged.summary["observatory/early/onset_step"]
    assert isinstance(onset, float)
    assert 10 < onset <= 20


def without_clock(found: OfflineRun) -> list[dict[str, Any]]:
    numbers = [
        {k: v for k, v in entry.items() if k.startswith("observatory/") and "." not in k} for entry in found.observed()
    ]
    return [entry for entry in numbers if "observatory/seconds" in entry]


def test_a_logbook_that_is_sent_afterwards_gives_the_same_rows(
    planted_run: tuple[Path, OfflineRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, first = planted_run
    main(["sync", str(path), "--project", "later"])
    sent = only(tmp_path)
    assert without_clock(sent) == without_clock(first)
    assert str(sent.folder) in capsys.readouterr().out
    ours = {key: value for key, value in first.summary.items() if "/onset_" in key or "/verdict" in key}
    assert ours.items() <= sent.summary.items()
    assert ours
    assert sent.alerts == []  # it is no news
    assert [one.type for one in sent.artifacts].count("logbook") == 1


def test_a_replay_is_shown_in_a_run_of_its_own(tmp_path: Path) -> None:
    saving = PythiaCheckpoints(tmp_path / "checkpoints", "every 2", tokenizer=word_tokenizer())
    fit(tmp_path, [saving], steps=4)
    (tmp_path / "battery").mkdir()
    for domain in SAVED_BATTERY.domains:
        (tmp_path / "battery" / f"{domain.name}.json").write_text(domain_text(domain))
    where = ["--battery", str(tmp_path / "battery"), "--out", str(tmp_path / "o.h5")]
    words = [*where, "--twins", "2", "--wandb", "replays"]
    main(["replay", str(tmp_path / "checkpoints"), *words, "--steps", "at 0 2"])
    main(["replay", str(tmp_path / "checkpoints"), *words])
    main(["replay", str(tmp_path / "checkpoints"), *words])  # nothing is measured, and all is shown
    runs = offline_runs(tmp_path)
    assert [one.steps() for one in runs] == [[0, 2], [0, 2, 4], [0, 2, 4]]
