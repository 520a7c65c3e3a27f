"""Alignment with an outside representation: formulas by other ways, planted truths, and the instrument on models."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loop import fit, small_battery, word_tokenizer
from models import LAYERS, tiny
from outside_planted import noisy, of_noise, random_texts, written
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from sklearn.linear_model import Ridge
from structural import observed, recorded

from observatory import Observatory, open_logbook
from observatory.callbacks import PythiaCheckpoints, SpecializationMonitor
from observatory.measure.comparisons import OddOnes, Predictivity, Rsa, comparisons
from observatory.measure.folds import folds, jackknife_error
from observatory.measure.instruments import find_instrument
from observatory.measure.instruments.alignment import PARTS, Alignment
from observatory.measure.matched import layer_matched
from observatory.measure.pooling import POOLINGS
from observatory.measure.predictivity import PENALTIES, ceiling, foreseen
from observatory.measure.similarity import dissimilarity, odd_ceiling, odd_ones, rsa_ceiling, standardised
from observatory.observation import Array
from observatory.replay.engine import replay
from observatory.stimuli.outside import outside
from observatory.stimuli.tokens import encode

COUNT = 160
TEXTS = random_texts(COUNT)


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def all_rows(count: int = COUNT) -> torch.Tensor:
    return torch.ones(count, dtype=torch.bool)


def score(comparison: Any, activations: Array) -> float:
    values = torch.from_numpy(activations)
    (found,) = comparison.scores([comparison.kept(values)], all_rows(len(activations)))
    return float(found)


# Formulas


def by_scikit_learn(x: Array, y: Array, train: Array, penalty: float) -> Array:
    """All stimuli foreseen from some, with an intercept that is not penalised."""
    units = x / np.sqrt(x.shape[1])
    found: Array = Ridge(alpha=penalty, solver="svd").fit(units[train], y[train]).predict(units)
    return found.reshape(len(x), -1)


@pytest.mark.parametrize("units", [5, 90])
def test_responses_are_foreseen_as_by_scikit_learn_with_the_penalty_best_within_training(units: int) -> None:
    x, part = drawn(60, units), np.arange(60) % 4
    y = x[:, :3] @ drawn(3, 6) + np.array([0.1, 0.1, 1, 1, 10, 10]) * drawn(60, 6, seed=1) + 3
    expected, chosen = np.empty_like(y), set()
    for fold, channel in product(range(4), range(6)):
        errors = []
        for penalty in PENALTIES:
            off = 0.0
            for inner in set(range(4)) - {fold}:
                told = by_scikit_learn(x, y[:, [channel]], (part != fold) & (part != inner), penalty)[:, 0]
                off += float(np.square(told - y[:, channel])[part == inner].sum())
            errors.append(off)
        best = PENALTIES[int(np.argmin(errors))]
        chosen.add(best)
        told = by_scikit_learn(x, y[:, [channel]], part != fold, best)[:, 0]
        expected[part == fold, channel] = told[part == fold]
    assert len(chosen) > 2
    found = foreseen(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(part))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-8)


def test_dissimilarities_are_those_of_scipy_on_standard_scores_and_rsa_is_spearmans_rho() -> None:
    x, y = drawn(30, 8), drawn(30, 5, 2, seed=1)
    x[:, 3] = 4.0  # a unit that says nothing
    kept = np.delete(x, 3, axis=1)
    ours = dissimilarity(standardised(torch.from_numpy(x))).numpy()
    theirs = pdist(stats.zscore(kept), "correlation")
    np.testing.assert_allclose(ours, squareform(theirs), atol=1e-12)
    expected = [
        stats.spearmanr(theirs, pdist(stats.zscore(y[..., repeat]), "correlation")).statistic for repeat in (0, 1)
    ]
    texts = random_texts(30)
    assert score(Rsa(outside("o", texts, None, "responses", y)), x) == pytest.approx(np.mean(expected), abs=1e-6)
    matrices = np.stack([squareform(pdist(y[..., repeat])).round(0) for repeat in (0, 1)])  # with ties
    tied = [stats.spearmanr(theirs, squareform(one)).statistic for one in matrices]
    found = score(Rsa(outside("o", texts, None, "dissimilarities", matrices)), x)
    assert found == pytest.approx(np.mean(tied), abs=1e-6)


def test_no_ranking_beats_the_upper_ceiling_of_dissimilarities_and_the_truth_lies_above_the_lower() -> None:
    truth = drawn(40 * 39 // 2)
    subjects = torch.from_numpy(truth + 1.5 * drawn(8, truth.size, seed=2))
    low, high = rsa_ceiling(subjects)

    def rho(model: Array) -> float:
        return float(np.mean([stats.spearmanr(model, one).statistic for one in subjects.numpy()]))

    best = stats.rankdata(subjects.numpy(), axis=1).mean(0)
    assert high == pytest.approx(rho(best), abs=1e-5)  # some mean ranks are equal
    assert low < rho(truth) < high
    others = [
        stats.spearmanr(stats.rankdata(np.delete(subjects.numpy(), n, 0), axis=1).mean(0), subjects[n]).statistic
        for n in range(8)
    ]
    assert low == pytest.approx(np.mean(others), abs=1e-5)
    assert np.isnan(rsa_ceiling(subjects[:1])).all()


def test_the_odd_one_lies_outside_the_closest_pair_and_equal_pairs_share() -> None:
    apart = torch.tensor([[0.0, 1, 2, 3], [1, 0, 2, 2], [2, 2, 0, 2], [3, 2, 2, 0]]).double()
    rows = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 2, 3], [0, 2, 3], [0, 3, 2]])
    assert odd_ones(apart, rows).tolist() == [1, 0, pytest.approx(1 / 3), 0.5, 0]
    x = torch.from_numpy(drawn(50, 20))
    triples = np.stack([np.random.default_rng(n).choice(50, 3, replace=False) for n in range(300)])
    centred = stats.zscore(x.numpy())
    alike = np.corrcoef(centred)
    odd = [max((alike[a, b], c), (alike[a, c], b), (alike[b, c], a))[1] for a, b, c in triples]
    planted = np.array([[*sorted({*row.tolist()} - {one}), one] for row, one in zip(triples, odd, strict=True)])
    texts = random_texts(50)
    assert score(OddOnes(outside("o", texts, None, "triplets", planted)), x.numpy()) == 1
    chance = score(OddOnes(outside("o", texts, None, "triplets", triples)), x.numpy())
    assert chance == pytest.approx(1 / 3, abs=3 * np.sqrt(2 / 9 / 300))


def test_the_ceiling_of_triplets_is_how_far_judgements_agree_with_those_of_the_same_three() -> None:
    judged = torch.tensor([[0, 1, 2]] * 3 + [[2, 1, 0]] + [[4, 5, 6], [5, 6, 4]] + [[7, 8, 9]])
    # of 4: three say 2, who agree with the others' most; one says 0. of 2: they disagree. one alone says nothing.
    assert odd_ceiling(judged) == (pytest.approx(3 / 6), pytest.approx((3 + 0 + 0.5 + 0.5) / 6))
    assert np.isnan(odd_ceiling(judged[-1:])).all()


def test_groups_stay_whole_parts_are_even_and_the_jackknife_error_of_a_mean_is_its_standard_error() -> None:
    groups = [f"g{number // 4}" for number in range(80)] + ["large"] * 20
    part = folds(groups, 5, "x").numpy()
    assert all(len({int(p) for p, g in zip(part, groups, strict=True) if g == one}) == 1 for one in set(groups))
    assert np.bincount(part).tolist() == [20] * 5
    assert folds(groups, 5, "x").tolist() == part.tolist() != folds(groups, 5, "y").tolist()
    values = torch.from_numpy(drawn(3, 20))
    left_out = (values.sum(-1, keepdim=True) - values) / 19
    padded = torch.nn.functional.pad(left_out, (0, 4), value=torch.nan)
    np.testing.assert_allclose(jackknife_error(padded), stats.sem(values.numpy(), axis=1))


# Planted truths


@pytest.mark.parametrize(("reliability", "repeats"), [(0.3, 2), (0.6, 5), (0.9, 4)])
def test_a_planted_function_reaches_the_planted_ceiling(reliability: float, repeats: int) -> None:
    x = drawn(400, 12)
    y = noisy(x @ drawn(12, 30, seed=1), reliability, repeats)
    texts = random_texts(400)
    (one, _) = comparisons(outside("o", texts, None, "responses", y))
    assert one.ceiling[0] == pytest.approx(np.sqrt(reliability), abs=0.03)
    assert score(one, x) / one.ceiling[1] == pytest.approx(1, abs=0.06)


def test_what_is_unrelated_scores_chance_without_a_bias() -> None:
    """Correlation over all folds at once would be -.12 here, though each fold's mean were taken off."""
    scores = [
        score(
            Predictivity(outside("o", random_texts(60), None, "ratings", drawn(60, 60, seed=seed))),
            drawn(60, 12, seed=9),
        )
        for seed in range(4)
    ]
    assert abs(np.mean(scores)) < 0.03  # 240 channels of r with a spread of .13


