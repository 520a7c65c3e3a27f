"""Whatever the files are called and however they are written, the same weights give the same logbook; and no file,
however it is broken or meant, runs code, stops the replay or leaves its mark on the next checkpoint."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr
from models import tiny
from safetensors.torch import load_file, save_file
from saved import (
    LAYOUTS,
    STEPS,
    as_observed,
    assert_same,
    folders,
    lightning_files,
    model_at,
    nano_at,
    nano_file,
    pickled,
    replayed,
    without_gaps,
)
from torch import Tensor

from observatory.replay.model import Replayed
from observatory.replay.places import Checkpoint
from observatory.replay.weights import open_weights, weight_files


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return as_observed(tmp_path_factory.mktemp("live") / "o.h5", twins=0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_logbook_of_the_live_run(layout: str, live: xr.Dataset, tmp_path: Path) -> None:
    assert_same(live, replayed(LAYOUTS[layout](tmp_path / "c"), tmp_path / "o.h5", twins=0), "tokens")


def test_a_trainers_folder_tells_its_tokens(tmp_path: Path) -> None:
    logbook = replayed(LAYOUTS["trainer"](tmp_path / "c"), tmp_path / "o.h5", twins=0)
    assert logbook["tokens"].values.tolist() == [100 * step for step in STEPS]


def test_a_function_may_make_the_model_of_files_that_hold_weights_alone(live: xr.Dataset, tmp_path: Path) -> None:
    source = lightning_files(tmp_path / "c", config=False)
    assert_same(live, replayed(source, tmp_path / "o.h5", model="saved:from_hyper_parameters", twins=0))
    with pytest.raises(ValueError, match=r"not one of 3 .* no config\.json; name a function that makes the model, as"):
        replayed(source, tmp_path / "none.h5")
    with pytest.raises(ValueError, match="there is no 'saved:nothing' that makes the model"):
        replayed(source, tmp_path / "none.h5", model="saved:nothing")


def test_nanogpts_file_is_replayed_as_what_its_model_args_say(tmp_path: Path) -> None:
    file = nano_file(tmp_path / "out" / "ckpt.pt", step=70)
    expected = as_observed(tmp_path / "live.h5", lambda step: nano_at(step, width=16, layers=2), steps=[70], twins=0)
    for source in (file, file.parent):
        out = tmp_path / f"{source.name}.h5"
        assert_same(expected, replayed(source, out, model="saved:from_model_args", twins=0))


def test_one_folder_is_replayed_alone(tmp_path: Path) -> None:
    source = folders(tmp_path / "c") / "step5"
    assert_same(as_observed(tmp_path / "live.h5", steps=[5]), replayed(source, tmp_path / "o.h5"))


def test_what_torch_wrote_before_its_files_were_zips_is_read(tmp_path: Path) -> None:
    torch.save({"w": torch.arange(5)}, tmp_path / "step1.pt", _use_new_zipfile_serialization=False)
    with open_weights(tmp_path / "step1.pt") as weights:
        assert weights.tensors["w"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["model.pt", "optim.pt", "train.pt", "config.yaml"], ["model.pt"]),  # as OLMo's trainer has it
        (["model.safetensors", "consolidated.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["pytorch_model.bin", "training_args.bin", "optimizer.bin", "scheduler.bin"], ["pytorch_model.bin"]),
        (["adapter.safetensors", "optimizer.pt"], ["adapter.safetensors"]),
    ],
)
def test_only_the_models_weights_are_read(tmp_path: Path, names: list[str], chosen: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert [file.name for file in weight_files(tmp_path)] == chosen


class Code:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def changed(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return do


def cut(folder: Path) -> None:
    for file in (*folder.glob("*.safetensors"), *folder.glob("*.bin")):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def without_a_shard(folder: Path) -> None:
    in_shards(folder)
    min(folder.glob("model-*.safetensors")).unlink()


def in_shards(folder: Path) -> None:
    model_at(int(folder.name.removeprefix("step"))).save_pretrained(folder, max_shard_size="15KB")
    (folder / "model.safetensors").unlink(missing_ok=True)


def without_its_index(folder: Path) -> None:
    in_shards(folder)
    (folder / "model.safetensors.index.json").unlink()


def with_a_broken_index(folder: Path) -> None:
    in_shards(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": ["model"]}')


def with_code(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"w": torch.ones(1), "x": Code(folder / "ran")}, folder / "pytorch_model.bin")


def of_its_own_code(folder: Path) -> None:
    automatic = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": automatic}))
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(folder / 'ran')!r})\n")


def of_another_architecture(folder: Path) -> None:
    tiny("llama").save_pretrained(folder)


def of_another_size_by_its_config(folder: Path) -> None:
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**told, "hidden_size": 32, "intermediate_size": 40}))


def with_fewer_layers_by_its_config(folder: Path) -> None:
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**told, "num_hidden_layers": 2}))


def gone(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


NORM = "gpt_neox.final_layer_norm.weight"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (cut, "model.safetensors cannot be read as safetensors"),
    "pickle cut off": (
        lambda folder: (pickled(folder), cut(folder)),
        "cannot be read as a file of torch.save .* cut off",
    ),
    "emptied": (emptied, "model.safetensors cannot be read as safetensors"),
    "no weights": (gone, "holds no weights: looked for"),
    "a shard missing": (
        without_a_shard,
        "lacks model-00001-of-.*.safetensors, which model.safetensors.index.json names",
    ),
    "no index": (without_its_index, "no index that says how they belong together"),
    "broken index": (with_a_broken_index, "model.safetensors.index.json is not an index of shards"),
    "a tensor missing": (changed(lambda all: all.pop(NORM)), f"its file lacks 1 of the model's tensors, {NORM} among"),
    "another shape": (
        changed(lambda all: all.update({NORM: torch.ones(17)})),
        rf"its {NORM} has shape \(17,\), where the model's has \(16,\)",
    ),
    "numbers of another kind": (
        changed(lambda all: all.update({NORM: torch.ones(16, dtype=torch.int8)})),
        f"its {NORM} holds torch.int8, where the model's holds torch.float32",
    ),
    "a layer too many": (with_fewer_layers_by_its_config, "its file has 12 tensors more than the model"),
    "config broken": (lambda folder: (folder / "config.json").write_text("{"), "config.json.* not a valid JSON"),
    "config missing": (lambda folder: (folder / "config.json").unlink(), "there is no config.json; name a function"),
    "another size": (of_another_size_by_its_config, "has shape .*, where the model's has"),
    "another architecture": (of_another_architecture, "the logbook was written with model .*, and this run has model"),
    "code in a pickle": (
        with_code,
        r"is a pickle that would run code of its own, (posix|nt)\.mkdir, and was not opened",
    ),
    "code in the folder": (of_its_own_code, "contains custom code which must be executed"),
}
LAST = len(DAMAGE) + 1


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole at the beginning and at the end, and in between each checkpoint damaged in its own way."""
    home = folders(tmp_path_factory.mktemp("suite"), steps=range(LAST + 1))
    for step, (damage, _) in enumerate(DAMAGE.values(), 1):
        damage(home / f"step{step}")
    return home


