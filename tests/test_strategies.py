"""Two processes of Lightning's own strategies write the one logbook that a single process writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from loops import by_hand, monitor
from saved import assert_same
from strategies_child import STEPS, dropping, fit

from observatory import open_logbook

CHILD = Path(__file__).with_name("strategies_child.py")
LEFT = ("PL_", "OMP_", "MASTER_", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK", "GROUP_RANK", "RANK")
WAYS = ("ddp", "sharded", "ddp faulty", "fabric")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The strategy starts the second process, which goes through all of them, too; neither hangs."""
    folder = tmp_path_factory.mktemp("runs")
    ended = subprocess.run(
        [sys.executable, str(CHILD), str(folder), *WAYS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=CHILD.parent,
        # Another test in this process may have left Lightning a seed, and a port that it still listens on.
        env={name: value for name, value in os.environ.items() if not name.startswith(LEFT)},
        timeout=240,
    )
    assert ended.returncode == 0, ended.stdout
    return {way: folder / way for way in WAYS}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    folder = tmp_path_factory.mktemp("alone")
    return folder / "observations.h5", fit(folder, "alone").state_dict()


@pytest.mark.parametrize("way", ["ddp", "sharded"])
def test_two_processes_write_the_logbook_of_one(
    way: str, runs: dict[str, Path], alone: tuple[Path, dict[str, torch.Tensor]]
) -> None:
    path, weights = alone
    found = torch.load(runs[way] / "weights.pt")
    assert all(torch.equal(found[name], value) for name, value in weights.items())
    one, two = open_logbook(path), open_logbook(runs[way] / "observations.h5")
    assert two["step"].values.tolist() == list(range(STEPS + 1))
    assert_same(one, two, "tokens")
    assert two["tokens"].values.tolist() == [2 * count for count in one["tokens"].values.tolist()]
    assert two.attrs["model_config"] == one.attrs["model_config"]
    assert two.attrs["model_parameters"] == one.attrs["model_parameters"]
    assert sorted(found.name for found in runs[way].glob("*.h5")) == ["observations.h5"]


def test_two_processes_of_fabric_write_the_logbook_of_a_plain_loop(runs: dict[str, Path], tmp_path: Path) -> None:
    watching = monitor("plain", tmp_path)
    by_hand(tmp_path, watching, dropping)
    assert_same(open_logbook(watching.logbook_path), open_logbook(runs["fabric"] / "observations.h5"))


def test_an_error_of_one_process_is_a_gap_and_all_train_to_the_end(
    runs: dict[str, Path], alone: tuple[Path, dict[str, torch.Tensor]]
) -> None:
    logbook = open_logbook(runs["ddp faulty"] / "observations.h5")
    assert logbook["step"].values.tolist() == [0, 1, 3]
    assert logbook["gap_step"].values.tolist() == [2]
    assert "ZeroDivisionError: all is lost (on rank 1; the others are well)" in str(logbook["gap_reason"].values[0])
    found = torch.load(runs["ddp faulty"] / "weights.pt")
    assert all(torch.equal(found[name], value) for name, value in alone[1].items())
    np.testing.assert_array_equal(
        logbook["contrast_effect"].isel(step=-1), open_logbook(alone[0])["contrast_effect"].isel(step=-1)
    )
