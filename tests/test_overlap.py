"""Overlap of tasks, against published figures, brute force over pairs, and matrices in which the truth is planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from math import comb, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import adjusted_rand_score

from observatory.measure.regions import corrected_jaccard
from observatory.observation import Array
from observatory.review.sharing.clustering import LINKAGES, adjusted_rand, clusters, nearest, sweep, tree
from observatory.review.sharing.matrix_file import MatrixFile, read_matrix
from observatory.review.sharing.overlap import (
    CONTRASTS,
    RELATIONS,
    Relation,
    Tasks,
    coefficients,
    contrast,
    means,
    present,
)
from observatory.review.sharing.overlap_report import OverlapReport, overlap_report
from observatory.review.sharing.relabelling import agreement_test, contrast_tests, relabellings
from observatory.stimuli.readers.llm_modularity import read_llm_modularity

SHARED = Path(__file__).parents[2] / "shared" / "data"
published_only = pytest.mark.skipif(
    not (SHARED / "published").is_dir(), reason="the published matrices are not on this machine"
)
FORMATS = ("completion", "question", "fewshot")


def crossed(domains: int = 4, kinds: int = 3, formats: Sequence[str] = FORMATS) -> Tasks:
    """Every kind of every domain in every format."""
    rows = [(f"d{d}", f"k{k}", form) for d in range(domains) for k in range(kinds) for form in formats]
    names = [f"{kind}_{form}" for _, kind, form in rows]
    return Tasks(names, [d for d, _, _ in rows], [form for _, _, form in rows], [kind for _, kind, _ in rows])


def unbalanced() -> Tasks:
    """Each domain has a format of its own, save a task or two: as in the published set."""
    of_domain = {"a": "ppppqr", "b": "qqqqrp", "c": "rrrrpq", "d": "ssssps"}
    rows = [(domain, form) for domain, forms in of_domain.items() for form in forms]
    return Tasks([f"t{i}" for i in range(len(rows))], [d for d, _ in rows], [form for _, form in rows])


def same(labels: Sequence[str]) -> Array:
    return np.array([[float(one == other) for other in labels] for one in labels])


def noise(count: int, draw: np.random.Generator, size: float = 0.02) -> Array:
    values = np.triu(draw.gamma(1.0, size, (count, count)), 1)
    return np.asarray(values + values.T)


def brute_force(matrix: Array, tasks: Tasks, relation: Relation, domain: str | None = None) -> list[float]:
    """The overlaps of all pairs in a relation, one by one."""
    found = []
    for i, j in combinations(range(len(tasks.names)), 2):
        if domain is not None and domain not in (tasks.domains[i], tasks.domains[j]):
            continue
        alike = tasks.domains[i] == tasks.domains[j]
        if alike != relation.domain:
            continue
        if relation.format is not None and (tasks.formats[i] == tasks.formats[j]) != relation.format:
            continue
        if relation.kind is not None and (alike and tasks.kinds[i] == tasks.kinds[j]) != relation.kind:
            continue
        if not np.isnan(matrix[i, j]):
            found.append(float(matrix[i, j]))
    return found


def test_coefficients_are_those_of_the_masks() -> None:
    draw = np.random.default_rng(0)
    masks = draw.random((2, 5, 200)) < 0.1 * (1 + np.arange(5))[:, None]
    masks[1, 2] = False
    shared = (masks[:, :, None] & masks[:, None]).sum(-1)
    found = coefficients(shared, masks.sum(-1), [200, 200])
    for stack, i, j in np.ndindex(2, 5, 5):
        one, other = set(np.flatnonzero(masks[stack, i])), set(np.flatnonzero(masks[stack, j]))
        if not one or not other:
            for value in (found.overlap, found.jaccard, found.corrected):
                assert np.isnan(value[stack, i, j])
            continue
        assert found.overlap[stack, i, j] == pytest.approx(len(one & other) / min(len(one), len(other)))
        assert found.jaccard[stack, i, j] == pytest.approx(len(one & other) / len(one | other))
        expected = corrected_jaccard(torch.tensor(masks[stack, i]), torch.tensor(masks[stack, j]))
        assert found.corrected[stack, i, j] == pytest.approx(float(expected))
    assert np.isnan(coefficients(shared[0], [nan, *masks[0].sum(-1)[1:]], 200).overlap[0]).all()


@pytest.mark.parametrize(
    ("shared", "sizes", "words"),
    [([[1, 2]], [1, 2], r"counts of shape \(1, 2\)"), ([[3, 3], [3, 9]], [2, 9], "than the smaller one has")],
)
def test_counts_that_fit_no_regions_are_refused(shared: object, sizes: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        coefficients(shared, sizes, 20)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
def test_the_adjusted_rand_index_is_that_of_all_pairs(seed: int) -> None:
    draw = np.random.default_rng(seed)
    one, other = draw.integers(0, 2 + seed, 25), draw.integers(0, 4, 25)
    together = [(one[i] == one[j], other[i] == other[j]) for i, j in combinations(range(25), 2)]
    both, first, second = (sum(x) for x in ([a and b for a, b in together], *zip(*together, strict=True)))
    expected = first * second / comb(25, 2)
    assert adjusted_rand(one, other) == pytest.approx((both - expected) / ((first + second) / 2 - expected))
    stack = np.stack([one, other, np.zeros_like(one)])
    assert adjusted_rand(stack, other) == pytest.approx([float(adjusted_rand(one, other)), 1.0, 0.0])


def test_the_adjusted_rand_index_is_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    for size in (2, 3, 10, 40):
        one, other = draw.integers(0, 3, size), draw.integers(0, 4, size)
        assert adjusted_rand(one, other) == pytest.approx(adjusted_rand_score(one, other))


def test_partitions_that_leave_no_choice_agree() -> None:
    assert adjusted_rand(list("aaa"), list("bbb")) == 1
    assert adjusted_rand(list("abc"), list("xyz")) == 1


@pytest.mark.parametrize("domain", [None, "d1"])
def test_means_by_relation_are_those_of_pairs_one_by_one(domain: str | None) -> None:
    tasks = crossed(3, 2)
    stack = np.stack([noise(18, np.random.default_rng(seed)) for seed in range(2)])
    stack[1, [3, 8]] = stack[1, :, [3, 8]] = nan
    found = means(stack, tasks, domain)
    for name, relation in RELATIONS.items():
        for place in range(2):
            pairs = brute_force(stack[place], tasks, relation, domain)
            assert found[name].pairs[place] == len(pairs)
            assert found[name].value[place] == pytest.approx(np.mean(pairs))
    assert contrast("index", found) == pytest.approx(found["domain_only"].value - found["format_only"].value)
    effects = contrast("domain_effect", found) - contrast("format_effect", found)
    assert contrast("index", found) == pytest.approx(effects)


def test_relations_part_all_pairs() -> None:
    tasks = crossed(3, 2)
    parted = ("domain_only", "kind", "domain_and_format", "format_only", "neither")
    assert sum(RELATIONS[name].pairs(tasks).sum() for name in parted) == comb(18, 2)
    assert str(RELATIONS["domain_only"]) == "same domain, other format, other kind"
    assert str(RELATIONS["format_only"]) == "other domain, same format"


def test_without_formats_there_is_no_index() -> None:
    tasks = Tasks("abcd", "xxyy")
    found = means(noise(4, np.random.default_rng(0)), tasks)
    assert np.isfinite(contrast("difference", found))
    assert all(np.isnan(contrast(name, found)) for name in CONTRASTS if name != "difference")


def test_a_missing_task_is_left_out_and_not_zero() -> None:
    tasks = Tasks("abcde", "xxxyy")
    matrix = np.full((5, 5), 0.5)
    matrix[2] = matrix[:, 2] = nan
    matrix[2, 2] = 1.0  # that a task overlaps itself says nothing
    assert present(matrix).tolist() == [True, True, False, True, True]
    assert means(matrix, tasks)["within"].value == 0.5
    report = overlap_report(matrix, tasks)
    assert report.missing == ("x/c",)
    assert report.with_region.relations["within"].value == 0.5
    assert report.missing_as_zero is not None
    assert report.missing_as_zero.relations["within"].value == pytest.approx(0.25)


@pytest.mark.parametrize("linked", ["average", "complete", "single"])
def test_clusters_are_those_of_merging_the_nearest_two_again_and_again(linked: str) -> None:
    matrix = noise(12, np.random.default_rng(3), 0.2)
    apart = 1 - matrix
    groups = [[i] for i in range(12)]
    joins: dict[str, Callable[[Array], float]] = {"average": np.mean, "complete": np.max, "single": np.min}
    join = joins[linked]
    while len(groups) > 4:
        one, other = min(combinations(groups, 2), key=lambda two: float(join(apart[np.ix_(*two)])))
        groups = [group for group in groups if group not in (one, other)] + [one + other]
    labels = [next(i for i, group in enumerate(groups) if task in group) for task in range(12)]
    assert adjusted_rand(clusters(matrix, 4, neighbours=11, linked=linked), labels) == 1  # type: ignore[arg-type]


def test_only_the_nearest_of_either_task_are_kept() -> None:
    matrix = np.array([[1, 0.9, 0.3, 0.2], [0.9, 1, 0.4, 0.1], [0.3, 0.4, 1, 0.1], [0.2, 0.1, 0.1, 1]])
    kept = nearest(matrix, 1)
    assert kept.tolist() == [[0, 0.9, 0, 0.2], [0.9, 0, 0.4, 0], [0, 0.4, 0, 0], [0.2, 0, 0, 0]]
    assert (nearest(matrix, 3) == matrix - np.eye(4)).all()


def test_wards_linkage_is_used_on_euclidean_distances_alone() -> None:
    points = np.random.default_rng(0).random((8, 3)) / 4
    apart = ((points[:, None] - points) ** 2).sum(-1)  # 1 - overlap: its square root is Euclidean
    assert tree(1 - np.eye(8) - apart * (1 - np.eye(8)), "ward") is not None
    chain = np.array([[0, 1, 0.0], [1, 0, 1], [0, 1, 0]])  # b is where a is, and where c is, but a is not where c is
    assert tree(chain, "ward") is None
    with pytest.raises(ValueError, match="Ward's linkage does not apply"):
        clusters(chain, 2, linked="ward")
    assert [one.found for one in sweep(chain, list("aab"), [2]) if one.linkage == "ward"] == [0]


def test_the_sweep_has_every_setting_once() -> None:
    settings = sweep(noise(9, np.random.default_rng(0)), list("aaabbbccc"), [2, 3])
    keys = [(one.neighbours, one.linkage, one.clusters) for one in settings]
    assert sorted(keys) == sorted((k, name, count) for k in range(2, 9) for name in LINKAGES for count in (2, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nearest(np.full((3, 3), nan), 1), "leave out the tasks without a region"),
        (lambda: nearest(np.zeros((3, 3)), 0), "at least one neighbour; got 0"),
        (lambda: Tasks("abc", "xy"), "3 names, 2 domains"),
        (lambda: means(np.zeros((3, 3)), Tasks("ab", "xy")), r"\(3, 3\) is not one of 2 x 2 tasks"),
        (lambda: overlap_report(np.full((4, 4), nan), Tasks("abcd", "xxyy")), "0 of 4 tasks have a region"),
        (lambda: overlap_report(np.eye(4), Tasks("abcd", "xxyy"), clusters=4), "into 2 to 3 clusters, not 4"),
    ],
)
def test_what_cannot_be_judged_is_refused(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


def test_few_relabellings_are_all_tried() -> None:
    tasks = Tasks([str(i) for i in range(9)], "aaabbbccc", "pqrpqrpqr", "001001001")
    dealt = relabellings(tasks, np.random.default_rng(0))  # two kinds in each of three domains
    rows = {tuple(row) for row in dealt.domains.tolist()}
    assert rows == set(permutations([0, 0, 1, 1, 2, 2]))
    assert len(dealt.domains) == len(rows) == 90
    assert dealt.domains[0].tolist() == [0, 0, 1, 1, 2, 2]
    assert (dealt.exact, dealt.distinct) == (True, 15)
    matrix = same(tasks.domains) / 2
    chance = contrast_tests(matrix, tasks, dealt)["difference"]
    assert chance.p == chance.least == pytest.approx(1 / 15)


def test_a_relabelling_gives_the_contrast_of_tasks_so_labelled() -> None:
    tasks = crossed(3, 2)
    matrix = noise(18, np.random.default_rng(0))
    matrix[4] = matrix[:, 4] = nan
    dealt = relabellings(tasks, np.random.default_rng(0))
    values: dict[str, list[float]] = {}
    for row in dealt.domains:
        named = dict(zip(dealt.kinds, row.tolist(), strict=True))
        labels = [str(named[kind]) for kind in tasks.own_kinds()]
        again = means(matrix, Tasks(tasks.names, labels, tasks.formats, tasks.own_kinds()))
        for name in CONTRASTS:
            values.setdefault(name, []).append(float(contrast(name, again)))
    found = contrast_tests(matrix, tasks, dealt)
    assert set(found) == set(CONTRASTS) - {"format_effect"}
    for name, chance in found.items():
        shares = np.array(values[name])
        assert chance.p == pytest.approx((shares >= shares[0] - 1e-12).mean())


def test_drawn_relabellings_keep_kinds_whole_and_domains_as_large_as_they_are() -> None:
    tasks = crossed(4, 4)
    dealt = relabellings(tasks, np.random.default_rng(0), draws=500)
    assert (dealt.exact, dealt.domains.shape) == (False, (501, 16))
    assert (np.sort(dealt.domains, axis=1) == np.repeat(range(4), 4)).all()
    assert len(np.unique(dealt.domains, axis=0)) == 501
    again = relabellings(tasks, np.random.default_rng(0), draws=500)
    assert (again.domains == dealt.domains).all()


def test_within_formats_labels_go_only_between_kinds_asked_alike() -> None:
    tasks = unbalanced()
    dealt = relabellings(tasks, np.random.default_rng(0), 99, asked=tasks)
    for form in "pqrs":
        places = [i for i, own in enumerate(tasks.formats) if own == form]
        counted = {tuple(np.bincount(row[places], minlength=4)) for row in dealt.domains}
        assert len(counted) == 1


def test_a_kind_asked_in_two_formats_is_not_asked_alike_with_one_asked_in_one_of_them() -> None:
    rows = [("a", "0", "p"), ("a", "0", "q"), ("b", "1", "q"), ("b", "2", "q"), ("a", "3", "q"), ("b", "4", "pq")]
    domains, kinds, formats = zip(*rows, strict=True)
    tasks = Tasks("uvwxyz", domains, formats, kinds)
    dealt = relabellings(tasks, np.random.default_rng(0), asked=tasks)
    assert sorted(dealt.domains.tolist()) == [[0, 0, 1, 1, 1], [0, 1, 0, 1, 1], [0, 1, 1, 0, 1]]
    without = relabellings(tasks.only(np.arange(6) != 0), np.random.default_rng(0), asked=tasks)
    assert sorted(without.domains.tolist()) == sorted(dealt.domains.tolist())  # as asked, with a region or not


def test_overlap_by_domain_is_told_from_overlap_by_format() -> None:
    tasks = crossed()
    matrix = 0.03 + 0.1 * same(tasks.domains) + noise(36, np.random.default_rng(0))
    found = overlap_report(matrix, tasks, draws=999).with_region
    assert found.contrasts["index"].value == pytest.approx(0.1, abs=0.02)
    assert found.contrasts["format_effect"].value == pytest.approx(0.0, abs=0.01)
    chance = found.contrasts["index"].chance
    assert chance is not None
    assert chance.p == 0.001
    assert found.domains.published.agreement == 1
    assert found.domains.chance is not None
    assert found.domains.chance.p == 0.001
    assert found.formats is not None
    assert abs(found.formats.published.agreement) < 0.1
    assert min(own["index"].value for own in found.by_domain.values()) > 0.05


def test_overlap_by_format_alone_looks_like_domains_in_the_published_contrast_but_not_in_the_index() -> None:
    tasks = unbalanced()
    matrix = 0.03 + 0.15 * same(tasks.formats) + noise(24, np.random.default_rng(0))
    found = overlap_report(matrix, tasks, draws=999).with_region
    difference = found.contrasts["difference"]
    assert difference.value > 0.03
    assert found.ratio > 1.5
    assert difference.chance is not None
    assert difference.chance.p < 0.01  # "significant", and yet no overlap by domain
    assert difference.chance_given_format is not None
    assert difference.chance_given_format.p > 0.1
    assert found.contrasts["index"].value < -0.1
    assert found.contrasts["format_effect"].value == pytest.approx(0.15, abs=0.02)
    assert found.contrasts["domain_effect"].value == pytest.approx(0.0, abs=0.02)
    assert found.formats is not None
    assert found.formats.published.agreement == 1
    assert found.domains.published.agreement < 0.7


def test_p_values_of_noise_are_those_of_chance() -> None:
    tasks = crossed(3, 3, FORMATS[:2])
    found: dict[str, list[float]] = {"agreement": []}
    for seed in range(200):
        draw = np.random.default_rng(seed)
        matrix, dealt = noise(18, draw), relabellings(tasks, draw, draws=199)
        found["agreement"].append(agreement_test(clusters(matrix, 3), tasks, dealt).p)
        for name, chance in contrast_tests(matrix, tasks, dealt).items():
            found.setdefault(name, []).append(chance.p)
    for name, values in found.items():
        assert np.mean(np.array(values) <= 0.05) <= 0.09, name
        assert min(values) < 0.05
        if name != "agreement":  # of which few values are possible, so that its p is often larger than it need be
            assert stats.kstest(values, "uniform").pvalue > 0.001


def published(name: str) -> MatrixFile:
    return read_matrix(SHARED / "published" / f"{name}_overlap_0.1pct.csv")


def reported(name: str) -> tuple[MatrixFile, OverlapReport]:
    file = published(name)
    return file, overlap_report(file.matrix, file.tasks, draws=999)


@published_only
def test_the_published_figures_of_the_average_matrix_are_found_again() -> None:
    file, report = reported("average")
    reading = report.with_region
    assert (report.missing, report.missing_as_zero) == ((), None)
    assert round(reading.relations["within"].value, 3) == 0.129
    assert round(reading.relations["across"].value, 3) == 0.030
    assert round(reading.ratio, 1) == 4.3
    assert round(reading.domains.published.agreement, 2) == 0.78
    agreements = [float(adjusted_rand(clusters(file.matrix, 4, k), file.tasks.domains)) for k in range(2, 9)]
    assert [round(value, 2) for value in agreements] == [0.78] * 4 + [0.41] * 3
    assert (reading.domains.valid[0], reading.domains.valid[-1]) == pytest.approx((-0.068, 0.784), abs=1e-3)


@published_only
def test_the_published_figures_of_gpt2_need_its_missing_tasks_as_zeros() -> None:
    file, report = reported("gpt2")
    assert len(report.missing) == 10
    assert report.alone == ("Lan/npi",)  # zero off the diagonal as well, but 1 on it: it has a region
    zero = report.missing_as_zero
    assert zero is not None
    assert round(zero.relations["within"].value, 3) == 0.041
    assert round(zero.relations["across"].value, 3) == 0.015
    assert round(zero.ratio, 1) == 2.7
    assert round(zero.domains.published.agreement, 2) == 0.00
    assert zero.domains.published.found == 1  # not because four clusters disagree: there are none
    assert report.with_region.domains.published.found == 4
    assert report.with_region.domains.published.agreement == pytest.approx(0.19, abs=0.005)
    assert report.with_region.relations["within"].value == pytest.approx(0.066, abs=5e-4)
    assert np.isnan(file.matrix).all(1).sum() == 10


@published_only
def test_fewshot_tasks_of_different_domains_overlap_as_published() -> None:
    file = published("average")
    fewshot = [
        "fewshot" if name.startswith(("physics_", "norm_", "emotion_fewshot")) else f"{place}"
        for place, name in enumerate(file.tasks.names)
    ]
    found = means(file.matrix, Tasks(file.tasks.names, file.tasks.domains, fewshot))
    assert found["format_only"].pairs == 21
    assert found["format_only"].value == pytest.approx(0.113, abs=5e-4)
    assert found["neither"].value == pytest.approx(0.0275, abs=5e-5)


def as_described(tasks: Tasks) -> Tasks:
    """With the formats in which they were asked, as far as their names tell: only 18 of the prompts are at hand."""
    forms = []
    for domain, name in zip(tasks.domains, tasks.names, strict=True):
        fewshot = name.startswith(("physics_", "norm_", "emotion_fewshot"))
        plain = {"Lan": "completion", "ToM": "question"}.get(domain, "instruction")
        forms.append("fewshot" if fewshot else plain)
    return Tasks(tasks.names, tasks.domains, forms)


@published_only
def test_the_published_clusters_are_formats_and_only_the_index_tells_the_models_from_the_control() -> None:
    file = published("average")
    average = overlap_report(file.matrix, as_described(file.tasks)).with_region
    assert average.formats is not None
    assert average.formats.published.agreement == 1
    assert average.contrasts["format_effect"].value == pytest.approx(0.078, abs=5e-4)
    assert average.contrasts["domain_effect"].value == pytest.approx(0.044, abs=5e-4)
    assert average.contrasts["index"].value == pytest.approx(-0.033, abs=5e-4)
    file = published("gpt2")
    control = overlap_report(file.matrix, as_described(file.tasks)).with_region
    for reading, low, high in ((average, 0, 0.005), (control, 0.5, 1)):
        assert reading.contrasts["difference"].chance is not None
        assert reading.contrasts["difference"].chance.p < 0.001  # of both
        chance = reading.contrasts["domain_effect"].chance_given_format
        assert chance is not None
        assert low <= chance.p <= high


@published_only
def test_where_prompts_are_known_the_published_overlap_is_by_domain_more_than_by_format_but_of_few_pairs() -> None:
    if not (SHARED / "tasks").is_dir():
        pytest.skip("the published tasks are not on this machine")
    file = published("average")
    formats = {task.name: task.format for task in read_llm_modularity(SHARED / "tasks")}
    known = np.array([name in formats for name in file.tasks.names])
    chosen = file.tasks.only(known)
    tasks = Tasks(chosen.names, chosen.domains, [formats[name] for name in chosen.names])
    reading = overlap_report(file.matrix[np.ix_(known, known)], tasks).with_region
    assert reading.tasks == 18
    assert [reading.relations[name].pairs for name in ("domain_only", "format_only")] == [9, 14]
    assert reading.contrasts["index"].value == pytest.approx(0.073, abs=5e-4)
    chance = reading.contrasts["index"].chance_given_format
    assert chance is not None
    assert chance.p == chance.least == pytest.approx(1 / 105)
    assert reading.formats is not None
    assert reading.domains.published.agreement == pytest.approx(0.47, abs=0.005)
    assert reading.formats.published.agreement == pytest.approx(0.22, abs=0.005)
