"""All instruments in one recipe: trained, drawn, reported and compared, with the forward passes that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from loop import small_battery, word_tokenizer
from models import tiny
from torch import Tensor, nn

from observatory import Observatory, open_logbook
from observatory.cli import main
from observatory.review.effects.headlines import headline_names
from observatory.review.effects.milestones import milestones
from observatory.review.figures.plot import FIGURES
from observatory.stimuli.battery import Battery, load_battery
from observatory.stimuli.battery_file import domain_text

pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
    ),
]
HEADLINES = {
    "attention_sink_share",
    "attention_strongest_induction",
    "depth_best_accuracy",
    "hidden_above",
    "induction_in_context_score",
    "induction_score",
    "massive_largest_ratio",
    "modules_beyond",
    "modules_excess",
    "pruning_removed",
    "rank_participation",
    "sparsity_gini",
    "weights_rank",
}
ALL_FIGURES = {
    *("strength", "onsets", "layers", "region_stability", "competence", "lead_lag", "joint", "robustness"),
    *("massive", "sparsity", "rank", "weights", "pruning", "attention", "induction", "depth", "modules", "hidden"),
}


def less(battery: Battery) -> Battery:
    """Two domains of the built-in one, with two families and one task each."""
    return replace(
        battery,
        domains=tuple(
            replace(
                domain,
                families=tuple(replace(one, items=one.items[:6]) for one in domain.families[:2]),
                tasks=tuple(replace(one, pairs=one.pairs[:12]) for one in domain.tasks[:1]),
            )
            for domain in battery.domains[:2]
        ),
    )


def test_a_recipe_with_every_instrument_is_shown_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("battery").mkdir()
    for domain in less(load_battery()).domains:
        (Path("battery") / f"{domain.name}.json").write_text(domain_text(domain))
    recipe: dict[str, Any] = yaml.safe_load((Path(str(files("observatory.configs"))) / "instruments.yaml").read_text())
    recipe["model"] |= {"hidden_size": 16, "layers": 2, "heads": 2, "context": 64}
    recipe["data"]["init_args"] |= {"sequence_length": 16, "batch_size": 2}
    recipe["trainer"] |= {"max_steps": 6, "logger": False, "enable_progress_bar": False}
    watching, _ = recipe["trainer"]["callbacks"]
    watching["init_args"] |= {"schedule": "every 1", "battery": "battery", "twins": 3}
    recipe["trainer"]["callbacks"] = [watching]
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    main(["train", "fit", "--config", "recipe.yaml"])
    out = Path("runs/instruments/observations.h5")
    logbook = open_logbook(out)
    assert logbook["step"].values.tolist() == list(range(7))
    assert set(headline_names(logbook)) == HEADLINES
    for name in HEADLINES:
        assert np.isfinite(logbook[name][0]), name
        assert np.isfinite(logbook[name][-1]), name
    drawn = {name: one.draw(logbook) for name, one in FIGURES.items() if not one.lacking(logbook)}  # files take longer
    assert set(drawn) == ALL_FIGURES
    assert all(panel.has_data() for figure in drawn.values() for panel in figure.axes[:1])
    assert {one.name for one in milestones(logbook)} > {*HEADLINES, "language", "train_loss"}
    main(["report", str(out), "--out", "report.html"])
    capsys.readouterr()
    page = Path("report.html").read_text().partition('id="h-beside"')[2].partition("</section>")[0]
    labels = [logbook[name].attrs["headline"] for name in HEADLINES]
    assert page.count('<tr><th scope="row">') == len(HEADLINES)
    assert all(f"<bdi>{label}</bdi>" in page for label in labels)


class Passes:
    """How often the body of a model is run."""

    def __init__(self, body: nn.Module) -> None:
        self.calls, self.tokens = 0, 0
        body.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, body: nn.Module, given: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        ids = named["input_ids"] if "input_ids" in named else given[0]
        self.calls, self.tokens = self.calls + 1, self.tokens + int(torch.as_tensor(ids).numel())


def passes(instruments: Sequence[str]) -> tuple[int, int]:
    model = tiny("gpt_neox")
    counted = Passes(model.gpt_neox)
    watching = Observatory(word_tokenizer(), battery=small_battery(), instruments=instruments, twins=2)
    watching.observe(model, step=0)
    return counted.calls, counted.tokens


SHARED = ["massive", "sparsity", "rank", "depth", "modules"]


def test_what_reads_the_shared_pass_or_weights_alone_costs_no_pass_in_any_number() -> None:
    alone = passes(["contrast"])
    assert alone[0] > 0
    assert passes(["contrast", *SHARED, "weights"]) == alone
    assert passes([*reversed(SHARED), "contrast"]) == alone
    assert passes(SHARED) == alone
    assert passes(["weights"]) == (0, 0)


@pytest.mark.parametrize("name", ["attention", "induction", "pruning"])
def test_passes_of_their_own_are_what_they_are_alone_and_no_more(name: str) -> None:
    calls, tokens = passes(["contrast"])
    own, read = passes([name])
    assert own > 0
    assert passes(["contrast", *SHARED, name]) == (calls + own, tokens + read)
