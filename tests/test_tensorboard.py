"""TensorBoard: event files with the names that Weights & Biases has, read back."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from loop import fit, small_battery, word_tokenizer
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from told import STEPS, live, losses, run
from verdicts import planted, step_up

from observatory import Logbook, TensorBoardRecorder, open_logbook
from observatory.callbacks import SpecializationMonitor
from observatory.publish.scalars import row
from observatory.review.figures.plot import FIGURES

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning")


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    return found.Reload()


def steps(found: EventAccumulator, name: str) -> list[int]:
    return [event.step for event in found.Scalars(name)]


def texts(found: EventAccumulator, name: str) -> list[str]:
    return [event.tensor_proto.string_val[0].decode() for event in found.Tensors(f"{name}/text_summary")]


def test_it_has_the_same_names_and_numbers(tmp_path: Path) -> None:
    live(tmp_path / "o.h5", run(), TensorBoardRecorder())
    found, logbook = events(tmp_path / "tensorboard" / "o"), open_logbook(tmp_path / "o.h5")
    named = {name for place in range(len(STEPS)) for name in row(logbook.isel(step=[place])).scalars}
    onsets = {f"observatory/{name}/onset_{what}" for name in ("early", "late") for what in ("step", "tokens")}
    assert set(found.Tags()["scalars"]) == named | onsets
    assert steps(found, "observatory/early/index") == STEPS
    index = logbook["contrast_index"].sel(space="mlp", pooling="mean", domain="early").values
    assert [event.value for event in found.Scalars("observatory/early/index")] == pytest.approx(list(index), rel=1e-6)
    assert [event.value for event in found.Scalars("observatory/tokens")] == [2048 * step for step in STEPS]
    (onset,) = found.Scalars("observatory/late/onset_step")
    assert 80 < onset.value <= 160
    assert texts(found, "observatory/late/verdict") == ["general"]
    assert texts(found, "observatory/emerged")[-1].startswith("Late emerged")
    assert "| late | general |" in texts(found, "observatory/regions")[-1]
    drawn = {f"observatory/figures/{name}" for name, one in FIGURES.items() if not one.lacking(logbook)}
    assert set(found.Tags()["images"]) == drawn
    for name in drawn:
        (image,) = found.Images(name)
        assert min(Image.open(BytesIO(image.encoded_image_string)).size) > 300


def test_a_resumed_run_and_one_that_went_back_show_each_step_once(tmp_path: Path) -> None:
    live(tmp_path / "o.h5", losses(), TensorBoardRecorder(), steps=STEPS[:6])
    with Logbook(tmp_path / "o.h5") as book:
        book.rewind(40)
    live(tmp_path / "o.h5", losses(), TensorBoardRecorder(), steps=STEPS[4:])
    found = events(tmp_path / "tensorboard" / "o")
    assert steps(found, "observatory/seconds") == STEPS
    assert [event.value for event in found.Scalars("observatory/train_loss")] == pytest.approx(
        [float(value) for value in losses()["train_loss"].values[1:]]
    )


def test_it_writes_where_lightnings_logger_does(tmp_path: Path) -> None:
    watching = SpecializationMonitor(
        word_tokenizer(),
        tmp_path / "o.h5",
        "every 2",
        battery=small_battery(),
        instruments=["contrast"],
        twins=0,
        recorders=[TensorBoardRecorder()],
    )
    logger = TensorBoardLogger(tmp_path, name="runs", version="one")
    fit(tmp_path, [watching], steps=4, logger=logger)
    assert steps(events(tmp_path / "runs" / "one"), "observatory/alpha/index") == [0, 2, 4]
    assert not (tmp_path / "tensorboard").exists()


def test_a_folder_that_is_given_is_used(tmp_path: Path) -> None:
    live(tmp_path / "o.h5", losses(), TensorBoardRecorder(tmp_path / "mine"))
    assert steps(events(tmp_path / "mine"), "observatory/tokens") == STEPS
    assert not (tmp_path / "tensorboard").exists()


def test_names_from_a_data_file_are_made_harmless(tmp_path: Path) -> None:
    live(tmp_path / "o.h5", planted(STEPS, {"<b>|x</b>": step_up(STEPS, at=20)}), TensorBoardRecorder())
    found = events(tmp_path / "tensorboard" / "o")
    assert "observatory/b_x_b/index" in found.Tags()["scalars"]
    (table,) = texts(found, "observatory/regions")
    assert "<" not in table
    assert {line.count("|") for line in table.splitlines()} == {15}
