"""What PythiaCheckpoints leaves on the disk: complete folders, of one run each."""

from __future__ import annotations

import json
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from loop import TOKENS_PER_BATCH, Language, fit, loader, same, small_battery, trainer, weights, word_tokenizer
from models import Wrapped, seeded, tiny
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from observatory import Logbook, open_logbook
from observatory.callbacks import PythiaCheckpoints, SpecializationMonitor
from observatory.replay.checkpoints import find_checkpoints, step_folders
from observatory.replay.engine import replay

# Lightning says so of every run that is resumed, and of the submodule that is frozen on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def loaded(folder: Path) -> dict[str, Tensor]:
    return weights(AutoModelForCausalLM.from_pretrained(folder))


def test_saving_changes_no_bit_of_the_weights(tmp_path: Path) -> None:
    saved, _ = fit(tmp_path, [PythiaCheckpoints(tmp_path / "c", "every 1", tokenizer=word_tokenizer())])
    alone, _ = fit(tmp_path, [])
    assert same(weights(saved), weights(alone))


def test_each_folder_holds_the_weights_the_tokens_and_the_tokenizer_of_its_step(tmp_path: Path) -> None:
    kept: dict[int, dict[str, Tensor]] = {}

    class Keeping(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
            kept[trainer.global_step] = weights(pl_module.model)  # type: ignore[arg-type]

    saving = PythiaCheckpoints(tmp_path / "c", "at 1 4", tokenizer=word_tokenizer())
    fit(tmp_path, [saving, Keeping()], steps=5, accumulate_grad_batches=2)
    assert names(tmp_path / "c") == ["step0", "step1", "step4", "step5"]
    for step in (1, 4, 5):
        folder = tmp_path / "c" / f"step{step}"
        assert same(loaded(folder), kept[step]), step
        progress = {"step": step, "tokens": step * 2 * TOKENS_PER_BATCH, "attention": "eager", "threads": 1}
        assert json.loads((folder / "progress.json").read_text()) == progress
        assert AutoTokenizer.from_pretrained(folder)("w3 w5").input_ids == word_tokenizer()("w3 w5").input_ids
    assert not same(kept[4], kept[5])


def test_without_a_tokenizer_the_weights_are_saved_alone(tmp_path: Path) -> None:
    fit(tmp_path, [PythiaCheckpoints(tmp_path / "c", "at 0")], steps=1)
    saved = ["config.json", "generation_config.json", "model.safetensors", "progress.json"]
    assert names(tmp_path / "c" / "step1") == saved
    with pytest.raises(ValueError, match=r"holds no tokenizer|is it the right tokenizer"):
        replay(tmp_path / "c", tmp_path / "o.h5", battery=small_battery(), twins=2)
    (tmp_path / "t").mkdir()
    word_tokenizer().save_pretrained(tmp_path / "t")
    replay(tmp_path / "c", tmp_path / "o.h5", battery=small_battery(), twins=2, tokenizer=tmp_path / "t")
    assert open_logbook(tmp_path / "o.h5").sizes["step"] == 2


def test_the_tokenizer_of_the_data_module_is_saved(tmp_path: Path) -> None:
    class Data(L.LightningDataModule):
        tokenizer = word_tokenizer()

        def train_dataloader(self) -> object:
            return loader()

        def val_dataloader(self) -> object:
            return loader(1)

    trainer(tmp_path, 1, callbacks=[PythiaCheckpoints(tmp_path / "c")]).fit(Language(), Data())
    assert len(AutoTokenizer.from_pretrained(tmp_path / "c" / "step0")) == len(word_tokenizer())


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    """A run that was killed while saving leaves a partial folder, which is no checkpoint and stands in nobody's way."""
    (tmp_path / "c" / ".step0.partial").mkdir(parents=True)
    (tmp_path / "c" / ".step0.partial" / "config.json").write_text("{}")
    assert step_folders(tmp_path / "c") == {}
    fit(tmp_path, [PythiaCheckpoints(tmp_path / "c", "at 0")], steps=1)
    assert names(tmp_path / "c") == ["step0", "step1"]
    assert same(loaded(tmp_path / "c" / "step0"), weights(Language().model))


def test_a_new_run_never_writes_among_an_older_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It used to overwrite the steps that both had, so that the folder held half of either run."""
    first = PythiaCheckpoints(tmp_path / "c", "every 2")
    fit(tmp_path, [first], steps=4)
    before = {name: loaded(tmp_path / "c" / name) for name in names(tmp_path / "c")}
    second = PythiaCheckpoints(tmp_path / "c", "every 2")
    fit(tmp_path, [second], steps=2)
    assert (first.folder, second.folder) == (tmp_path / "c", tmp_path / "c-2")
    assert "c holds another run; this one's checkpoints go to" in capsys.readouterr().out
    assert names(tmp_path / "c-2") == ["step0", "step2"]
    assert dict.fromkeys(names(tmp_path / "c")) == dict.fromkeys(before)
    assert all(same(loaded(tmp_path / "c" / name), state) for name, state in before.items())


def test_an_empty_folder_that_is_there_already_is_used(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("mine")
    fit(tmp_path, [PythiaCheckpoints(tmp_path / "c", "at 0")], steps=1)
    assert names(tmp_path / "c") == ["notes.txt", "step0", "step1"]


@pytest.mark.parametrize("folder", ["c", "c-2"])
def test_a_resumed_run_goes_on_in_its_folder_and_sets_aside_what_came_after(tmp_path: Path, folder: str) -> None:
    """Stopped at step 5, resumed from step 3 to 6: the checkpoints of steps 4 and 5 are of a branch that was left."""
    if folder == "c-2":
        fit(tmp_path, [PythiaCheckpoints(tmp_path / "c", "at 0")], steps=1)
    saving = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    fit(tmp_path, [PythiaCheckpoints(tmp_path / "c", "every 2"), saving], steps=5, enable_checkpointing=True)
    assert names(tmp_path / folder) == ["step0", "step2", "step4", "step5"]
    left = loaded(tmp_path / folder / "step4")
    resumed = PythiaCheckpoints(tmp_path / "c", "every 2")
    fit(tmp_path, [resumed, saving], steps=6, resume=tmp_path / "step=3.ckpt", enable_checkpointing=True)
    assert resumed.folder == tmp_path / folder
    assert names(tmp_path / folder) == ["step0", "step2", "step4", "step4-abandoned", "step5-abandoned", "step6"]
    assert same(loaded(tmp_path / folder / "step4-abandoned"), left)
    assert [checkpoint.step for checkpoint in find_checkpoints(tmp_path / folder)] == [0, 2, 4, 6]


def test_a_run_resumed_from_an_earlier_step_replays_as_it_was_watched(tmp_path: Path) -> None:
    def watching() -> SpecializationMonitor:
        return SpecializationMonitor(
            word_tokenizer(), tmp_path / "live.h5", "every 2", battery=small_battery(), twins=2, recorders=()
        )

    def checkpoints() -> PythiaCheckpoints:
        return PythiaCheckpoints(tmp_path / "c", "every 2", tokenizer=word_tokenizer())

    saving = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    fit(tmp_path, [watching(), checkpoints(), saving], steps=5, enable_checkpointing=True)
    resume = tmp_path / "step=3.ckpt"
    fit(tmp_path, [watching(), checkpoints(), saving], steps=6, resume=resume, enable_checkpointing=True)
    live = open_logbook(tmp_path / "live.h5")
    replayed = open_logbook(replay(tmp_path / "c", tmp_path / "o.h5", battery=small_battery(), twins=2))
    assert live["step"].values.tolist() == replayed["step"].values.tolist() == [0, 2, 4, 6]
    assert live["tokens"].values.tolist() == replayed["tokens"].values.tolist()
    for name in ("contrast_index", "contrast_stability", "contrast_score_mlp"):
        np.testing.assert_array_equal(live[name], replayed[name])


def test_a_model_without_transformers_is_refused_with_what_was_found(tmp_path: Path) -> None:
    class Plain(Language):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.nn.Linear(2, 2)  # type: ignore[assignment]
            self.frozen = None  # type: ignore[assignment]

    with pytest.raises(ValueError, match=r"saves transformers models; Plain holds none: its children are model"):
        PythiaCheckpoints(tmp_path / "c").on_train_start(trainer(tmp_path), Plain())


def test_a_folder_that_cannot_be_made_stops_the_run_at_step_0(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        fit(tmp_path, [PythiaCheckpoints(tmp_path / "file" / "c")], steps=1)
    assert (tmp_path / "file").read_text() == "mine"


# What replay does with such folders, beyond tests/test_replay.py ---------------------------------------------------


def suite(folder: Path, *steps: int, **changes: int) -> Path:
    """Checkpoints written by hand, each of other weights."""
    for step in steps:
        tiny("gpt_neox", seed=step, **changes).save_pretrained(folder / f"step{step}")
        word_tokenizer().save_pretrained(folder / f"step{step}")
    return folder


def test_a_suite_of_another_model_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    """It used to drop all after the first step that was missing, and only then to look at the model."""
    replay(suite(tmp_path / "one", 0, 4), tmp_path / "o.h5", battery=small_battery(), twins=2)
    other = suite(tmp_path / "other", 0, 2, 4, intermediate_size=24)
    with pytest.raises(ValueError, match=r"step2 is another model: .* with model .* and this run has model"):
        replay(other, tmp_path / "o.h5", battery=small_battery(), twins=2)
    assert open_logbook(tmp_path / "o.h5")["step"].values.tolist() == [0, 4]
    Logbook(tmp_path / "o.h5").close()  # nobody holds it any more


def test_a_checkpoint_that_stays_unreadable_does_not_make_the_rest_be_measured_again(tmp_path: Path) -> None:
    source = suite(tmp_path / "c", 0, 2, 4)
    damaged = source / "step2" / "model.safetensors"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:500])
    first = open_logbook(replay(source, tmp_path / "o.h5", battery=small_battery(), twins=2))
    again = open_logbook(replay(source, tmp_path / "o.h5", battery=small_battery(), twins=2))
    assert again["step"].values.tolist() == [0, 4]
    assert again["time"].values.tolist() == first["time"].values.tolist()
    assert again["gap_step"].values.tolist() == [2]
    damaged.write_bytes(whole)
    mended = open_logbook(replay(source, tmp_path / "o.h5", battery=small_battery(), twins=2))
    fresh = open_logbook(replay(source, tmp_path / "fresh.h5", battery=small_battery(), twins=2))
    assert mended["step"].values.tolist() == [0, 2, 4]
    assert mended.sizes["gap"] == 0
    np.testing.assert_array_equal(mended["contrast_stability"], fresh["contrast_stability"])


def test_a_wrapped_model_is_found_in_its_module() -> None:
    from observatory.callbacks.pretrained import find_pretrained

    model = tiny("gpt_neox")
    assert find_pretrained(Wrapped(Wrapped(model))) is model
    assert find_pretrained(seeded(torch.nn.Identity)) is None
