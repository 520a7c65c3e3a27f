"""Extending it: a domain is a data file, an instrument and a recorder a class of one's own; no file here changes."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from loop import fit, small_battery, word_tokenizer
from models import tiny
from torch import Tensor, nn

from observatory import Gap, Instrument, Observation, Observatory, Recorder, Variable, load_battery, open_logbook
from observatory.callbacks import SpecializationMonitor
from observatory.cli import main
from observatory.measure.instruments import ContrastLocalizer
from observatory.measure.pooling import last_and_mean_magnitude
from observatory.measure.reading import Reading
from observatory.measure.scene import Scene
from observatory.review.figures.plot import plot
from observatory.stimuli.battery import BUILT_IN_FOLDER

pytestmark = [
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
    # Lightning sets up jsonargparse in ways that it has renamed.
    pytest.mark.filterwarnings(
        "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
    ),
]


def largest_last(activations: Tensor) -> Tensor:
    """The largest magnitude of each unit over the tokens that are read."""
    return activations[:, 1:].abs().amax(1)[None]


class Largest(Instrument):
    """A reading of its own beside one that the contrast localizer takes, too."""

    name = "largest"

    def __init__(self, space: str = "mlp") -> None:
        self.space = space

    def readings(self) -> tuple[Reading, ...]:
        return Reading(self.space, largest_last, values=1), Reading(self.space, last_and_mean_magnitude, values=2)

    def coordinates(self, scene: Scene) -> Mapping[str, Any]:
        return {"statistic": np.array(["largest", "last", "mean"])}

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        values = [
            float(torch.cat([part[reading][row] for part in scene.blocks(reading)], dim=-1).mean())
            for reading in self.readings()
            for row in range(reading.values)
        ]
        return {"magnitude": Variable(("statistic",), np.array(values), {"long_name": "mean magnitude"})}

    def __repr__(self) -> str:
        return f"Largest(space={self.space!r})"


class Lines(Recorder):
    """A line of JSON for every observation."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def record(self, observation: Observation) -> None:
        names = sorted(observation.variables)
        self._write({"step": observation.step, "tokens": observation.tokens, "variables": names})

    def gap(self, gap: Gap) -> None:
        self._write({"gap": gap.step})

    def close(self) -> None:
        self._write("the end")

    def _write(self, line: object) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


MUSIC = {
    "format": "observatory-battery/1",
    "domain": "music",
    "description": "Sounds against the same things at rest.",
    "families": [
        {
            "name": name,
            "control": "the same things at rest",
            "items": [
                {
                    "id": f"{name}-{i}",
                    "target": f"the {thing} {sounds} in hall {i}",
                    "control": f"the {thing} {rests} in hall {i}",
                }
                for i in range(6)
            ],
        }
        for name, thing, sounds, rests in (("singing", "choir", "sang", "sat"), ("strings", "violin", "rang", "lay"))
    ],
}


@pytest.fixture
def five_domains(tmp_path: Path) -> Path:
    """A folder with the built-in files, and one more among them."""
    folder = tmp_path / "battery"
    shutil.copytree(BUILT_IN_FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "music.json").write_text(json.dumps(MUSIC))
    return folder


