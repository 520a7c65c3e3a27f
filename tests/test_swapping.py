"""One model takes the weights of one checkpoint after another, and is then what from_pretrained would have made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from models import CONFIGS, NanoGPT, seeded, tiny
from saved import folders, lightning_files, replayed
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from observatory.measure.anatomy import anatomy
from observatory.replay.model import Replayed
from observatory.replay.places import Checkpoint

MERGED = {"mixtral", "qwen2_moe", "deepseek_v3"}
"""transformers puts the weights of their experts together as it reads them, so that no file has them as the model."""


def at(replaying: Replayed, path: Path) -> nn.Module:
    return replaying.at(Checkpoint(0, 0, path), path)


def saved(folder: Path, architecture: str, dtype: torch.dtype = torch.float32, **changes: Any) -> list[Path]:
    """Two checkpoints."""
    paths = [folder / f"step{seed}" for seed in range(2)]
    for seed, path in enumerate(paths):
        tiny(architecture, seed, **changes).to(dtype).save_pretrained(path)
    return paths


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Those that no checkpoint holds, too."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers()), **model.state_dict()}


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    ours, theirs = tensors(one), tensors(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype, name
        assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_same_object_has_the_weights_that_from_pretrained_gives(architecture: str, tmp_path: Path) -> None:
    for tied in (False, True):
        first, second = saved(tmp_path / str(tied), architecture, tie_word_embeddings=tied)
        replaying = Replayed()
        model = at(replaying, first)
        parameters = [*model.parameters()]
        assert_equal(model, AutoModelForCausalLM.from_pretrained(first, dtype=torch.float32))
        other = at(replaying, second)
        assert_equal(other, AutoModelForCausalLM.from_pretrained(second, dtype=torch.float32))
        assert (other is model) == (architecture not in MERGED)
        if other is model:
            assert all(one is two for one, two in zip(parameters, other.parameters(), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("of_the_file", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_of_another_type_are_rounded_as_from_pretrained_rounds_them(
    dtype: torch.dtype, of_the_file: torch.dtype, tmp_path: Path
) -> None:
    first, second = saved(tmp_path, "llama", of_the_file)
    replaying = Replayed(dtype=dtype)
    model = at(replaying, first)
    assert at(replaying, second) is model
    assert_equal(model, AutoModelForCausalLM.from_pretrained(second, dtype=dtype))
    assert next(model.parameters()).dtype is dtype


def test_the_type_is_that_of_the_logbook(tmp_path: Path) -> None:
    logbook = replayed(folders(tmp_path / "c"), tmp_path / "o.h5", dtype="bfloat16", twins=0)
    assert logbook.attrs["provenance_dtype"] == "bfloat16"
    with pytest.raises(ValueError, match="there is no dtype 'int8' for weights; use float32, bfloat16 or float16"):
        replayed(tmp_path / "c", tmp_path / "p.h5", dtype="int8")


def test_hooks_and_what_is_known_of_the_parts_stay(tmp_path: Path) -> None:
    first, second = saved(tmp_path, "gpt_neox")
    replaying = Replayed()
    model = at(replaying, first)
    found, ran = anatomy(model), []
    model.get_output_embeddings().register_forward_hook(lambda *_: ran.append(1))  # type: ignore[operator]
    other = anatomy(at(replaying, second))
    assert other.body is found.body
    assert other.sites == found.sites
    ids = torch.arange(1, 9)[None]
    reference = AutoModelForCausalLM.from_pretrained(second, dtype=torch.float32)
    assert torch.equal(model(ids).logits, reference(ids).logits)
    assert ran == [1]


def test_the_files_are_let_go_and_left_as_they_are(tmp_path: Path) -> None:
    """from_pretrained leaves the weights in the file: the first checkpoint would stay on the disk, removed or not."""
    first, second = saved(tmp_path, "llama")
    before = (first / "model.safetensors").read_bytes()
    replaying = Replayed()
    model = at(replaying, first)
    if (maps := Path("/proc/self/maps")).exists():
        assert str(first) not in maps.read_text()
    at(replaying, second)
    assert (first / "model.safetensors").read_bytes() == before
    (second / "model.safetensors").write_bytes(b"")
    assert model.get_parameter("lm_head.weight").abs().sum() > 0


def test_a_model_is_built_anew_where_configuration_attention_or_tensors_differ(tmp_path: Path) -> None:
    first, second = saved(tmp_path, "llama")
    replaying = Replayed()
    model = at(replaying, first)
    other = replaying.at(Checkpoint(1, 0, second, attention="eager"), second)
    assert other is not model
    assert other.config._attn_implementation == "eager"  # type: ignore[union-attr]
    told = json.loads((second / "config.json").read_text())
    (second / "config.json").write_text(json.dumps({**told, "rms_norm_eps": 0.5}))
    again = at(replaying, second)
    assert again is not other
    assert again.config.rms_norm_eps == 0.5  # type: ignore[union-attr]
    third = tmp_path / "tied"
    tiny("llama", tie_word_embeddings=True).save_pretrained(third)
    (third / "config.json").write_text((second / "config.json").read_text())
    with pytest.raises(ValueError, match=r"its file lacks 1 of the model's tensors, lm_head\.weight among them"):
        at(replaying, third)
    assert at(replaying, second) is again


def test_a_function_makes_the_model_once_from_what_the_file_holds_beside(tmp_path: Path) -> None:
    given: list[Mapping[str, Any]] = []

    def make(beside: Mapping[str, Any]) -> nn.Module:
        given.append(beside)
        return NanoGPT(**beside["model_args"])

    paths = [tmp_path / f"{seed}.pt" for seed in range(2)]
    for seed, path in enumerate(paths):
        torch.save({"model": seeded(NanoGPT, seed).state_dict(), "model_args": {"width": 16}, "iter_num": seed}, path)
    replaying = Replayed(make)
    model = at(replaying, paths[0])
    assert at(replaying, paths[1]) is model
    assert [one["iter_num"] for one in given] == [0]
    assert_equal(model, seeded(NanoGPT, 1))
    assert not model.training


@pytest.mark.parametrize("before", ["", "model.", "_orig_mod.", "module._orig_mod.", "a.b.model."])
def test_whatever_stands_before_the_names_is_taken_off(before: str, tmp_path: Path) -> None:
    expected = seeded(NanoGPT, 1)
    state = {before + name: tensor for name, tensor in expected.state_dict().items()}
    torch.save({"state_dict": {**state, "loss.weight": torch.ones(3)}, "global_step": 1}, tmp_path / "x.ckpt")
    assert_equal(at(Replayed(lambda _: NanoGPT()), tmp_path / "x.ckpt"), expected)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: NanoGPT(layers=4), r"its file lacks 12 of the model's tensors, transformer\.h\.3\."),
        (lambda _: NanoGPT(layers=2), r"its file has 12 tensors more than the model, model\.transformer\.h\.2\."),
        (lambda _: NanoGPT(inner=24), r"c_fc\.weight has shape \(20, 16\), where the model's has \(24, 16\)"),
        (lambda _: nn.GRU(3, 3), "its file lacks 4 of the model's tensors, bias_hh_l0 among them"),
    ],
)
def test_a_model_that_the_weights_do_not_fit_is_refused(
    make: Callable[[object], nn.Module], words: str, tmp_path: Path
) -> None:
    state = {f"model.{name}": tensor for name, tensor in seeded(NanoGPT).state_dict().items()}
    torch.save({"state_dict": state, "global_step": 1}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=words):
        at(Replayed(make), tmp_path / "x.ckpt")


def test_a_model_made_of_the_configuration_beside_is_that_of_from_pretrained(tmp_path: Path) -> None:
    source = lightning_files(tmp_path / "c")
    folders(tmp_path / "f")
    for dtype in (torch.float32, torch.bfloat16):
        model = at(Replayed(dtype=dtype), source / "epoch=0-step=2.ckpt")
        assert_equal(model, AutoModelForCausalLM.from_pretrained(tmp_path / "f" / "step2", dtype=dtype))


def test_no_random_number_is_drawn(tmp_path: Path) -> None:
    first, second = saved(tmp_path, "gpt_neox")
    before = torch.get_rng_state()
    replaying = Replayed()
    at(replaying, first)
    at(replaying, second)
    torch.save(seeded(NanoGPT).state_dict(), tmp_path / "x.pt")
    at(Replayed(lambda _: NanoGPT()), tmp_path / "x.pt")
    assert torch.equal(torch.get_rng_state(), before)
