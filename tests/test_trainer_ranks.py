"""The Trainer of transformers on two processes: one of them writes the logbook, and it says what one process says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from loops import needs_accelerate, observed
from test_strategies import LEFT
from trainer_child import STEPS, dropping

from observatory import open_logbook

CHILD = Path(__file__).with_name("trainer_child.py")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@needs_accelerate
def test_two_processes_write_one_logbook_of_what_they_train(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(LEFT)}
    world = {**clean, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, str(CHILD), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=CHILD.parent,
            env={**world, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    try:
        told = [process.communicate(timeout=240)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], told
    weights = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    (watched, alone), (others, _) = weights
    assert len(watched) == STEPS + 1
    for here, unwatched, there in zip(watched, alone, others, strict=True):
        assert all(
            torch.equal(value, unwatched[name]) and torch.equal(value, there[name]) for name, value in here.items()
        )
    assert [path.name for path in tmp_path.rglob("*.h5")] == ["observations.h5"]
    logbook = open_logbook(tmp_path / "watched" / "observations.h5")
    assert logbook["step"].values.tolist() == list(range(STEPS + 1))
    assert logbook["tokens"].values.tolist() == [2 * 4 * 8 * step for step in range(STEPS + 1)]
    model = dropping()
    for step, state in enumerate(watched):
        model.load_state_dict(state)
        again = observed(model, instruments=["competence"], twins=0)
        here = logbook["competence_log_probability"].sel(step=step)
        np.testing.assert_array_equal(here, again["competence_log_probability"])
    assert float(np.abs(logbook["competence_margin"].diff("step")).max()) > 0
