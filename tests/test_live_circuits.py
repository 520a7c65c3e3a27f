"""Competence, circuits and lesions in a live run: training is as without them, and a replay gives the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from loop import fit, same, weights, word_tokenizer
from tasks import battery_with_tasks

from observatory import open_logbook
from observatory.callbacks import PythiaCheckpoints, SpecializationMonitor
from observatory.cli import main
from observatory.replay.engine import replay
from observatory.stimuli.battery_file import domain_text

ALL = ["contrast", "competence", "circuits", "lesions", "hidden"]
TWINS = 2
ONLY_LIVE = {"train_loss", "time", "seconds", "recorded", "recorded_name"}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
    ),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Live observations at steps 0, 2, 4 and 5, checkpoints of all of them, and the weights at the end."""
    folder = tmp_path_factory.mktemp("run")
    watching = SpecializationMonitor(
        word_tokenizer(),
        folder / "live.h5",
        "every 2",
        battery=battery_with_tasks(),
        instruments=ALL,
        twins=TWINS,
        recorders=(),
    )
    saving = PythiaCheckpoints(folder / "checkpoints", "every 2", tokenizer=word_tokenizer())
    module, _ = fit(folder, [watching, saving], steps=5)
    alone, _ = fit(folder / "alone", [], steps=5)
    assert same(weights(module), weights(alone))
    return folder


def test_training_is_as_it_would_be_and_all_is_recorded(run: Path) -> None:
    """That the weights are the same is asserted where the run is made."""
    live = open_logbook(run / "live.h5")
    assert live["step"].values.tolist() == [0, 2, 4, 5]
    for name in (
        "competence_margin",
        "circuits_shared",
        "circuits_region_mlp",
        "lesions_intact_margin",
        "hidden_margin",
    ):
        assert name in live
    assert np.isfinite(live["competence_margin"]).all()
    told = np.isfinite(live["lesions_intact_margin"]).any(("task", "tried_pair", "prompt"))
    assert told.values.tolist() == [True, True, False, True]  # at 0, first after 1, and the last
    assert np.isfinite(live["competence_margin_twins"]).all()


def test_a_replay_gives_the_same(run: Path, tmp_path: Path) -> None:
    out = replay(
        run / "checkpoints", tmp_path / "replayed.h5", battery=battery_with_tasks(), instruments=ALL, twins=TWINS
    )
    assert_equal(open_logbook(run / "live.h5"), open_logbook(out))


def assert_equal(live: xr.Dataset, replayed: xr.Dataset) -> None:
    assert set(live.variables) - ONLY_LIVE == set(replayed.variables) - ONLY_LIVE
    for name in set(live.variables) - ONLY_LIVE:
        np.testing.assert_array_equal(live[name].values, replayed[name].values, err_msg=str(name))


def test_one_line_of_yaml_switches_them_on(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "battery").mkdir()
    for domain in battery_with_tasks().domains:
        (tmp_path / "battery" / f"{domain.name}.json").write_text(domain_text(domain))
    settings = {
        "source": str(run / "checkpoints"),
        "out": str(tmp_path / "o.h5"),
        "battery": str(tmp_path / "battery"),
        "twins": 0,
        "steps": "at 5",
        "instruments": [
            "competence",
            "contrast",
            {"class_path": "observatory.measure.instruments.Lesions", "init_args": {"of": "contrast", "controls": 2}},
        ],
    }
    (tmp_path / "replay.yaml").write_text(yaml.safe_dump(settings))
    main(["replay", "--config", str(tmp_path / "replay.yaml")])
    found = open_logbook(tmp_path / "o.h5")
    assert found["mask"].values.tolist() == ["region", "matched 1", "matched 2"]
    assert "lesions" in capsys.readouterr().out


def test_an_unknown_instrument_is_told_from_those_there_are(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no instrument 'circuit'; there are .*circuits, competence"):
        replay(run / "checkpoints", tmp_path / "o.h5", instruments=["circuit"])


def test_lesions_of_what_nobody_measures_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lesions goes on from what circuits measures, which must stand before it"):
        replay(run / "checkpoints", tmp_path / "o.h5", instruments=["lesions", "circuits"])
