"""Weights & Biases, in real offline runs that are read back record by record."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import wandb
import xarray as xr
from circuits_planted import planted_circuits
from lesion_cases import planted_lesions
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from loop import Language, fit, same, small_battery, weights, word_tokenizer
from models import tiny
from PIL import Image
from recorded import recorded
from saved import BATTERY as SAVED_BATTERY
from scipy import stats
from test_live_circuits import battery_with_tasks
from told import CURVES, STEPS, live, losses, observations, run
from torch import Tensor
from verdicts import planted, step_up
from wandb_file import OfflineRun, messages, offline_runs

from observatory import (
    Instrument,
    Logbook,
    Observatory,
    Recorder,
    TensorBoardRecorder,
    Variable,
    WandbRecorder,
    emergence,
    open_logbook,
)
from observatory.callbacks import PythiaCheckpoints, SpecializationMonitor
from observatory.cli import main
from observatory.measure.scene import Scene
from observatory.publish.allowance import Allowance
from observatory.publish.destination import Destination, Told
from observatory.publish.judgement import judge
from observatory.publish.scalars import BY_DOMAIN, MOST, Row, domain_names, left_out, observed, row
from observatory.publish.session import Session
from observatory.review.effects.competence import competence
from observatory.review.effects.lesion_effects import lesion_effects
from observatory.review.figures.plot import FIGURES
from observatory.review.sharing.circuits import circuits
from observatory.stimuli.battery_file import domain_text

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning"),
    pytest.mark.filterwarnings("ignore:There is a wandb run already in progress:UserWarning"),
]
EVERY = list(range(7))


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing leaves this folder, and no run outlives its test."""
    keep_offline(monkeypatch, tmp_path)
    yield
    wandb.teardown()  # which keeps the variables that it found first


