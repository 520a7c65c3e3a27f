"""Massive activations, against numpy one text at a time, planted ones, and what Gaussian values give by themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from loop import Language, fit, small_battery, word_tokenizer
from models import LAYERS, NanoGPT, seeded, tiny
from structural import STRUCTURAL, observed, recorded, shown
from test_extension import Counted
from torch import nn

from observatory import Observation, Observatory, open_logbook
from observatory.callbacks import SpecializationMonitor
from observatory.measure.instruments.massive import LARGEST, gaussian_ratio, largest_and_median

WIDTH = 16


def blocks_of(model: nn.Module) -> list[nn.Module]:
    return list(model.transformer["h"])


@pytest.fixture(scope="module")
def seen() -> Observation:
    return observed(seeded(NanoGPT), "massive")


def test_values_and_places_are_those_of_each_text_run_alone(seen: Observation) -> None:
    model = seeded(NanoGPT)
    for layer, outputs in enumerate(recorded(model, blocks_of(model), "output")):
        tops, medians, places = [], [], []
        for output in outputs:
            magnitude = np.abs(output)
            order = np.argsort(magnitude, axis=None)[::-1][:LARGEST]
            tops.append(magnitude.flat[order])
            medians.append(np.sort(magnitude, axis=None)[(magnitude.size - 1) // 2])
            places.append([divmod(int(one), WIDTH) for one in order])
        np.testing.assert_allclose(seen["massive_top"][layer], np.mean(tops, 0), rtol=1e-5)
        np.testing.assert_allclose(seen["massive_median"][layer], np.mean(medians), rtol=1e-5)
        ratio = np.mean(np.array(tops)[:, 0] / medians)
        np.testing.assert_allclose(seen["massive_ratio"][layer], ratio, rtol=1e-5)
        first = np.mean([one[0][0] == 0 for one in places])
        np.testing.assert_allclose(seen["massive_at_first"][layer], first, rtol=1e-6)
        for rank in range(LARGEST):
            met = [one[rank] for one in places]
            share = met.count((seen["massive_position"][layer, rank], seen["massive_channel"][layer, rank])) / len(met)
            assert share == max(met.count(one) for one in met) / len(met)
            assert seen["massive_same_place"][layer, rank] == pytest.approx(share)


def test_the_record_says_which_axis_is_what(seen: Observation) -> None:
    dims = {name.removeprefix("massive_"): variable.dims for name, variable in seen.variables.items()}
    by_rank = dict.fromkeys(("top", "position", "channel", "same_place"), ("layer", "largest"))
    by_layer = dict.fromkeys(("ratio", "median", "at_first", "floor"), ("layer",))
    assert dims == by_rank | by_layer | {"largest_ratio": ()}
    assert seen["massive_largest_ratio"] == seen["massive_ratio"].max()
    assert seen.coordinates["largest"].tolist() == [1, 2, 3]


def test_a_channel_that_is_blown_up_at_the_first_token_is_found_there() -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        model.transformer["wpe"].weight[0, 5] = 500.0
        model.transformer["wpe"].weight[2, 9] = -300.0
    seen = observed(model, "massive")
    np.testing.assert_array_equal(seen["massive_position"][:, :2], [[0, 2]] * LAYERS)
    np.testing.assert_array_equal(seen["massive_channel"][:, :2], [[5, 9]] * LAYERS)
    np.testing.assert_array_equal(seen["massive_same_place"][:, :2], 1)
    np.testing.assert_array_equal(seen["massive_at_first"], 1)
    np.testing.assert_allclose(seen["massive_top"][:, :2], [[500, 300]] * LAYERS, rtol=0.02)
    assert (seen["massive_ratio"] > 100).all()


def test_a_channel_that_one_block_blows_up_is_massive_from_there_on() -> None:
    model = seeded(NanoGPT)
    plain = observed(model, "massive")
    with torch.no_grad():
        blocks_of(model)[1].mlp.c_proj.bias[7] = -800.0
    seen = observed(model, "massive")
    np.testing.assert_array_equal(seen["massive_ratio"][0], plain["massive_ratio"][0])
    np.testing.assert_array_equal(seen["massive_channel"][1:], 7)
    assert (seen["massive_ratio"][1:] > 100).all()


@pytest.mark.parametrize("count", [3, 100, 2000, 10**6])
def test_the_floor_is_the_expectation_over_gaussian_samples(count: int) -> None:
    draw = np.random.default_rng(0)
    largest = [np.abs(draw.standard_normal(count)).max() for _ in range(max(20, 2 * 10**5 // count))]
    expected, spread = np.mean(largest), np.std(largest) / np.sqrt(len(largest))
    assert gaussian_ratio(count) * 0.674490 == pytest.approx(expected, abs=5 * spread)
    assert gaussian_ratio(count) < np.sqrt(2 * np.log(2 * count)) / 0.674490  # the bound that is quoted for it


def test_gaussian_activations_lie_on_the_floor() -> None:
    values = largest_and_median(torch.randn(400, 20, 64, generator=torch.Generator().manual_seed(0)))[..., 0]
    ratios = values[0] / values[LARGEST]
    assert float(ratios.mean()) == pytest.approx(gaussian_ratio(20 * 64), abs=4 * float(ratios.std()) / 20)


def test_an_untrained_network_lies_near_the_floor_and_says_what_it_is() -> None:
    model = tiny("gpt_neox", hidden_size=64, intermediate_size=256)
    with torch.no_grad():  # as transformers makes it: matrices Gaussian, biases zero, norms one
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.02, generator=torch.Generator().manual_seed(len(name)))
            else:
                parameter.fill_(float("norm" in name and name.endswith("weight")))
    seen = observed(model, "massive")
    lengths = [len(one) for one in shown()]
    np.testing.assert_allclose(seen["massive_floor"], np.mean([gaussian_ratio(64 * n) for n in lengths]), rtol=1e-6)
    np.testing.assert_allclose(seen["massive_ratio"], seen["massive_floor"], rtol=0.2)
    assert seen["massive_ratio"].mean() == pytest.approx(seen["massive_floor"].mean(), rel=0.1)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_leaves_no_number_behind(value: float) -> None:
    model = seeded(NanoGPT)
    with torch.no_grad():
        blocks_of(model)[1].mlp.c_proj.bias[3] = value
    seen = observed(model, "massive")
    for name in ("ratio", "top", "median", "position", "channel", "same_place", "at_first"):
        assert np.isfinite(seen[f"massive_{name}"][0]).all()
        assert np.isnan(seen[f"massive_{name}"][1:]).all()


def test_a_block_that_writes_nothing_has_no_ratio() -> None:
    class Silent(NanoGPT):
        def __init__(self) -> None:
            super().__init__()
            for parameter in self.parameters():
                nn.init.zeros_(parameter)

    seen = observed(seeded(Silent), "massive")
    assert np.isnan(seen["massive_ratio"]).all()
    np.testing.assert_array_equal(seen["massive_top"], 0)


def test_half_precision_gives_what_single_gives_but_for_rounding() -> None:
    half, single = observed(seeded(NanoGPT).bfloat16(), "massive"), observed(seeded(NanoGPT), "massive")
    np.testing.assert_allclose(half["massive_ratio"], single["massive_ratio"], rtol=0.05)


def passes(*instruments: str) -> tuple[int, int]:
    model = tiny("gpt_neox")
    counted = Counted(model.gpt_neox.embed_in)
    observed(model, *instruments)
    return counted.calls, counted.tokens


def test_structural_readings_take_no_pass_of_their_own() -> None:
    alone = passes("contrast")
    assert alone[1] == sum(map(len, shown()))
    assert passes("contrast", "massive", "sparsity", "rank") == alone == passes("massive")
    assert passes("weights") == (0, 0)


def test_what_does_not_fit_in_memory_together_is_the_same() -> None:
    whole = observed(tiny("gpt_neox"), "massive", "sparsity", "rank")
    parts = observed(tiny("gpt_neox"), "massive", "sparsity", "rank", memory=1)
    for name in whole.variables:
        np.testing.assert_array_equal(parts[name], whole[name], err_msg=name)


def test_layer_readings_are_not_reckoned_as_units() -> None:
    def values(*instruments: str) -> int:
        watching = Observatory(word_tokenizer(), battery=small_battery(), instruments=instruments, twins=0)
        return watching.needs(tiny("gpt_neox")).values

    entries = 2 * 4 * len(shown()) * LAYERS  # held twice, in single precision
    assert values("massive") == entries * (3 * LARGEST + 1)
    assert values("rank") == entries * (16 + 20)


def test_twins_are_measured_as_models() -> None:
    seen = observed(tiny("gpt_neox"), "massive", "sparsity", "rank", twins=2)
    names = {name for name in seen.variables if name.endswith("_twins")}
    own = {name for name in seen.variables if name.partition("_")[0] in ("sparsity", "rank")} - names
    assert names == {"massive_ratio_twins", "massive_largest_ratio_twins"} | {f"{name}_twins" for name in own}
    headlines = {f"{name}_twins" for name in ("massive_largest_ratio", "sparsity_gini", "rank_participation")}
    for name in names:
        assert seen.variables[name].dims == (("twin",) if name in headlines else ("twin", "layer"))
        assert np.isfinite(seen[name]).all()
        assert (seen[name][0] != seen[name][1]).any() or "dead" in name


def test_by_name_a_run_records_what_its_last_weights_give_again(tmp_path: Path) -> None:
    watching = SpecializationMonitor(
        word_tokenizer(),
        tmp_path / "o.h5",
        "every 2",
        battery=small_battery(),
        twins=0,
        instruments=STRUCTURAL,
        recorders=(),
    )
    module, _ = fit(tmp_path, [watching], steps=4, module=Language())
    logbook = open_logbook(watching.logbook_path)
    assert logbook["step"].values.tolist() == [0, 2, 4]
    again = observed(module.model, *STRUCTURAL)
    for name, variable in again.variables.items():
        np.testing.assert_array_equal(logbook[name].sel(step=4), variable.values, err_msg=name)
    assert np.isfinite(logbook["pruning_removed"].sel(step=[0, 4])).all()
