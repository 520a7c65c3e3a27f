"""Training in half precision is left as it was, and the weights are observed in the precision they have."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from loops import (
    INSTRUMENTS,
    QUIET,
    Trained,
    assert_same_run,
    batches,
    by_fabric,
    by_lightning,
    by_trainer,
    loss_of,
    monitor,
    needs_accelerate,
    observed,
    optimizer_of,
    small_model,
)
from torch import nn

from observatory import Monitor, open_logbook

pytestmark = QUIET


def scaled() -> MixedPrecision:
    """Lightning itself takes bfloat16 instead on a CPU, and says so."""
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))


def scaled_by_hand(folder: Path, watching: Monitor | None, make: Callable[[], nn.Module]) -> Trained:
    """Half precision with a scale so large that the first steps are skipped."""
    torch.manual_seed(7)
    model = make()
    trained = Trained(model, optimizer := optimizer_of(model))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    if watching is not None:
        watching.begin(model, max_steps=12)
    for step, ids in zip(range(1, 13), batches(0), strict=False):
        with torch.autocast("cpu", dtype=torch.float16):
            loss = loss_of(model(input_ids=ids), ids)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        if watching is not None:
            watching.step(step, loss=loss)
    if watching is not None:
        watching.end()
    return trained


PRECISIONS: dict[str, tuple[Callable[..., Trained], dict[str, Any], torch.dtype]] = {
    "lightning bf16-mixed": (by_lightning, {"precision": "bf16-mixed"}, torch.float32),
    "lightning bf16-true": (by_lightning, {"precision": "bf16-true"}, torch.bfloat16),
    "lightning 16-true": (by_lightning, {"precision": "16-true"}, torch.float16),
    "lightning 16-mixed": (by_lightning, {"plugins": scaled}, torch.float32),
    "fabric bf16-mixed": (by_fabric, {"precision": "bf16-mixed"}, torch.float32),
    "fabric bf16-true": (by_fabric, {"precision": "bf16-true"}, torch.bfloat16),
    "plain 16-mixed": (scaled_by_hand, {}, torch.float32),
    "trainer bf16": (by_trainer, {"bf16": True}, torch.float32),
}


@pytest.mark.parametrize(
    "way", [pytest.param(name, marks=needs_accelerate if "trainer" in name else ()) for name in PRECISIONS]
)
def test_in_half_precision_no_bit_is_changed_and_the_weights_are_observed_as_they_are(way: str, tmp_path: Path) -> None:
    """Accelerate puts autocast into the model's own forward, where it came on again while the model was asked."""
    run, settings, dtype = PRECISIONS[way]
    both = [{name: value() if callable(value) else value for name, value in settings.items()} for _ in range(2)]
    watching = monitor(way.split()[0], tmp_path, "at 0 2", instruments=INSTRUMENTS)
    watched = run(tmp_path, watching, partial(small_model, 0.1), **both[0])
    assert_same_run(watched, run(tmp_path / "alone", None, partial(small_model, 0.1), **both[1]))
    logbook = open_logbook(watching.logbook_path)
    assert logbook.attrs["provenance_dtype"] == str(dtype).removeprefix("torch.")
    steps = {0: 0, int(logbook["step"].values[-1]): -1}
    for step, at in steps.items():
        model = small_model(0.1).to(dtype)
        model.load_state_dict(watched.weights[at])
        again = observed(model, instruments=INSTRUMENTS, twins=0)
        for name in again.variables.keys() - {"contrast_stability"}:  # a matter of change
            np.testing.assert_array_equal(logbook[name].sel(step=step), again[name], err_msg=name)


def test_a_step_that_the_gradient_scaler_skips_is_observed_like_any(tmp_path: Path) -> None:
    watching = monitor("plain", tmp_path)
    trained = scaled_by_hand(tmp_path, watching, partial(small_model, 0.1))
    assert 1 < len(trained.weights) < 13
    assert open_logbook(watching.logbook_path)["step"].values.tolist() == list(range(13))