@pytest.fixture(scope="module")
def damaged(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return replayed(suite, tmp_path_factory.mktemp("damaged") / "o.h5")


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_a_gap_that_says_why_in_one_sentence(damage: str, damaged: xr.Dataset) -> None:
    step = list(DAMAGE).index(damage) + 1
    reasons = dict(zip(damaged["gap_step"].values.tolist(), damaged["gap_reason"].values.tolist(), strict=True))
    assert re.match(f"step{step} (could not be loaded|is another model): .*{DAMAGE[damage][1]}", reasons[step])
    assert "\n" not in reasons[step]


def test_no_code_was_run_and_what_is_whole_is_measured_as_if_it_were_alone(
    suite: Path, damaged: xr.Dataset, tmp_path: Path
) -> None:
    assert not list(suite.glob("*/ran"))
    whole = as_observed(tmp_path / "live.h5", steps=[0, LAST])
    assert_same(without_gaps(whole), without_gaps(damaged))


@pytest.mark.parametrize("damage", sorted(DAMAGE.keys() - {"another architecture"}))  # which has a model of its own
def test_no_damage_changes_a_bit_of_the_model_that_is_there(damage: str, suite: Path) -> None:
    """A state that is half of one checkpoint and half of another must never be measured."""
    step, replaying = list(DAMAGE).index(damage) + 1, Replayed()
    model = replaying.at(Checkpoint(0, 0, suite), suite / "step0")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises((ValueError, OSError)):
        replaying.at(Checkpoint(step, 0, suite), suite / f"step{step}")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert replaying.at(Checkpoint(LAST, 0, suite), suite / f"step{LAST}") is model


def test_code_is_run_where_it_is_asked_for(suite: Path) -> None:
    step = list(DAMAGE).index("code in the folder") + 1
    with pytest.raises(Exception, match=r"own|Config"):
        Replayed(trust_remote_code=True).at(Checkpoint(step, 0, suite), suite / f"step{step}")
    assert (suite / f"step{step}" / "ran").exists()
    (suite / f"step{step}" / "ran").rmdir()


def test_a_file_that_is_neither_is_refused(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "list.pt")
    with (
        pytest.raises(ValueError, match="holds a list, where a state_dict was looked for"),
        open_weights(tmp_path / "list.pt"),
    ):
        pass
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "none.pt")
    with pytest.raises(ValueError, match=r"none\.pt holds no tensors, but epoch"), open_weights(tmp_path / "none.pt"):
        pass
