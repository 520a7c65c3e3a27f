"""Communities of tasks and parts, faithfulness within and across groups, stability: against sums by hand and plants."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from circuits_planted import planted_circuits
from lesion_cases import DOMAINS, planted_lesions
from modules_planted import planted_modules
from sklearn.metrics import normalized_mutual_info_score

from observatory import open_logbook
from observatory.observation import Array
from observatory.review.effects.community_stability import community_stability
from observatory.review.effects.faithfulness import (
    _jackknifed,
    by_attribution,
    by_lesions,
    no_attribution,
    no_faithfulness,
    roads,
)
from observatory.review.effects.lesion_effects import lesion_effects
from observatory.review.figures.plot import FIGURES
from observatory.review.sharing.captured import captured
from observatory.review.sharing.skill_modules import no_skill_modules, shared_information, skill_modules


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    path = planted_circuits(
        tmp_path_factory.mktemp("circuits") / "o.h5", [0, 100], 0.5, layers=4, width=256, done={0: []}
    )
    return open_logbook(path).load()


def with_scores(book: xr.Dataset, by_task: Array) -> xr.Dataset:
    """(task, layer) at all steps."""
    name = "circuits_score_by_layer"
    values = np.broadcast_to(by_task, (book.sizes["step"], 1, *by_task.shape)).copy()
    return book.assign({name: (("step", "circuit_space", "task", "layer"), values)})


def labels_of(book: xr.Dataset) -> list[tuple[str, str, str]]:
    """Domain, kind and format of each task."""
    return [(domain, *name.split("_")) for domain, name in (str(task).split("/") for task in book["task"].values)]  # type: ignore[misc]


def test_tasks_that_use_one_part_are_one_community_and_domains_are_told(planted: xr.Dataset) -> None:
    none, found = skill_modules(planted)
    assert none is None  # nothing is done at step 0
    assert found is not None
    domains = [domain for domain, _, _ in labels_of(planted)]
    assert len({(label, domain) for label, domain in zip(found.of_tasks, domains, strict=True)}) == found.count == 4
    assert found.domains.rand == found.domains.information == 1
    chance = found.domains.rand_chance
    assert chance.p == chance.least == found.domains.information_chance.p < 0.05
    assert found.formats is not None
    assert found.formats.rand < 0.05
    assert found.formats.rand_chance.p > 0.5
    np.testing.assert_allclose(found.weights.sum(1), 1)
    assert [found.of_parts[layer] == found.of_tasks[domains.index(domain)] for layer, domain in enumerate(DOMAINS)]


def test_structure_by_format_is_told_from_structure_by_domain(planted: xr.Dataset) -> None:
    forms = [int(form.removeprefix("format")) for _, _, form in labels_of(planted)]
    found = skill_modules(with_scores(planted, np.eye(4)[forms] + 0.05))[1]
    assert found is not None
    assert found.formats is not None
    assert found.formats.rand == 1
    assert found.formats.rand_chance.p < 0.01
    assert found.domains.rand < 0.05
    assert found.domains.rand_chance.p > 0.5


def test_scores_at_random_agree_with_domains_no_more_often_than_they_may(planted: xr.Dataset) -> None:
    draw = np.random.default_rng(0)
    p = []
    for _ in range(40):
        kinds = {key: draw.random(4) for key in {label[:2] for label in labels_of(planted)}}
        scores = np.array([kinds[label[:2]] + 0.1 * draw.random(4) for label in labels_of(planted)])
        found = skill_modules(with_scores(planted, scores), draws=199)[1]
        assert found is not None
        p.append(found.domains.rand_chance.p)
    assert (np.array(p) <= 0.05).mean() <= 0.15  # although tasks of one kind are alike


def test_what_works_against_the_answer_is_no_part_of_it_and_a_task_without_scores_is_left_out(
    planted: xr.Dataset,
) -> None:
    scores = np.ones((24, 4))
    scores[:, 1] = -5
    scores[3, 2] = np.nan
    scores[4] = -1
    found = skill_modules(with_scores(planted, scores))[1]
    assert found is not None
    assert len(found.tasks.names) == 22
    np.testing.assert_allclose(found.weights, np.tile([1 / 3, 0, 1 / 3, 1 / 3], (22, 1)))


def test_without_tasks_or_scores_it_is_said_why_there_are_no_communities(planted: xr.Dataset) -> None:
    assert no_skill_modules(planted) is None
    assert no_skill_modules(planted.isel(step=[0])) == "at no step are three tasks of two domains done"
    assert "observe again" in (no_skill_modules(planted.drop_vars("circuits_score_by_layer")) or "")
    assert "observe with the instrument circuits" in (no_skill_modules(xr.Dataset()) or "")


def information_by_hand(one: Sequence[int], other: Sequence[int]) -> float:
    """Sum of p log p / (p p) over the mean entropy."""
    count = len(one)

    def entropy(labels: Sequence[int]) -> float:
        shares = [labels.count(label) / count for label in set(labels)]
        return -sum(share * np.log(share) for share in shares)

    total = 0.0
    for a, b in product(set(one), set(other)):
        both = sum(x == a and y == b for x, y in zip(one, other, strict=True)) / count
        if both:
            total += both * np.log(both / (list(one).count(a) / count * list(other).count(b) / count))
    return 2 * total / (entropy(one) + entropy(other))


def test_shared_information_is_as_by_hand() -> None:
    draw = np.random.default_rng(0)
    many, other = draw.integers(3, size=(5, 12)), draw.integers(4, size=12)
    expected = [information_by_hand(one.tolist(), other.tolist()) for one in many]
    np.testing.assert_allclose(shared_information(many, other), expected)
    assert shared_information(["a", "a", "b"], [1, 1, 0]) == 1
    theirs = [normalized_mutual_info_score(one, other) for one in many]
    np.testing.assert_allclose(shared_information(many, other), theirs)
    assert shared_information([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(0)


def test_roads_part_all_pairs_of_domains() -> None:
    found = roads(DOMAINS)
    assert [str(road) for road in found] == [
        "formal, own domain",
        "functional, own domain",
        "formal to functional",
        "functional to formal",
        "functional, other domain",
    ]
    cells = sum(road.cells(DOMAINS, {"language": "formal"}).astype(int) for road in found)
    np.testing.assert_array_equal(cells, np.ones((4, 4)))
    by_data = {"math": "x", "physical": "x", "language": "y", "social": "y"}
    assert {str(road) for road in roads(DOMAINS, by_data)} >= {"y, other domain", "x, other domain", "x to y"}


def test_lesions_are_averaged_over_the_pairs_of_each_road() -> None:
    book = planted_lesions((1, 100), {("math", "math"): 0.6, ("math", "social"): 0.3, ("language", "math"): 0.9},
                           without={1: DOMAINS, 100: ["physical"]})  # fmt: skip
    found = by_lesions(book)
    assert found["step"].values.tolist() == [1, 100]
    assert np.isnan(found["value"].sel(step=1)).all()
    effect = lesion_effects(book)["effect"].sel(measure="margin", against="matched", step=100)
    here = found.sel(step=100)
    by_hand = {
        "formal, own domain": [("language", "language")],
        "functional, own domain": [("math", "math"), ("social", "social")],
        "formal to functional": [("language", other) for other in DOMAINS[1:]],
        "functional to formal": [("math", "language"), ("social", "language")],
        "functional, other domain": [(a, b) for a in ("math", "social") for b in DOMAINS[1:] if a != b],
    }
    for road, pairs in by_hand.items():
        expected = np.mean([float(effect.sel(lesioned=a, domain=b)) for a, b in pairs])
        one = here.sel(road=road)
        assert float(one["value"]) == pytest.approx(expected), road
        assert int(one["pairs"]) == len(pairs)
        assert float(one["low"]) < float(one["value"]) < float(one["high"])
        planted = np.mean([{("math", "math"): 0.6, ("math", "social"): 0.3, ("language", "math"): 0.9}.get(pair, 0)
                           for pair in pairs])  # fmt: skip
        assert float(one["value"]) == pytest.approx(planted, abs=0.12), road


def captured_by_hand(ranked: Array, scores: Array, size: int, units: int, of: int, to: int) -> float:
    circuit = set(ranked[of, :size].tolist())
    gained = sum(score for unit, score in zip(ranked[to], scores[to], strict=True) if unit in circuit)
    whole = scores[to, :size].sum()
    expected = sum(scores[to]) * size / units / whole
    return float((gained / whole - expected) / (1 - expected))


def test_captured_is_the_sum_over_shared_units_above_what_random_ones_give() -> None:
    draw = np.random.default_rng(0)
    ranked = np.stack([draw.permutation(60)[:12] for _ in range(4)])
    scores = np.sort(draw.random((4, 12)))[:, ::-1]
    found = captured(ranked, scores, 5, 60.0)
    for of, to in product(range(4), repeat=2):
        assert found[of, to] == pytest.approx(captured_by_hand(ranked, scores, 5, 60, of, to))
    np.testing.assert_allclose(np.diag(found), 1)
    at_random = [
        captured(np.stack([ranked[0], draw.permutation(60)[:12]]), scores[:2], 5, 60.0)[1, 0] for _ in range(4000)
    ]
    assert np.mean(at_random) == pytest.approx(0, abs=4 * np.std(at_random) / np.sqrt(4000))


def test_attribution_is_averaged_over_tasks_of_other_kind_and_format(planted: xr.Dataset) -> None:
    found = by_attribution(planted)
    assert np.isnan(found["value"].sel(step=0)).all()
    assert not found["pairs"].sel(step=0).any()
    labels, ranked = labels_of(planted), planted["circuits_top_mlp"].sel(step=100).values.astype(int)
    scores = planted["circuits_top_score_mlp"].sel(step=100).values
    size = int(planted["circuits_shared"].sel(step=100, circuit_space="mlp", share=0.01).max())
    shares: dict[str, list[float]] = {}
    for (of, one), (to, other) in product(enumerate(labels), repeat=2):
        if one[:2] != other[:2] and one[2] != other[2]:
            groups = ["formal" if label[0] == "language" else "functional" for label in (one, other)]
            road = (
                f"{groups[0]}, own domain"
                if one[0] == other[0]
                else f"{groups[0]}, other domain"
                if groups[0] == groups[1]
                else " to ".join(groups)
            )
            shares.setdefault(road, []).append(captured_by_hand(ranked, scores, size, 1024, of, to))
    here = found.sel(step=100)
    for road, values in shares.items():
        one = here.sel(road=road)
        assert float(one["value"]) == pytest.approx(np.mean(values)), road
        assert int(one["pairs"]) == len(values)
    assert float(here["value"].sel(road="functional, own domain")) > 0.2
    across = here.sel(road=["formal to functional", "functional to formal", "functional, other domain"])
    assert (np.abs(across["value"]) < 0.1).all()
    assert (across["low"] < across["value"]).all()
    assert np.isnan(here["low"].sel(road="formal, own domain"))  # it hangs on two kinds: without either nothing is left
    assert (across["high"] - across["low"] < 0.3).all()


def test_the_interval_is_the_jackknifes_over_kinds() -> None:
    """Of a mean over single values a kind, the jackknife's error is the mean's own."""
    values = np.diag(np.random.default_rng(0).standard_normal(9))
    mean, low, high, count = _jackknifed(values, np.eye(9, dtype=bool), [f"kind {one}" for one in range(9)])
    own = np.diag(values)
    assert mean == pytest.approx(own.mean())
    assert (high - low) / 2 == pytest.approx(2.306 * own.std(ddof=1) / 3, rel=1e-3)  # t of 8 at 97.5%
    assert count == 9


def test_without_lesions_and_scores_it_is_said_why_there_is_no_faithfulness(planted: xr.Dataset) -> None:
    bare = planted.drop_vars("circuits_top_score_mlp")
    assert no_faithfulness(planted) is None
    assert "circuits_top_score_mlp was not recorded" in (no_attribution(bare) or "")
    assert "no lesions were recorded; circuits_top_score_mlp" in (no_faithfulness(bare) or "")
    assert no_faithfulness(planted_lesions((100,))) is None


def test_stability_is_the_rand_index_of_neurons_in_communities_both_times() -> None:
    steps = [0, 10, 100, 1000, 3000]
    found = community_stability(planted_modules(steps, settled=100, neurons=400))
    assert np.isnan(found.to_previous[0])
    assert (np.abs(found.to_previous[1:3]) < 0.05).all()
    assert found.to_previous[3:].tolist() == [1, 1]
    assert np.isnan(found.to_last[-1])
    assert (np.abs(found.to_last[:2]) < 0.05).all()
    assert found.to_last[2:4].tolist() == [1, 1]
    assert (np.abs(found.with_layers) < 0.05).all()
    # three quarters are together as before; Rand's index by its definition, over all pairs of neurons
    book = planted_modules(steps, settled=100)
    first, second = book["modules_community_of_half"].values[-1, 0]
    known = [(a, b) for a, b in zip(first, second, strict=True) if a >= 0]
    pairs = [(p, q) for i, p in enumerate(known) for q in known[:i]]
    same = [(p[0] == q[0], p[1] == q[1]) for p, q in pairs]
    both, one, two = (sum(map(test, same)) for test in (all, lambda x: x[0], lambda x: x[1]))
    chance = one * two / len(pairs)
    expected = (both - chance) / ((one + two) / 2 - chance)
    assert community_stability(book).of_halves[-1] == pytest.approx(expected)


def test_a_diverged_step_has_no_communities_and_is_drawn_as_a_gap() -> None:
    book = planted_modules([0, 10, 100], settled=0)
    for name, values in book.data_vars.items():
        if values.dims[1:] != ("neuron",) and "twins" not in str(name) and "half" not in str(name):
            values.values = np.where(book["step"].values.reshape(-1, *[1] * (values.ndim - 1)) == 10, np.nan, values)
    book["modules_community"].values[1] = -1
    found = community_stability(book)
    assert np.isnan(found.to_previous[1:]).all()
    assert found.to_last[0] == 1
    assert FIGURES["modules"].draw(book).axes


def test_both_ways_of_faithfulness_stand_side_by_side(tmp_path: Path) -> None:
    path = planted_circuits(tmp_path / "o.h5", [0, 100], 0.5, kinds=1, formats=2, layers=4, width=256)
    circuits = open_logbook(path).load()
    lesions = planted_lesions((0, 100), {("math", "math"): 0.6}).assign_coords(task=circuits["task"].values)
    both = circuits.merge(lesions.drop_vars("tokens"))
    titles = [panel.get_title("left") for panel in FIGURES["faithfulness"].draw(both).axes]
    assert titles == ["lesions: without a domain's region", "attribution: by a task's circuit"]
    assert [panel.get_title("left") for panel in FIGURES["faithfulness"].draw(circuits).axes] == titles[1:]
    assert [panel.get_title("left") for panel in FIGURES["faithfulness"].draw(lesions).axes] == titles[:1]
