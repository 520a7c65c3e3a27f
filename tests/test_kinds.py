"""Models as people train them: compiled, checkpointed, in half precision, with adapters; each is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loop import small_battery, word_tokenizer
from loops import (
    LOOPS,
    QUIET,
    STEPS,
    Trained,
    assert_same_run,
    batches,
    by_hand,
    each_loop,
    loss_of,
    monitor,
    observed,
    small_model,
)
from models import tiny
from torch import nn
from torch._dynamo.utils import counters
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from observatory import Monitor, Observatory, open_logbook
from observatory.measure.anatomy import anatomy
from observatory.model_facts import facts
from observatory.observation import Observation

pytestmark = [
    *QUIET,
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),  # torch asks for it while it compiles
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning"),  # peft asks for it
]
NEOX = {"hidden_dropout": 0.1, "attention_dropout": 0.1, "use_cache": False}
peft = pytest.importorskip("peft", reason="needs peft, of the extra for tests")


def assert_seen_alike(one: Observation, other: Observation) -> None:
    assert one.variables.keys() == other.variables.keys()
    for name in one.variables:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# Activation checkpointing


def by_transformers(reentrant: bool) -> nn.Module:
    model = tiny("gpt_neox", **NEOX)
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    return model


def by_wrappers() -> nn.Module:
    model = tiny("gpt_neox", **NEOX)
    layers = model.gpt_neox.layers
    for number, block in enumerate(layers):
        layers[number] = checkpoint_wrapper(block)
    return model


class Recomputed(nn.Module):
    """A user's own block, which saves memory whenever gradients are wanted."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor, *others: Any, **named: Any) -> Any:
        return checkpoint(self.block, x, *others, use_reentrant=False, **named)


def by_hand_written_blocks() -> nn.Module:
    model = tiny("gpt_neox", **NEOX)
    model.gpt_neox.layers = nn.ModuleList([Recomputed(block) for block in model.gpt_neox.layers])
    return model


CHECKPOINTED = {
    "transformers": partial(by_transformers, False),
    "transformers, reentrant": partial(by_transformers, True),
    "torch's wrapper": by_wrappers,
    "hand-written": by_hand_written_blocks,
}


@pytest.mark.parametrize("way", CHECKPOINTED)
def test_what_is_recomputed_for_its_gradients_is_observed_as_it_is(way: str, tmp_path: Path) -> None:
    run = by_hand(tmp_path, monitor("plain", tmp_path), CHECKPOINTED[way], steps=2)
    assert_same_run(run, by_hand(tmp_path / "alone", None, CHECKPOINTED[way], steps=2))
    assert_seen_alike(observed(CHECKPOINTED[way]()), observed(tiny("gpt_neox", **NEOX)))


# Compiled


def graphs() -> int:
    found: int = counters["stats"]["unique_graphs"]
    return found


def compiled(way: str) -> tuple[nn.Module, nn.Module]:
    """The model, and what is trained."""
    model = small_model(0.1)
    if way == "in place":
        model.compile(backend="eager")
    elif way == "block by block":
        for block in model.transformer.h:
            block.compile(backend="eager")
    else:
        return model, torch.compile(model, backend=way)  # type: ignore[return-value]
    return model, model


@pytest.mark.parametrize("way", ["eager", "aot_eager", "in place", "block by block"])
def test_watching_a_compiled_model_compiles_nothing_anew_and_sees_the_original(way: str, tmp_path: Path) -> None:
    def run(watching: Monitor | None) -> tuple[Trained, int]:
        torch._dynamo.reset()
        torch.manual_seed(7)
        model, network = compiled(way)
        before, trained = graphs(), Trained(model, optimizer := torch.optim.AdamW(model.parameters(), lr=1e-2))
        if watching is not None:
            watching.begin(network, max_steps=STEPS)
        for step, ids in zip(range(1, STEPS + 1), batches(0), strict=False):
            loss_of(network(input_ids=ids), ids).backward()
            optimizer.step()
            optimizer.zero_grad()
            if watching is not None:
                watching.step(step)
        if watching is not None:
            watching.end()
        return trained, graphs() - before

    watching = monitor("plain", tmp_path)
    (watched, here), (alone, there) = run(watching), run(None)
    assert here == there > 0
    assert_same_run(watched, alone)
    logbook = open_logbook(watching.logbook_path)
    plain = small_model(0.1)
    plain.load_state_dict(watched.weights[-1])
    again = observed(plain, instruments=["competence"], twins=0)
    np.testing.assert_array_equal(logbook["competence_margin"].sel(step=STEPS), again["competence_margin"])


@each_loop
def test_what_a_loop_compiles_is_compiled_no_more_often_for_being_watched(loop: str, tmp_path: Path) -> None:
    counts, runs = [], []
    for watching in (monitor(loop, tmp_path), None):
        torch._dynamo.reset()
        before = graphs()
        folder = tmp_path if watching is not None else tmp_path / "alone"
        make: Callable[[], nn.Module] = partial(small_model, 0.1)
        settings = (
            {"torch_compile": True, "torch_compile_backend": "eager"} if loop == "trainer" else {"compiled": True}
        )
        runs.append(LOOPS[loop](folder, watching, make, steps=2, **settings))
        counts.append(graphs() - before)
    assert counts[0] == counts[1] > 0
    assert_same_run(*runs)