def keep_offline(variables: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        variables.setenv(name, str(folder))
    variables.setenv("WANDB_MODE", "offline")
    variables.setenv("WANDB_SILENT", "true")
    variables.delenv("WANDB_RUN_ID", raising=False)


def only(folder: Path) -> OfflineRun:
    if wandb.run is not None:
        wandb.finish()
    (one,) = offline_runs(folder)
    return one


class Bias(Instrument):
    """A number that training changes, and nothing to draw."""

    name = "bias"

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        return {"norm": Variable((), np.array(float(next(iter(scene.model.parameters())).norm())))}


def monitor(folder: Path, schedule: str = "every 1", **settings: Any) -> SpecializationMonitor:
    defaults: dict[str, Any] = {
        "battery": small_battery(),
        "instruments": [Bias()],
        "recorders": [WandbRecorder()],
        "twins": 2,
    }
    return SpecializationMonitor(word_tokenizer(), folder / "observations.h5", schedule, **{**defaults, **settings})


# The reader


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


# Beside the trainer's rows


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


# A run of its own


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


# What is told


def test_the_numbers_are_those_of_the_logbook(tmp_path: Path) -> None:
    logbook = run()
    told = row(observed(list(observations(logbook))[4])).scalars
    here = logbook.isel(step=4).sel(space="mlp", pooling="mean", domain="early")
    elsewhere = logbook["contrast_index"].isel(step=4).sel(space="mlp", domain="early", pooling="last")
    twins = here["contrast_index_twins"].values
    beyond = twins.mean() + stats.t.ppf(0.975, 7) * twins.std(ddof=1) * np.sqrt(1 + 1 / 8)
    expected = {
        "index": float(here["contrast_index"]),
        "specificity": float(here["contrast_specificity"]),
        "generality": float(here["contrast_generality"]),
        "chance": float(np.quantile(here["contrast_index_permuted"].values.astype(float), 0.95)),
        "untrained": beyond,
        "index_elsewhere": float(elsewhere),
    }
    assert {name: told[f"observatory/early/{name}"] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert told["observatory/train_loss"] == float(logbook["train_loss"][4])
    assert (told["observatory/step"], told["observatory/tokens"]) == (80, 80 * 2048)


def test_with_ten_domains_and_all_instruments_there_are_at_most_sixty(tmp_path: Path) -> None:
    two = battery_with_tasks().domains
    many = [
        replace(
            two[0],
            name=f"domain{number}",
            families=tuple(replace(family, domain=f"domain{number}") for family in two[0].families),
            tasks=tuple(replace(task, domain=f"domain{number}") for task in two[0].tasks),
        )
        for number in range(10)
    ]
    for domains in (2, 10):
        battery = replace(battery_with_tasks(), domains=tuple(many[:domains]))
        watched = Observatory(
            word_tokenizer(), battery=battery, twins=2, instruments=["contrast", "competence", "circuits", "lesions"]
        )
        seen = watched.observe(tiny("gpt_neox"), step=3, tokens=5)
        told = row(observed(seen)).scalars
        assert len(told) <= MOST
        with Logbook(tmp_path / f"{domains}.h5") as book:
            book.record(seen)
        logbook = open_logbook(tmp_path / f"{domains}.h5")
        assert row(logbook).scalars == told  # live or later: the same
        effects = lesion_effects(logbook).sel(measure="margin", against="matched").isel(step=0)
        by_hand = competence(logbook).isel(step=0)
        for number in range(domains):
            cost = float(effects["specificity"][number])
            assert told.get(f"observatory/domain{number}/lesion", np.nan) == pytest.approx(cost, nan_ok=True)
            assert told[f"observatory/domain{number}/margin"] == pytest.approx(float(by_hand["domain_margin"][number]))
        assert told["observatory/tasks_done"] == len(circuits(logbook).steps[0].done)
    assert left_out(2) == ""
    assert "10 domains: only index, chance, untrained, margin, lesion is shown of each" in left_out(10)


def test_the_overlap_index_is_that_of_the_verdict_on_circuits(tmp_path: Path) -> None:
    logbook = open_logbook(planted_circuits(tmp_path / "c.h5", [0, 100], domain=[0.0, 0.5], form=0.1, done={0: []}))
    before, after = (row(logbook.isel(step=[place])).scalars for place in (0, 1))
    report = circuits(logbook)
    found = report.sharing(report.steps[1])
    assert found is not None
    assert after["observatory/overlap_index"] == pytest.approx(found.effects["index"].value)
    assert after["observatory/overlap_ceiling"] == pytest.approx(report.steps[1].ceiling)
    assert after["observatory/tasks_done"] == 24
    assert before["observatory/tasks_done"] == 0
    assert "observatory/overlap_index" not in before


def test_what_a_lesion_costs_is_that_of_the_verdict_on_lesions(tmp_path: Path) -> None:
    lesions = planted_lesions(planted={("math", "math"): 0.5})
    names = xr.DataArray(lesions["lesioned"].values, dims="domain")
    lesions = lesions.assign_coords(domain=names).assign(seen=(("step", "domain"), np.ones((1, len(names)))))
    logbook = open_logbook(recorded(tmp_path / "l.h5", lesions))
    told = row(logbook).scalars
    effects = lesion_effects(logbook).sel(measure="margin", against="matched").isel(step=0)
    for domain in ("language", "math", "physical", "social"):
        assert told[f"observatory/{domain}/lesion"] == float(effects["specificity"].sel(lesioned=domain))
    assert told["observatory/math/lesion"] == pytest.approx(0.5, abs=0.1)
    assert abs(told["observatory/social/lesion"]) < 0.1


@pytest.mark.parametrize("domains", [1, 2, 3, 4, 5, 6, 7, 10, 20, 49, 50, 51, 99])
def test_what_is_told_of_a_domain_grows_less_with_their_number(domains: int) -> None:
    told = left_out(domains).partition("only ")[2].partition(" is shown")[0].split(", ") if left_out(domains) else []
    count = len([name for name in told if name]) if left_out(domains) else len(BY_DOMAIN)
    assert count * domains + 10 <= MOST
    assert (count == len(BY_DOMAIN)) == (domains < 4)
    assert domains > 10 or count >= 5


@pytest.mark.parametrize(("domains", "room"), [(0, 53), (2, 31), (4, 17), (10, 3)])
def test_of_many_numbers_the_loss_and_headlines_are_told_as_far_as_there_is_room(domains: int, room: int) -> None:
    """What of each domain is most useful comes first; and never more names than charts."""
    numbers: dict[str, Any] = {f"other_{n}": 1.0 for n in range(40)} | {"train_loss": 2.0}
    told = xr.Dataset({name: ("step", [value]) for name, value in numbers.items()})
    headlines = {f"z_{n:02d}": ("step", [3.0], {"headline": f"number {n}"}) for n in range(30)}
    names = [f"domain{n}" for n in range(domains)]
    book = told.assign(headlines).assign_coords(step=[1], tokens=("step", [2]), domain=names)
    shown = [name.removeprefix("observatory/") for name in row(book).scalars][2:]
    expected = ["train_loss", *headlines, *sorted(numbers)][:room]
    assert shown == expected

    unseen = left_out(domains, ["train_loss", *headlines])
    assert ("z_29" in unseen) == (room < 31)


def test_there_are_never_more_names_than_charts_whatever_comes_late() -> None:
    """An instrument with a schedule of its own brings names at steps at which others bring theirs."""
    noting = Noting()
    session = Session(noting, None)
    for step, first in enumerate((0, 30, 0, 60)):
        session.tell(Row(step, step, {f"observatory/n{n}": 1.0 for n in range(first, first + 50)}))
    shown = [set(told.row.scalars) for told in noting.told]
    assert len(set.union(*shown)) == MOST
    assert shown[0] == shown[2]
    assert len(shown[1]) == 30
    assert shown[3] == set()


def test_names_from_a_data_file_are_made_harmless(tmp_path: Path) -> None:
    evil = ["<img src=x onerror=alert(1)>", "a/../b", "a b", "a|b", "<!channel> x", "", "é" * 99]
    names = domain_names(evil)
    assert len(set(names.values())) == len(evil)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names.values())
    logbook = planted(STEPS, {"<b>|x</b>": step_up(STEPS, at=20), "<!channel>": step_up(STEPS, at=20)})
    live(tmp_path / "o.h5", logbook, WandbRecorder("p"))
    found = only(tmp_path)
    assert sorted(title for title, _ in found.alerts) == ["b_x_b emerged", "channel emerged"]
    assert not any(mark in text for _, text in found.alerts for mark in "<>|")
    assert not any(mark in key for entry in found.rows for key in entry for mark in "<>|")
    (page,) = [entry["observatory/report.path"] for entry in found.rows if "observatory/report.path" in entry]
    assert "<b>|x</b>" not in (found.folder / "files" / page).read_text()


# When


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


class Noting(Destination):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.alerts: list[str] = []

    def tell(self, told: Told) -> None:
        self.told.append(told)

    def alert(self, title: str, text: str) -> None:
        self.alerts.append(title)

    def close(self) -> None:
        pass


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


# Resuming


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


# Afterwards


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


def test_sending_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="there is no logbook"):
        main(["sync", str(tmp_path / "none.h5"), "--project", "p"])
    recorded(tmp_path / "o.h5", losses())
    unreachable(monkeypatch, tmp_path)
    with pytest.raises(SystemExit, match="Weights & Biases refuses"):
        main(["sync", str(tmp_path / "o.h5"), "--project", "p"])


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


