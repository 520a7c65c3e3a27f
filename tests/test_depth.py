"""Probes across families against least squares by numpy, and a concept that is planted in a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from loop import small_battery, word_tokenizer
from models import MLP, NanoGPT, seeded, tiny
from scenes import scene_of
from sklearn.linear_model import Ridge
from test_extension import Counted
from test_twins import weights_of
from torch import Tensor, nn

from observatory import Instrument, Observation, Observatory
from observatory.measure.anatomy import anatomy
from observatory.measure.instruments import ContrastLocalizer, find_instrument
from observatory.measure.instruments.depth import ConceptDepth
from observatory.measure.nulls import swapped_labels
from observatory.measure.probe import across_families, products, ridge
from observatory.measure.reading import Reading, SharedPass
from observatory.observation import Variable
from observatory.stimuli.battery import Battery

ITEMS, LAYERS, UNITS = 24, 4, 40
SHOWN = small_battery(ITEMS)
FAMILIES = [f"{family.domain}/{family.name}" for family in SHOWN.families]
Floats = np.ndarray


# The same by least squares -----------------------------------------------------------------------------------------


def by_least_squares(x: Floats, y: Floats, penalty: float) -> Floats:
    """Ridge regression as ordinary regression with rows for the penalty."""
    units = x.shape[1]
    rows = np.concatenate([x, np.sqrt(penalty * units) * np.eye(units)])
    weights: Floats = np.linalg.lstsq(rows, np.concatenate([y, np.zeros(units)]), rcond=None)[0]
    return weights


def scaled(targets: Floats, controls: Floats) -> Floats:
    apart: Floats = targets.astype(float) - controls
    return apart / np.sqrt((apart**2).mean(0))


@pytest.mark.parametrize("units", [5, 60], ids=["more pairs than units", "more units than pairs"])
@pytest.mark.parametrize("penalty", [0.1, 3.0])
def test_the_probe_is_ridge_regression(units: int, penalty: float) -> None:
    draw = np.random.default_rng(0)
    targets, controls = draw.normal(size=(2, 30, units)).astype(np.float32) * np.geomspace(0.01, 100, units)
    labels = draw.choice([-1.0, 1.0], (3, 20)).astype(np.float32)
    kernel = products(torch.from_numpy(targets).float(), torch.from_numpy(controls).float())
    x = scaled(targets.astype(np.float32), controls.astype(np.float32))
    np.testing.assert_allclose(kernel, x @ x.T / units, rtol=1e-10, atol=1e-10)
    assert float(kernel.diagonal().mean()) == pytest.approx(1)
    scores = ridge(kernel[:20, :20], torch.from_numpy(labels), kernel[20:, :20], penalty)
    expected = [x[20:] @ by_least_squares(x[:20], y, penalty) for y in labels.astype(float)]
    np.testing.assert_allclose(scores, expected, rtol=1e-8, atol=1e-10)
    told = x / np.sqrt(units)
    theirs = Ridge(alpha=penalty, fit_intercept=False).fit(told[:20], labels.T.astype(float)).predict(told[20:])
    np.testing.assert_allclose(scores, theirs.T, rtol=1e-8, atol=1e-10)


def test_each_family_is_told_by_a_probe_of_the_others_alone() -> None:
    draw = np.random.default_rng(1)
    sizes = [7, 9, 8]
    ends = np.cumsum(sizes)
    families = [slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]
    targets, controls = draw.normal(size=(2, 24, 12)).astype(np.float32)
    targets += 0.4
    labels = np.concatenate([np.ones((1, 24)), draw.choice([-1.0, 1.0], (4, 24))]).astype(np.float32)
    x = scaled(targets, controls)
    kernel = products(torch.from_numpy(targets), torch.from_numpy(controls))
    found = across_families(kernel, torch.from_numpy(labels), families, 0.1)
    for row, y in enumerate(labels.astype(float)):
        for held, tested in enumerate(families):
            train = np.ones(24, bool)
            train[tested] = False
            told = x[tested] @ by_least_squares(x[train], y[train], 0.1)
            assert found[row, held] == pytest.approx((told > 0).mean())
    assert len(np.unique(found.numpy())) > 4


def test_a_score_of_nothing_is_half_right_and_a_family_alone_has_none() -> None:
    kernel = torch.eye(6, dtype=torch.float64)  # no pair says anything of another
    assert across_families(kernel, torch.ones(1, 6), [slice(0, 3), slice(3, 6)], 0.1).tolist() == [[0.5, 0.5]]
    assert across_families(kernel, torch.ones(1, 6), [slice(0, 6)], 0.1).isnan().all()


def test_units_that_say_nothing_are_left_out() -> None:
    draw = torch.Generator().manual_seed(0)
    targets, controls = torch.randn(2, 9, 5, generator=draw)
    expected = products(targets, controls)
    constant = torch.full((9, 1), 3.0)
    rounding = constant * (1 + 1e-7 * torch.randn(9, 1, generator=draw))
    broken = torch.full((9, 1), torch.nan)
    wide = [
        torch.cat((values, constant, other, broken), 1) for values, other in ((targets, constant), (controls, rounding))
    ]
    torch.testing.assert_close(products(*wide), expected)
    assert (products(constant, constant) == 0).all()  # so that half of the pairs are told right
    assert ridge(products(broken, broken), torch.ones(1, 9), torch.ones(2, 9).double(), 0.1).isnan().all()


# Planted -----------------------------------------------------------------------------------------------------------


class Shared(SharedPass):
    """A shared pass of values that the test makes up, some layers at a time."""

    def __init__(self, values: Tensor, at_once: int) -> None:
        self.values, self.at_once = values, at_once

    def blocks(self, *readings: Reading) -> Iterator[dict[Reading, Tensor]]:
        for part in self.values.split(self.at_once * UNITS, -1):
            yield dict.fromkeys(readings, part)


def planted(from_layer: int, strength: float = 3.0, seed: int = 0, own: Sequence[str] = ("beta",)) -> Tensor:
    """(pooling, stimulus, unit): noise, and in targets of alpha from a layer on one direction for all families.

    The families of the domains `own` have a direction each, which no other family has.
    """
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(2, 2 * ITEMS * len(FAMILIES), LAYERS, UNITS))
    common = draw.normal(size=UNITS) / np.sqrt(UNITS)
    for row, name in enumerate(FAMILIES):
        alone = draw.normal(size=UNITS) / np.sqrt(UNITS)
        targets = slice(2 * ITEMS * row, 2 * ITEMS * row + ITEMS)
        values[:, targets, from_layer:] += 3 * strength * (alone if name.split("/")[0] in own else common)
    return torch.from_numpy(values.astype(np.float32)).flatten(2)


def measured(values: Tensor, at_once: int = LAYERS, **settings: Any) -> dict[str, Variable]:
    found = anatomy(tiny("llama", num_hidden_layers=LAYERS, intermediate_size=UNITS))
    scene = scene_of(nn.Identity(), found, SHOWN, Shared(values, at_once))
    return dict(ConceptDepth(**settings).measure(scene))


def test_a_concept_is_found_in_the_layer_where_it_is_planted_and_one_of_each_family_in_none() -> None:
    found = measured(planted(from_layer=2))
    accuracy, depth = found["domain_accuracy"].values, found["depth"].values
    assert (accuracy[:, 0, 2:] > 0.95).all()
    assert (abs(accuracy[:, 0, :2] - 0.5) < 0.15).all()
    assert depth[:, 0].tolist() == [0.75, 0.75]  # the third of four
    assert np.isnan(depth[:, 1]).all()
    assert (found["accuracy"].values[:, :3, 2:] > 0.9).all()


def test_the_depth_is_that_of_the_first_layer_over_the_threshold_and_the_floor() -> None:
    assert measured(planted(from_layer=0))["depth"].values[:, 0].tolist() == [0.25, 0.25]
    assert np.isnan(measured(planted(from_layer=LAYERS))["depth"].values).all()
    growing = planted(from_layer=0, strength=0.0)
    growing += torch.linspace(0.1, 0.6, LAYERS).repeat_interleave(UNITS) * (planted(from_layer=0) - growing)
    found = measured(growing)
    accuracy, floor = found["domain_accuracy"].values[:, 0], found["floor"].values[:, 0]
    depths = set()
    for threshold in (0.51, 0.75, 0.9, 1.0):
        depth = measured(growing, threshold=threshold)["depth"].values[:, 0]
        for row in (0, 1):
            over = np.flatnonzero((accuracy[row] >= threshold) & (accuracy[row] > floor[row]))
            assert depth[row] == (over[0] + 1) / LAYERS if over.size else np.isnan(depth[row])
            depths.add(float(depth[row]))
    assert len(depths) > 2
    assert ((accuracy >= 0.51) & (accuracy <= floor[:, None])).any()  # so that the floor has a say


def test_swapped_labels_are_at_chance_and_the_same_in_every_layer() -> None:
    values = planted(from_layer=2)
    found = measured(values, draws=39)
    domain = [row for row, name in enumerate(FAMILIES) if name.startswith("alpha")]
    labels = np.concatenate([swapped_labels(ITEMS, 39, FAMILIES[row]).numpy() for row in domain], 1)
    shown = values[0].numpy().reshape(len(FAMILIES), 2, ITEMS, LAYERS, UNITS)[domain]
    drawn, every = np.empty((39, LAYERS)), np.empty((39, LAYERS))
    half = np.random.default_rng(list(b"depth/half"))
    kept = [half.permutation(3)[:1] for _ in range(39)]  # of three families one
    for layer in range(LAYERS):
        x = scaled(*(shown[:, side, :, layer].reshape(-1, UNITS) for side in (0, 1)))
        for row, y in enumerate(labels.astype(float)):
            right = []
            for held in range(len(domain)):
                train = np.ones(len(x), bool)
                train[held * ITEMS : held * ITEMS + ITEMS] = False
                right.append((x[~train] @ by_least_squares(x[train], y[train], 0.1) > 0).mean())
            drawn[row, layer], every[row, layer] = np.mean(np.array(right)[kept[row]]), np.mean(right)
    assert abs(every[:, :2].mean() - 0.5) < 0.03
    assert abs(every.mean() - 0.5) < 0.06
    np.testing.assert_allclose(found["swapped"].values[0, 0], np.quantile(drawn, 0.95, axis=0), atol=1e-6)
    assert found["floor"].values[0, 0] == pytest.approx(np.quantile(drawn.max(1), 0.95), abs=1e-6)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_chance_passes_the_floor_in_one_of_twenty_whatever_each_family_has_of_its_own(strength: float) -> None:
    """With the mean of all families in place of half of them, in one of five: two families tell each other at once."""
    passed = []
    for seed in range(25):
        found = measured(planted(0, strength, seed, own=("alpha", "beta")), draws=39)
        passed.append(found["domain_accuracy"].values.max(-1) > found["floor"].values)
    assert np.mean(passed) <= 0.1


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_is_read_block_by_block_is_the_same(at_once: int) -> None:
    values = planted(from_layer=2)
    whole, parts = measured(values, draws=19), measured(values, at_once, draws=19)
    for name, variable in whole.items():
        np.testing.assert_array_equal(parts[name].values, variable.values)


@pytest.mark.parametrize("memory", [1, 4 * 2 * 2 * ITEMS * len(FAMILIES) * 27], ids=["a layer", "two layers"])
def test_layers_of_unequal_width_are_told_apart_wherever_a_block_ends(memory: int) -> None:
    model = seeded(NanoGPT)
    for layer, inner in enumerate((7, 20, 11)):
        model.transformer["h"][layer].mlp = MLP(16, inner, 0.0)
    whole, parts = (
        Observatory(
            word_tokenizer(), battery=SHOWN, instruments=[ConceptDepth(draws=19)], twins=0, memory=given
        ).observe(model, step=0)
        for given in (2**30, memory)
    )
    assert len(np.unique(whole["depth_accuracy"])) > 3
    np.testing.assert_array_equal(parts["depth_accuracy"], whole["depth_accuracy"])


# Of a model --------------------------------------------------------------------------------------------------------


def observed(model: nn.Module, *instruments: Instrument, battery: Battery = SHOWN, twins: int = 0) -> Observation:
    chosen = instruments or (ConceptDepth(draws=19),)
    return Observatory(word_tokenizer(), battery=battery, instruments=chosen, twins=twins).observe(model, step=0)


def test_it_costs_no_forward_pass_beside_the_contrast_localizer() -> None:
    def passes(*instruments: Instrument) -> tuple[int, int]:
        model = tiny("gpt_neox")
        counted = Counted(model.gpt_neox)
        observed(model, *instruments, battery=small_battery(), twins=2)
        return counted.calls, counted.tokens

    alone = passes(ContrastLocalizer())
    assert alone[0] > 0
    assert passes(ContrastLocalizer(), ConceptDepth()) == alone
    assert passes(ConceptDepth(), ContrastLocalizer()) == alone


@pytest.mark.parametrize("space", ["mlp", "residual", "heads"])
def test_a_battery_of_random_words_is_read_nowhere_and_the_record_says_which_axis_is_what(space: str) -> None:
    seen = observed(seeded(NanoGPT), ConceptDepth(space=space))
    assert {name.removeprefix("depth_"): v.dims for name, v in seen.variables.items()} == {
        "accuracy": ("pooling", "family", "layer"),
        "domain_accuracy": ("pooling", "domain", "layer"),
        "swapped": ("pooling", "domain", "layer"),
        "floor": ("pooling", "domain"),
        "depth": ("pooling", "domain"),
        "best_accuracy": (),
    }
    best = seen["depth_domain_accuracy"][1].max(-1).mean()
    assert seen["depth_best_accuracy"] == pytest.approx(best)
    assert seen.coordinates["family"].tolist() == FAMILIES
    assert seen.coordinates["domain"].tolist() == ["alpha", "beta"]
    assert np.isnan(seen["depth_depth"]).all()
    assert seen.variables["depth_accuracy"].attrs["space"] == space
    for row, domain in enumerate(("alpha", "beta")):
        own = [name.startswith(domain) for name in FAMILIES]
        mean = seen["depth_accuracy"][:, own].mean(1)
        np.testing.assert_allclose(seen["depth_domain_accuracy"][:, row], mean, rtol=1e-6)
    assert isinstance(find_instrument("depth"), ConceptDepth)


def test_a_twin_is_measured_as_a_model_with_its_weights() -> None:
    model = seeded(NanoGPT)
    seen = observed(model, twins=2)
    assert seen.variables["depth_domain_accuracy_twins"].dims == ("twin", "pooling", "domain", "layer")
    for number, weights in enumerate(weights_of(model, step=0, count=2)):
        other = seeded(NanoGPT, seed=1)
        other.load_state_dict(weights)
        np.testing.assert_array_equal(
            seen["depth_domain_accuracy_twins"][number], observed(other)["depth_domain_accuracy"]
        )


def test_half_precision_is_read_and_what_has_diverged_is_missing() -> None:
    assert np.isfinite(observed(seeded(NanoGPT).bfloat16())["depth_accuracy"]).all()
    model = seeded(NanoGPT)
    with torch.no_grad():
        model.transformer["h"][1].attn.c_attn.weight.fill_(torch.nan)
    seen = observed(model)
    assert np.isfinite(seen["depth_domain_accuracy"][..., 0]).all()
    assert np.isnan(seen["depth_domain_accuracy"][..., 1:]).all()
    assert np.isfinite(seen["depth_floor"]).all()


def test_a_domain_of_one_family_has_none() -> None:
    alpha, beta = SHOWN.domains
    alone = Battery("one", (alpha, type(beta)("beta", "one family", beta.families[:1], ())))
    seen = observed(seeded(NanoGPT), battery=alone)
    for name in ("domain_accuracy", "swapped", "floor", "depth"):
        assert np.isnan(seen[f"depth_{name}"][:, 1]).all()
    assert np.isfinite(seen["depth_floor"][:, 0]).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"space": "neurons"}, "one of mlp, residual, heads; got 'neurons'"),
        ({"threshold": 0.5}, "over 0.5 and up to 1; got 0.5"),
        ({"penalty": 0.0}, "penalty=0.0"),
        ({"draws": 5}, "draws=5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ConceptDepth(**settings)
