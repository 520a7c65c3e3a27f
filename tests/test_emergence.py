"""From a recorded logbook to what is said of it: planted curves, and models in which there is nothing to find."""

from __future__ import annotations

import json
from math import expm1, inf, log1p, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from loop import small_battery, word_tokenizer
from models import tiny
from recorded import recorded
from scipy.special import expit
from transformers import PreTrainedModel
from verdicts import planted, step_up

from observatory import Logbook, Observatory, open_logbook
from observatory.cli import main
from observatory.measure.instruments.contrast import ContrastLocalizer
from observatory.observation import Array
from observatory.review.judge.emergence import Emergence, emergence, plain
from observatory.review.judge.evidence import CONDITIONS, LEVELS
from observatory.review.judge.rise import ChangePoint, Sigmoid
from observatory.review.judge.verdict import NONE, UNKNOWN, Episode
from observatory.stimuli.battery import Battery, Domain

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
STEPS = sorted({0, *(round(10 ** (k / 4)) for k in range(17))})


def sigmoid(middle: float, width: float = 0.4, height: float = 0.8) -> Array:
    curve: Array = height * expit((np.log1p(STEPS) - middle) / width)
    return curve


def crossing(logbook: xr.Dataset, domain: str, floor: float) -> float:
    """Where the straight line in log(1 + step) between two observations passes the floor."""
    curve = logbook["contrast_index"].sel(domain=domain).values[:, 0, 0]
    place = int(np.flatnonzero(curve > floor)[0])
    low, high = log1p(STEPS[place - 1]), log1p(STEPS[place])
    return expm1(low + (floor - curve[place - 1]) / (curve[place] - curve[place - 1]) * (high - low))


@pytest.fixture(scope="module")
def made() -> xr.Dataset:
    curves = {"early": sigmoid(3.0), "late": sigmoid(6.0), "never": np.zeros(len(STEPS)), "sudden": step_up(STEPS, 500)}
    return planted(STEPS, curves, general={"early"}, specific={"early", "sudden", "never"}, gaps=[77])


@pytest.fixture(scope="module")
def file(made: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("planted") / "o.h5", made)


@pytest.fixture(scope="module")
def judged(file: Path) -> Emergence:
    return emergence(open_logbook(file))


def test_each_domain_has_the_level_that_was_planted(judged: Emergence) -> None:
    levels = {one.domain: one.level for one in judged.verdicts}
    assert levels == {"early": "general", "late": "selective", "never": NONE, "sudden": "specific"}
    assert {one.domain: one.holds_at_last for one in judged.verdicts} == levels
    assert list(judged.onsets) == ["early", "late", "sudden"]
    assert judged.steps == tuple(STEPS)
    assert judged.tokens == tuple(2048 * step for step in STEPS)


def test_it_emerged_between_the_observations_round_the_planted_rise(judged: Emergence) -> None:
    sudden = next(one for one in judged.verdicts if one.domain == "sudden")
    place = next(i for i, step in enumerate(STEPS) if step >= 500)
    assert sudden.episodes["selective"] == (Episode(STEPS[place - 1], STEPS[place]),)


def test_the_onset_is_where_the_planted_curve_passes_its_floor(made: xr.Dataset, judged: Emergence) -> None:
    for name in ("early", "late", "sudden"):
        one = next(verdict for verdict in judged.verdicts if verdict.domain == name)
        onset = judged.onsets[name]
        expected = crossing(made, name, one.floor)
        assert onset.crossing == pytest.approx(expected)
        low, high, never = onset.crossing_interval
        assert low < expected < high
        assert never == 0
        assert onset.draws.shape == (made.sizes["draw"],)
        assert log1p(high) - log1p(low) < 1


def test_a_sigmoid_is_found_with_its_middle_and_a_jump_is_none(judged: Emergence) -> None:
    for name, middle in (("early", 3.0), ("late", 6.0)):
        onset = judged.onsets[name]
        assert isinstance(onset.rise.shape, Sigmoid)
        assert log1p(onset.rise.shape.midpoint) == pytest.approx(middle, abs=0.01)
        low, high, _ = onset.midpoint_interval
        assert low <= onset.rise.shape.midpoint * 1.01
        assert high >= onset.rise.shape.midpoint * 0.99
    jump = judged.onsets["sudden"]
    assert isinstance(jump.rise.shape, ChangePoint)
    assert np.isnan(jump.midpoint_interval).all()