def test_missing_repeats_are_left_out_of_the_ceiling_and_no_more() -> None:
    """Half of them, so that hardly a stimulus has all. The halves then differ in size, and the ceiling is a bit low."""
    y = noisy(drawn(300, 10), 0.6, 6)
    y[..., 1:][np.random.default_rng(1).random((300, 10, 5)) < 0.6] = np.nan
    expected = np.sqrt(1 / (1 + 6 * (0.4 / 0.6) / 3))
    found = float(ceiling(torch.from_numpy(y), folds([str(n) for n in range(300)], 5, "x"), "x").mean())
    assert expected - 0.06 < found < expected + 0.02


def test_variants_of_a_text_tell_one_another_only_where_they_are_not_held_out_together() -> None:
    """Each group has activations and responses of its own, and the two have nothing to do with each other."""
    owner = np.arange(COUNT) // 4
    x = drawn(40, 20)[owner] + 0.1 * drawn(COUNT, 20, seed=1)
    y = drawn(40, 30, seed=2)[owner] + 0.1 * drawn(COUNT, 30, seed=3)
    grouped = Predictivity(outside("o", TEXTS, [f"g{one}" for one in owner], "ratings", y))
    alone = Predictivity(outside("o", TEXTS, None, "ratings", y))
    assert score(alone, x) > 0.5
    assert abs(score(grouped, x)) < 0.1


