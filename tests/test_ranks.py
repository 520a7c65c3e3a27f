"""Several processes that train a model together give the observation that one would give, and err together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from models import tiny
from ranks_child import STEPS, WAYS, flat, trained
from saved import slow

from observatory.measure.gathered import gathered
from observatory.measure.ranks import ALONE, Ranks, all_ranks

CHILD = Path(__file__).with_name("ranks_child.py")


def run_together(size: int, folder: Path, *ways: str) -> Path:
    """As many processes, through all ways of training one after another."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(CHILD), str(rank), str(size), str(folder), *ways],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=CHILD.parent,
        )
        for rank in range(size)
    ]
    said = [one.communicate(timeout=240)[0] for one in processes]
    assert [one.returncode for one in processes] == [0] * size, "\n".join(said)
    return folder


@pytest.fixture(scope="module")
def alone() -> Mapping[str, np.ndarray]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seen, loss = trained("plain", ALONE, watched=True)
    torch.set_num_threads(threads)
    return {**flat(seen), "loss": loss.numpy()}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_together(2, tmp_path_factory.mktemp("two"), *WAYS, "error", "late", "losses")


def assert_as_alone(alone: Mapping[str, np.ndarray], folder: Path, way: str, size: int) -> None:
    for rank in range(size):
        with np.load(folder / f"{way}-{rank}.npz") as found:
            assert set(found.files) == {*alone, "unwatched"}
            assert found["loss"] == found["unwatched"]  # watching has changed nothing
            for name, value in alone.items():
                np.testing.assert_array_equal(found[name], value, err_msg=f"{name} on rank {rank}")


@pytest.mark.parametrize("way", WAYS)
def test_two_ranks_observe_what_one_does(way: str, alone: Mapping[str, np.ndarray], two: Path) -> None:
    steps = {name.partition("/")[0] for name in alone} - {"loss"}
    assert steps == {str(step) for step in range(STEPS + 1)}
    assert np.isfinite(alone["0/lesions_lesioned_margin"]).any()
    assert np.isfinite(alone["0/lesions_random_loss"]).all()
    assert np.isfinite(alone["0/corrupted_lesioned_margin"]).any()
    assert_as_alone(alone, two, way, 2)


@slow
def test_four_ranks_observe_what_one_does(alone: Mapping[str, np.ndarray], tmp_path: Path) -> None:
    run_together(4, tmp_path, "ddp", "fsdp", "sharded")
    for way in ("ddp", "fsdp", "sharded"):
        assert_as_alone(alone, tmp_path, way, 4)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("error", "ZeroDivisionError: all is lost"),
        (
            "late",
            "TimeoutError: the observation was not done within 1 s; raise the limit, or measure less at a time",
        ),
    ],
)
def test_an_error_of_one_rank_ends_the_observation_on_all_and_the_next_one_is_well(
    how: str, words: str, two: Path
) -> None:
    here, there = ((two / f"{how}-{rank}.txt").read_text().splitlines() for rank in (1, 0))
    assert here[0] == words
    assert there[0] == f"ElsewhereError: {words} (on rank 1; the others are well)"
    assert here[1] == there[1] != "0"


def test_the_loss_of_an_observation_is_the_mean_over_ranks(two: Path) -> None:
    assert (two / "losses-0.txt").read_text() == "0.5"


def test_passes_are_dealt_out_in_turn_and_one_process_has_them_all() -> None:
    class Third(Ranks):
        rank, size = 2, 3  # type: ignore[assignment]

    assert list(Third().own(range(8))) == [2, 5]
    assert list(ALONE.own(range(3))) == [0, 1, 2]
    values = torch.tensor([1.0])
    assert ALONE.total(values) is values
    assert ALONE.from_first("x") == "x"
    assert all_ranks().size == 1


def test_a_model_that_is_not_spread_is_left_alone() -> None:
    model = tiny("gpt_neox")
    before = {name: id(value) for name, value in vars(model).items()}
    with gathered(model):
        assert {name: id(value) for name, value in vars(model).items()} == before