def test_orders_are_of_domains_that_emerged_and_add_up_to_one(judged: Emergence) -> None:
    assert judged.orders[0].groups == (("early",), ("late",), ("sudden",))
    assert sum(order.probability for order in judged.orders) == pytest.approx(1)
    assert judged.orders[0].probability > 0.5


def test_the_order_of_two_that_rise_together_is_left_open() -> None:
    """Their resamples are independent, so that either is the first in about half of them."""
    both = emergence(planted(STEPS, {"a": sigmoid(5.0), "b": sigmoid(5.0) + 1e-4}, spread=0.05))
    shares = {order.groups: order.probability for order in both.orders}
    assert shares[("a",), ("b",)] + shares[("b",), ("a",)] == pytest.approx(1, abs=0.1)
    assert 0.3 < shares[("a",), ("b",)] < 0.7
    assert "a, b emerged between observations that overlap: their order rests on interpolation" in both.notes


def test_notes_tell_what_to_know_before_believing_it(judged: Emergence) -> None:
    assert judged.notes == ("1 observation that was due is missing",)
    late = planted([5, 10, 100, 1000], {"a": [0, 0.7, nan, 0.7], "b": [0.7, 0.7, 0.7, 0.7]})
    notes = emergence(late).notes
    assert "step 0 was not observed: growth is judged against the untrained twins instead" in notes
    assert "a: 1 observations say nothing, the last of them at step 100" in notes
    assert not any(note.startswith("b:") for note in notes)


@pytest.mark.parametrize("steps", [[0, 10], [0, 10, 100], [0, 1, 10, 100, 1000]])
def test_few_observations_are_judged_without_a_middle(steps: list[int]) -> None:
    """Fewer than six used to end in an error, since no sigmoid fits them."""
    found = emergence(planted(steps, {"a": np.full(len(steps), 0.7), "b": np.zeros(len(steps))}))
    assert [one.level for one in found.verdicts] == ["general", NONE]
    assert found.onsets["a"].crossing == 0
    assert np.isnan(found.onsets["a"].midpoint_interval).all()


def test_resamples_that_say_nothing_at_most_steps_leave_no_middle_and_no_error() -> None:
    logbook = planted(STEPS, {"a": sigmoid(5.0), "b": np.zeros(len(STEPS))})
    logbook["contrast_index_resampled"] = logbook["contrast_index_resampled"].copy(deep=True)
    logbook["contrast_index_resampled"][1 : len(STEPS) - 4] = nan
    onset = emergence(logbook).onsets["a"]
    assert isinstance(onset.rise.shape, Sigmoid)
    assert np.isnan(onset.midpoint_interval).all()


def test_a_model_that_diverged_is_not_said_to_have_what_it_had() -> None:
    curve = np.where(np.array(STEPS) > 2000, nan, sigmoid(5.0))
    (one, _) = emergence(planted(STEPS, {"a": curve, "b": np.zeros(len(STEPS))})).verdicts
    assert one.level == "general"
    assert one.holds_at_last == UNKNOWN
    assert one.episodes["general"][-1].lost_by is None


# As JSON