# The instrument


def activations(model: torch.nn.Module, modules: Sequence[torch.nn.Module], side: str, tokens: str) -> list[Array]:
    """(stimulus, unit) of each module, by another way."""
    ids = encode(word_tokenizer(), TEXTS)
    found = recorded(model, modules, side, ids)
    return [np.stack([one[1:].mean(0) if tokens == "mean" else one[-1] for one in of]) for of in found]


@pytest.mark.parametrize("tokens", ["mean", "last"])
def test_the_layer_that_responses_were_made_of_reaches_the_ceiling(tokens: Any) -> None:
    model = tiny("gpt_neox")
    layers = activations(model, list(model.gpt_neox.layers), "output", tokens)
    path = written(TEXTS, responses=noisy(layers[1] @ drawn(16, 25), 0.7, 4))
    seen = observed(model, Alignment(path, tokens=tokens, of=None))
    names = observed_names(seen)
    assert names == ["planted/predictivity", "planted/rsa"]
    assert seen["alignment_normalised"][0, 1] == pytest.approx(1, abs=0.08)
    assert seen["alignment_score"][0].argmax() == seen["alignment_score"][1].argmax() == 1
    np.testing.assert_allclose(seen["alignment_mean"], seen["alignment_score"].mean(1), rtol=1e-6)
    assert seen["alignment_overall"] == seen["alignment_mean"][0]
    assert seen["alignment_left_out"].shape == (2, PARTS)
    one = comparisons(outside("p", TEXTS, None, "responses", np.load(path)["responses"]))[0]
    np.testing.assert_allclose(seen["alignment_score"][0], [score(one, values) for values in layers], atol=1e-5)


def observed_names(seen: Any) -> list[str]:
    return [str(one) for one in seen.coordinates["outside"]]


def test_regions_are_those_of_contrast_and_random_masks_are_matched_to_them() -> None:
    model = tiny("gpt_neox")
    units = activations(model, [block.mlp.dense_4h_to_h for block in model.gpt_neox.layers], "input", "mean")
    side_by_side = np.hstack(units)
    owner = np.arange(COUNT) // 2
    y = drawn(COUNT, 6, seed=5) + side_by_side[:, :6] * 5
    path = written(TEXTS, ratings=y, group=owner)
    seen = observed(model, "contrast", Alignment(path, controls=3))
    one = Predictivity(outside("p", TEXTS, [str(n) for n in owner], "ratings", y))
    regions = seen["contrast_region_mlp"][POOLINGS.index("mean")]
    for row, domain in enumerate(("alpha", "beta")):
        region = regions[row].reshape(-1).astype(bool)
        assert seen["alignment_region"][0, row] == pytest.approx(score(one, side_by_side[:, region]), abs=1e-5)
        widths = [20] * LAYERS
        for draw, mask in enumerate(layer_matched(torch.from_numpy(region), widths, 3, f"alignment/{domain}").numpy()):
            assert not (mask & region).any()
            expected = score(one, side_by_side[:, mask])
            assert seen["alignment_matched"][0, row, draw] == pytest.approx(expected, abs=1e-5)