class Counted(nn.Module):
    """How often a part of a model is called, and with how many tokens in all."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.calls, self.tokens = 0, 0
        part.register_forward_pre_hook(self.count)

    def count(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.calls += 1
        self.tokens += inputs[0].numel()


def test_a_fifth_domain_is_one_more_file(five_domains: Path, tmp_path: Path) -> None:
    from observatory.train.synthetic import corpus_tokenizer

    domains = ["language", "math", "music", "physical", "social"]
    model = tiny("gpt_neox", vocab_size=4096, max_position_embeddings=64)
    seen = Observatory(corpus_tokenizer(), battery=five_domains, twins=0).observe(model, step=0)
    assert seen.coordinates["domain"].tolist() == domains
    assert {"music/singing", "music/strings"} < set(seen.coordinates["family"].tolist())
    assert np.isfinite(seen["contrast_index"][..., domains.index("music")]).all()
    # The others have what they had without it, and it is the same however it is added.
    four = Observatory(corpus_tokenizer(), twins=0).observe(model, step=0)
    others = [domains.index(domain) for domain in four.coordinates["domain"].tolist()]
    np.testing.assert_array_equal(seen["contrast_index"][..., others], four["contrast_index"])
    assert load_battery(["built-in", five_domains / "music.json"]).hash == load_battery(five_domains).hash
    assert seen.provenance["battery"] == load_battery(five_domains).hash != four.provenance["battery"]


def test_a_new_domain_is_drawn_beside_the_others(five_domains: Path, tmp_path: Path) -> None:
    watching = SpecializationMonitor(
        word_tokenizer(), tmp_path / "o.h5", "every 1", battery=five_domains, twins=0, recorders=()
    )
    fit(tmp_path, [watching], steps=1)
    plot(open_logbook(watching.logbook_path), tmp_path / "figures")
    assert ">music<" in (tmp_path / "figures" / "strength.svg").read_text()


def test_a_second_passive_instrument_shares_the_forward_pass() -> None:
    def passes(*instruments: Instrument) -> tuple[int, int]:
        model = tiny("gpt_neox")
        counted = Counted(model.gpt_neox)
        Observatory(word_tokenizer(), battery=small_battery(), instruments=instruments, twins=0).observe(model, step=0)
        return counted.calls, counted.tokens

    alone = passes(ContrastLocalizer())
    assert alone[0] > 0
    assert passes(ContrastLocalizer(), Largest()) == alone
    assert passes(Largest(), ContrastLocalizer()) == alone
    assert passes(Largest()) == alone
    # Every stimulus went through once: 60 of 4 or 5 words and a first token.
    assert alone[1] == 30 * 5 + 30 * 6


def test_instruments_do_not_change_one_another() -> None:
    def seen(*instruments: Instrument) -> Observation:
        observatory = Observatory(word_tokenizer(), battery=small_battery(), instruments=instruments, twins=2)
        return observatory.observe(tiny("gpt_neox"), step=0)

    both, contrast, largest = seen(ContrastLocalizer(), Largest()), seen(ContrastLocalizer()), seen(Largest())
    assert set(both.variables) == {*contrast.variables, "largest_magnitude"}
    for name, variable in {**contrast.variables, **largest.variables}.items():
        np.testing.assert_array_equal(both[name], variable.values)
    most, last, mean = largest["largest_magnitude"]
    assert most > max(last, mean) > 0
    assert largest.provenance["settings"] == "Largest(space='mlp')"


def test_own_instruments_and_recorders_work_through_the_monitor(tmp_path: Path) -> None:
    watching = SpecializationMonitor(
        word_tokenizer(),
        tmp_path / "o.h5",
        "every 2",
        battery=small_battery(),
        twins=2,
        instruments=[ContrastLocalizer(), Largest("residual")],
        recorders=[Lines(str(tmp_path / "lines.jsonl"))],
    )
    fit(tmp_path, [watching], steps=4)
    logbook = open_logbook(watching.logbook_path)
    assert logbook["largest_magnitude"].dims == ("step", "statistic")
    assert logbook["statistic"].values.tolist() == ["largest", "last", "mean"]
    assert logbook["largest_magnitude"].attrs["long_name"] == "mean magnitude"
    assert logbook["contrast_index"].sizes["step"] == 3
    *lines, end = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert end == "the end"
    assert [line["step"] for line in lines] == [0, 2, 4]
    assert {"largest_magnitude", "contrast_index", "train_loss"} <= set(lines[-1]["variables"])


def test_they_are_switched_on_by_their_class_paths_in_a_recipe(
    five_domains: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in five_domains.glob("*.json"):  # a few items of each family will do
        content = json.loads(path.read_text())
        for family in content["families"]:
            family["items"] = family["items"][:4]
        path.write_text(json.dumps({**content, "tasks": []}))
    monitor = {
        "out": str(tmp_path / "o.h5"),
        "schedule": "every 1",
        "battery": [str(five_domains)],
        "twins": 2,
        "instruments": [
            {
                "class_path": "observatory.measure.instruments.ContrastLocalizer",
                "init_args": {"share": 0.05, "draws": 20},
            },
            {"class_path": "test_extension.Largest", "init_args": {"space": "residual"}},
        ],
        "recorders": [{"class_path": "test_extension.Lines", "init_args": {"path": str(tmp_path / "lines.jsonl")}}],
    }
    recipe = {
        "model": {"hidden_size": 16, "layers": 2, "heads": 2, "context": 64},
        "data": {
            "class_path": "observatory.train.SyntheticData",
            "init_args": {"sequence_length": 32, "batch_size": 2},
        },
        "trainer": {
            "max_steps": 1,
            "accelerator": "cpu",
            "default_root_dir": str(tmp_path),
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "callbacks": [{"class_path": "observatory.callbacks.SpecializationMonitor", "init_args": monitor}],
        },
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    main(["train", "fit", "--config", str(tmp_path / "recipe.yaml")])
    logbook = open_logbook(tmp_path / "o.h5")
    assert logbook["step"].values.tolist() == [0, 1]
    assert "music" in logbook["domain"].values
    assert logbook["largest_magnitude"].sizes["statistic"] == 3
    assert "ContrastLocalizer(share=0.05, draws=20); Largest(space='residual')" in logbook.attrs["provenance_settings"]
    assert len((tmp_path / "lines.jsonl").read_text().splitlines()) == 3


class Stateful(Instrument):
    """Counts what it has seen, as an instrument of somebody's own may."""

    name = "stateful"

    def __init__(self, space: str, times: int = 1) -> None:
        self.space, self.times, self.seen = space, times, 0

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        self.seen += 1
        return {}


def test_the_record_says_how_an_instrument_was_made_and_not_what_has_become_of_it() -> None:
    one, other = Stateful("mlp", times=2), pickle.loads(pickle.dumps(Stateful("mlp", times=2)))
    one.seen = 5
    assert repr(one) == repr(other) == "Stateful('mlp', times=2)"
    assert repr(Stateful("heads")) != repr(one)