# Adapters, and parts that are not trained


def adapted(kind: str, **settings: Any) -> nn.Module:
    base = tiny("gpt_neox", **NEOX)
    everywhere = ["dense", "dense_h_to_4h", "dense_4h_to_h", "query_key_value"]
    config = {
        "lora": lambda: peft.LoraConfig(r=2, target_modules=everywhere, lora_dropout=0.1, **settings),
        "dora": lambda: peft.LoraConfig(r=2, target_modules=everywhere, use_dora=True, **settings),
        "ia3": lambda: peft.IA3Config(target_modules=everywhere, feedforward_modules=["dense_4h_to_h"], **settings),
    }[kind]()
    torch.manual_seed(5)
    return peft.get_peft_model(base, config)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["lora", "dora", "ia3"])
def test_an_adapter_is_trained_as_without_watching_and_observed_as_the_model_it_makes(
    kind: str, tmp_path: Path
) -> None:
    watching = monitor("plain", tmp_path)
    watched = by_hand(tmp_path, watching, partial(adapted, kind))
    assert_same_run(watched, by_hand(tmp_path / "alone", None, partial(adapted, kind)))
    seen = observed(watched.model, twins=0)
    merged = watched.model.merge_and_unload()  # the adapter's part added to the weights themselves
    plain = observed(merged, twins=0)
    assert seen.variables.keys() == plain.variables.keys()
    for name in ("contrast_effect", "contrast_index", "competence_margin"):
        np.testing.assert_allclose(seen[name], plain[name], atol=2e-4, err_msg=name)
    untrained = observed(tiny("gpt_neox", **NEOX), instruments=["contrast"], twins=0)
    assert not np.allclose(seen["contrast_effect"], untrained["contrast_effect"], atol=2e-4)


def test_an_adapter_round_a_layer_stands_for_it_and_its_parts_do_not() -> None:
    base, model = anatomy(tiny("gpt_neox", **NEOX)), adapted("lora")
    found = anatomy(model)
    assert {space: found.widths(space) for space in found.sites} == {space: base.widths(space) for space in base.sites}
    assert [site.module for site in found.sites["mlp"]] == [
        block.mlp.dense_4h_to_h for block in model.base_model.model.gpt_neox.layers
    ]
    assert all(isinstance(site.module, peft.tuners.lora.LoraLayer) for site in found.sites["heads"])


def test_a_head_that_is_trained_in_full_beside_adapters_is_the_one_that_speaks() -> None:
    model = adapted("lora", modules_to_save=["lm_head"])
    with torch.no_grad():
        model.base_model.model.lm_head.modules_to_save["default"].weight.mul_(3)
    plain = adapted("lora")
    with torch.no_grad():
        plain.base_model.model.lm_head.weight.mul_(3)
    settings: dict[str, Any] = {"instruments": ["competence"], "twins": 0}
    assert_seen_alike(observed(model, **settings), observed(plain, **settings))


def test_of_an_adapted_model_first_seen_trained_it_is_said_that_twins_cannot_be_made() -> None:
    """Transformers would make one without the adapters, into which the twin's weights did not fit."""
    with pytest.warns(UserWarning, match="no re-initialised twins of it can be made"):
        seen = Observatory(word_tokenizer(), battery=small_battery(items=2), twins=2).observe(adapted("lora"), 3)
    assert not [name for name in seen.variables if name.endswith("_twins")]


class Distilling(nn.Module):
    """A teacher that is not trained, the larger one and the first, and a part whose size is not known yet."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = tiny("gpt2", n_inner=12).requires_grad_(False)
        self.student = small_model(0.1)
        self.probe = nn.LazyLinear(3)


def test_what_is_said_of_the_run_is_of_the_model_that_is_trained() -> None:
    model = Distilling()
    student = model.student
    assert isinstance(student, PreTrainedModel)
    told = facts(model)
    assert told["model_config"] == student.config.to_json_string(use_diff=False)
    assert told["model_parameters"] == sum(p.numel() for p in student.parameters())


def partly_loaded() -> nn.Module:
    """The weights of another run in all layers but the last, which begins anew."""
    model, other = small_model(0.1), tiny("gpt2", seed=3)
    kept = {name: value for name, value in other.state_dict().items() if ".h.2." not in name}
    assert model.load_state_dict(kept, strict=False).missing_keys
    return model


def test_a_partly_loaded_model_is_trained_as_without_watching(tmp_path: Path) -> None:
    watching = monitor("plain", tmp_path)
    watched = by_hand(tmp_path, watching, partly_loaded)
    assert_same_run(watched, by_hand(tmp_path / "alone", None, partly_loaded))
    again = observed(partly_loaded(), instruments=["competence"], twins=0)
    np.testing.assert_array_equal(
        open_logbook(watching.logbook_path)["competence_margin"].sel(step=0), again["competence_margin"]
    )