# Failing


def unreachable(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name, value in {
        "WANDB_MODE": "online",
        "WANDB_BASE_URL": "http://127.0.0.1:9",
        "WANDB_API_KEY": "0" * 40,
        "WANDB_INIT_TIMEOUT": "1",
        "WANDB_X_GRAPHQL_RETRY_MAX": "0",
        "WANDB_X_GRAPHQL_TIMEOUT_SECONDS": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("failing", ["not installed", "no key", "no server", "finished"])
def test_training_goes_on_and_the_logbook_is_whole_whatever_fails(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finishing(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
            if failing == "finished" and trainer.global_step == 3 and wandb.run is not None:
                wandb.run.finish()

    if failing == "not installed":
        monkeypatch.setitem(sys.modules, "wandb", None)
    elif failing == "no key":
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.delenv("WANDB_API_KEY", raising=False)
    elif failing == "no server":
        unreachable(monkeypatch, tmp_path)
    with pytest.warns(UserWarning, match="WandbRecorder shows nothing from here on") as said:
        module, _ = fit(tmp_path, [Finishing(), monitor(tmp_path)])
    ours = [str(one.message) for one in said if "WandbRecorder" in str(one.message)]
    assert len(ours) == 1
    words = {"no key": "UsageError", "no server": "CommError", "finished": "is finished"}
    assert words.get(failing, "ModuleNotFoundError") in ours[0]
    assert open_logbook(tmp_path / "observations.h5")["step"].values.tolist() == EVERY
    alone, _ = fit(tmp_path / "alone", [])
    assert same(weights(module), weights(alone))


WITHOUT = """
import sys, warnings
sys.modules["wandb"] = sys.modules["tensorboard"] = None  # as if they were not installed
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from told import STEPS, live, losses
from observatory import TensorBoardRecorder, WandbRecorder, open_logbook
for recorder in (WandbRecorder, TensorBoardRecorder):
    path = Path(sys.argv[1]) / f"{recorder.__name__}.h5"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        live(path, losses(), recorder())
    assert open_logbook(path)["step"].values.tolist() == STEPS
    (words,) = [str(one.message) for one in said if recorder.__name__ in str(one.message)]
    print(words)
"""


def test_it_and_tensorboard_may_be_absent(tmp_path: Path) -> None:
    """Neither has been imported in that process before."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path), str(ROOT), str(ROOT / "tests")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    ours, others = done.stdout.splitlines()
    assert ours.startswith("WandbRecorder shows nothing from here on (ModuleNotFoundError")
    assert others.startswith("TensorBoardRecorder shows nothing from here on (")
    assert "pip install 'observatory[tensorboard]'" in others


def test_switched_off_by_its_own_variable_it_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    live(tmp_path / "o.h5", losses(), WandbRecorder("p"))
    assert open_logbook(tmp_path / "o.h5")["step"].values.tolist() == STEPS
    assert offline_runs(tmp_path) == []


# Settings


def test_it_is_named_by_its_class_path(tmp_path: Path) -> None:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser()
    parser.add_argument("--recorders", type=Sequence[Recorder])
    recipe = """
    - class_path: observatory.WandbRecorder
      init_args: {project: p, init: {group: g}}
    - class_path: observatory.TensorBoardRecorder
    """
    wandb_recorder, tensorboard_recorder = parser.instantiate(parser.parse_args(["--recorders", recipe])).recorders
    assert isinstance(wandb_recorder, WandbRecorder)
    assert isinstance(tensorboard_recorder, TensorBoardRecorder)


def test_a_share_of_the_time_is_one() -> None:
    with pytest.raises(ValueError, match="shares of the time that passes, 0 to 1; got 2"):
        WandbRecorder(drawing=2)
