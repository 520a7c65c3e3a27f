"""Sinks, induction and concept depth: switched on by name, the same numbers live and from checkpoints, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from loop import fit, same, small_battery, weights, word_tokenizer

from observatory import open_logbook
from observatory.callbacks import PythiaCheckpoints, SpecializationMonitor
from observatory.replay.engine import replay

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning")

NAMES = ["attention", "induction", "depth", "modules"]


def test_they_are_the_same_live_and_replayed_and_training_does_not_notice(tmp_path: Path) -> None:
    watching = SpecializationMonitor(
        word_tokenizer(),
        tmp_path / "live.h5",
        "every 2",
        battery=small_battery(),
        twins=2,
        instruments=NAMES,
        recorders=(),
    )
    saving = PythiaCheckpoints(tmp_path / "checkpoints", "every 2", tokenizer=word_tokenizer())
    watched, _ = fit(tmp_path, [watching, saving], steps=4)
    out = replay(tmp_path / "checkpoints", tmp_path / "o.h5", battery=small_battery(), twins=2, instruments=NAMES)
    live, replayed = open_logbook(watching.logbook_path), open_logbook(out)
    assert replayed["step"].values.tolist() == [0, 2, 4]
    own = {str(name) for name in live.data_vars if str(name).partition("_")[0] in NAMES}
    assert len(own) > 20
    for name in own:
        np.testing.assert_array_equal(live[name].values, replayed[name].values, err_msg=name)
    assert float(np.abs(live["induction_score"].diff("step")).min()) > 0  # training did move it
    alone, _ = fit(tmp_path, [], steps=4)
    assert same(weights(watched), weights(alone))