def test_several_files_stand_side_by_side_and_twins_are_what_fresh_weights_give() -> None:
    rows = np.stack([np.random.default_rng(n).choice(24, 3, replace=False) for n in range(50)])
    triplets = written(random_texts(24), triplets=rows, group=np.arange(24) // 4)
    seen = observed(tiny("gpt_neox"), Alignment({"noise": of_noise(), "odd": triplets}, of=None), twins=2)
    assert observed_names(seen) == ["noise/predictivity", "noise/rsa", "odd/triplets"]
    assert seen["alignment_chance"].tolist() == [0, 0, pytest.approx(1 / 3)]
    assert np.isfinite(seen["alignment_score"]).all()
    assert np.isfinite(seen["alignment_error"]).all()
    assert np.isnan(seen["alignment_left_out"]).sum(1).tolist() == [8, 8, 14]  # 12 and 6 groups
    assert seen["alignment_score_twins"].shape == (2, 3, LAYERS)
    attrs = seen.variables["alignment_overall"].attrs
    assert attrs["headline"] == "alignment: noise/predictivity"
    assert f"alignment_{attrs['error']}" in seen.variables


def test_blocks_of_layers_and_a_diverged_model_are_told_as_they_are() -> None:
    instrument = Alignment(of_noise(), controls=2)
    whole = observed(tiny("gpt_neox"), "contrast", instrument)
    parts = observed(tiny("gpt_neox"), "contrast", instrument, memory=1)
    for name in whole.variables:
        if name.startswith("alignment"):
            np.testing.assert_array_equal(parts[name], whole[name], err_msg=name)
    broken = tiny("gpt_neox")
    with torch.no_grad():
        broken.gpt_neox.layers[1].mlp.dense_4h_to_h.weight.fill_(torch.nan)
    seen = observed(broken, Alignment(of_noise(), of=None))
    assert np.isfinite(seen["alignment_score"][:, 0]).all()
    assert np.isnan(seen["alignment_score"][:, 1:]).all()
    assert np.isnan(seen["alignment_overall"])


def test_without_a_path_or_regions_it_is_said_what_would_do() -> None:
    with pytest.raises(ValueError, match=r"alignment needs the path of what models are held against; make it with one"):
        find_instrument("alignment")
    with pytest.raises(ValueError, match="alignment goes on from what contrast measures, which must stand before it"):
        Observatory(word_tokenizer(), battery=small_battery(), instruments=[Alignment(of_noise())])
    with pytest.raises(ValueError, match="tokens is mean or last and space mlp or residual"):
        Alignment(of_noise(), space="heads")
    with pytest.raises(ValueError, match="controls are a count of random masks"):
        Alignment(of_noise(), controls=0)
    with pytest.raises(ValueError, match="there is no file or folder at"):
        Alignment("absent.npz")


@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning")
def test_live_is_replayed_to_the_bit_from_the_same_content_and_refused_from_another(tmp_path: Path) -> None:
    path = of_noise()
    watching = SpecializationMonitor(
        word_tokenizer(),
        tmp_path / "live.h5",
        "every 2",
        battery=small_battery(),
        twins=2,
        instruments=["contrast", Alignment(path, controls=2)],
        recorders=(),
    )
    saving = PythiaCheckpoints(tmp_path / "checkpoints", "every 2", tokenizer=word_tokenizer())
    fit(tmp_path, [watching, saving], steps=4)
    moved = path.rename(path.with_name("planted.moved.npz"))
    named: dict[str, str | Path] = {"planted": moved}
    settings: dict[str, Any] = {"battery": small_battery(), "twins": 2}
    out = tmp_path / "o.h5"
    replay(tmp_path / "checkpoints", out, instruments=["contrast", Alignment(named, controls=2)], **settings)
    live, replayed = open_logbook(watching.logbook_path), open_logbook(out)
    assert live.attrs["provenance_settings"] == replayed.attrs["provenance_settings"]  # not where the file lies
    own = [str(name) for name in live.data_vars if str(name).startswith("alignment")]
    assert len(own) > 12
    for name in own:
        np.testing.assert_array_equal(live[name].values, replayed[name].values, err_msg=name)
    assert (np.abs(live["alignment_overall"].diff("step")) > 0).all()
    with np.load(moved) as held:
        arrays = dict(held)
    arrays["responses"][0, 0, 0] += 1e-9
    np.savez(moved, **arrays)
    with pytest.raises(ValueError, match="settings"):
        replay(tmp_path / "checkpoints", out, instruments=["contrast", Alignment(named, controls=2)], **settings)