def strictly(text: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    content: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return content


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(["emergence", *arguments])
    return capsys.readouterr().out


KEYS = {
    "": "format format_version criteria steps tokens verdicts onsets orders notes",
    "criteria": "alpha delta",
    "verdicts": "domain level reason readout index interval floor holds_at_last episodes",
    "readout": "space pooling",
    "episodes": "selective specific general",
    "episode": "after by lost_after lost_by",
    "onset": "crossing crossing_interval rise midpoint_interval",
    "interval": "low high share_never",
    "orders": "groups never probability",
}


def test_the_command_prints_json_with_stable_keys(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = strictly(printed(capsys, str(file), "--json", "true"))
    first, onset = content["verdicts"][0], content["onsets"]["early"]
    found = {
        "": content,
        "criteria": content["criteria"],
        "verdicts": first,
        "readout": first["readout"],
        "episodes": first["episodes"],
        "episode": first["episodes"]["general"][0],
        "onset": onset,
        "interval": onset["crossing_interval"],
        "orders": content["orders"][0],
    }
    assert {name: " ".join(value) for name, value in found.items()} == KEYS
    assert (content["format"], content["format_version"]) == ("observatory-emergence", "1.0")
    assert [one["level"] for one in content["verdicts"]] == ["general", "selective", NONE, "specific"]
    assert content["onsets"]["sudden"]["midpoint_interval"] == {"low": None, "high": None, "share_never": None}


@pytest.mark.parametrize("lost", ["contrast_index", "contrast_index_twins", "contrast_index_resampled"])
def test_what_is_not_a_number_is_null_in_json(
    lost: str, made: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recorded(tmp_path / "o.h5", made.assign({lost: xr.full_like(made[lost], nan)}))
    content = strictly(printed(capsys, str(path), "--json", "true"))
    assert all(one["level"] in (NONE, UNKNOWN) for one in content["verdicts"])


def test_a_step_that_is_never_reached_is_a_word_in_json() -> None:
    assert plain({"a": (inf, -inf, nan, 1.5), "b": [True, None, 3]}) == {
        "a": ["never", None, None, 1.5],
        "b": [True, None, 3],
    }


def test_the_command_prints_a_table(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = printed(capsys, str(file))
    for words in (
        "early",
        "general",
        "not emerged",
        "1 observation that was due is missing",
        "early < late < sudden",
    ):
        assert words in told
    assert "general" not in printed(capsys, str(file), "--delta", "3").split("note")[0].replace("not general", "")
    assert UNKNOWN in printed(capsys, str(file), "--alpha", "0.0001")


# Models in which there is nothing to find


def observed(path: Path, models: list[PreTrainedModel], battery: Battery | None = None) -> Emergence:
    """A few models as if they were steps of one run."""
    observatory = Observatory(word_tokenizer(), battery=battery or small_battery(), twins=4)
    with Logbook(path) as book:
        for step, model in enumerate(models):
            book.record(observatory.observe(model, step, previous=book.last()))
    return emergence(open_logbook(path))


def constant() -> PreTrainedModel:
    """Every weight 0, so that no unit ever changes."""
    model = tiny("gpt_neox")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model


def diverged(seed: int) -> PreTrainedModel:
    model = tiny("gpt_neox", seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(nan)
    return model


def one_family() -> Battery:
    domains = [Domain(one.name, "random words", one.families[:1], ()) for one in small_battery().domains]
    return Battery("single", tuple(domains))


def test_of_domains_with_one_family_nothing_can_be_said(tmp_path: Path) -> None:
    found = observed(tmp_path / "o.h5", [tiny("gpt_neox", seed) for seed in range(2)], one_family())
    for one in found.verdicts:
        assert (one.level, one.holds_at_last) == (UNKNOWN, UNKNOWN)
        assert "a domain needs two families of stimuli or more" in one.reason


def test_of_units_that_never_change_nothing_can_be_said(tmp_path: Path) -> None:
    found = observed(tmp_path / "o.h5", [constant(), constant()])
    assert {one.level for one in found.verdicts} == {UNKNOWN}
    assert all("units whose activations vary and are finite" in one.reason for one in found.verdicts)


def test_nothing_emerges_in_untrained_models_and_nothing_once_their_weights_are_lost(tmp_path: Path) -> None:
    found = observed(tmp_path / "o.h5", [tiny("gpt_neox", 0), tiny("gpt_neox", 1), diverged(2)])
    assert found.steps == (0, 1, 2)
    for one in found.verdicts:
        assert one.level == NONE
        assert one.holds_at_last == UNKNOWN
        assert not any(one.episodes.values())
        assert np.isfinite([one.index, one.floor]).all()
        assert any(one.reason.split(" for ")[1].startswith(name) for name in CONDITIONS[LEVELS[0]])
    assert [note for note in found.notes if "say nothing" in note] == [
        f"{name}: 1 observations say nothing, the last of them at step 2" for name in ("alpha", "beta")
    ]


def test_the_same_weights_twice_are_one_observation(tmp_path: Path) -> None:
    found = observed(tmp_path / "o.h5", [tiny("gpt_neox", 0), tiny("gpt_neox", 0)])
    assert found.steps == (0,)
    assert found.notes == ("step 1 is a copy of step 0 and is not counted",)
    assert {one.level for one in found.verdicts} == {UNKNOWN}


def test_without_draws_or_twins_the_reason_says_what_to_switch_on(tmp_path: Path) -> None:
    for name, settings, told in (
        ("draws", {"instruments": [ContrastLocalizer(draws=0)], "twins": 4}, "ContrastLocalizer(draws=...) above 0"),
        ("twins", {"twins": 0}, "observe again with twins"),
    ):
        observatory = Observatory(word_tokenizer(), battery=small_battery(), **settings)  # type: ignore[arg-type]
        with Logbook(tmp_path / f"{name}.h5") as book:
            book.record(observatory.observe(tiny("gpt_neox"), 0))
        for one in emergence(open_logbook(tmp_path / f"{name}.h5")).verdicts:
            assert one.level == UNKNOWN
            assert told in one.reason
