"""What a logbook says of circuits over training, against loops over sets and planted structure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import StringIO
from itertools import combinations, permutations, product
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from circuits_planted import DOMAINS, SHARES, planted_circuits
from recorded import recorded
from rich.console import Console
from scipy import stats
from verdicts import planted

from observatory import open_logbook
from observatory.cli import main
from observatory.observation import Array
from observatory.review.judge.verdict import UNKNOWN
from observatory.review.sharing.circuit_record import Choice, circuit_record, no_circuits
from observatory.review.sharing.circuits import CircuitReport, CircuitStep, circuits
from observatory.review.sharing.circuits_table import circuits_table
from observatory.review.sharing.clustering import adjusted_rand, clusters
from observatory.review.sharing.overlap import CONTRASTS, RELATIONS, Relation, Tasks
from observatory.review.sharing.relabelling import Chance
from observatory.review.sharing.sharing_verdict import BY_DOMAIN, BY_FORMAT, NEITHER, sharing_verdict
from observatory.review.sharing.task_sharing import Effect, Sharing, format_test

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
STEPS = [0, 10, 100, 1000]
UNITS = 1024
LABELS = [f"{DOMAINS[d]}/kind{k}_format{f}" for d in range(4) for k in range(2) for f in range(3)]
SOME = [label for place, label in enumerate(LABELS) if place % 5 != 3]
FEW = LABELS[:6]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """Bound by domain from step 100 on; few tasks are done at step 0, some at 10; no circuits at step 1000."""
    path = tmp_path_factory.mktemp("circuits") / "o.h5"
    steps = [*STEPS, 2000]
    planted_circuits(
        path, steps, domain=[0, 0, 0.5, 0.5, 0.6], form=0.1, done={0: FEW, 10: SOME}, looked=[0, 10, 100, 2000]
    )
    return open_logbook(path)


@pytest.fixture(scope="module")
def report(book: xr.Dataset) -> CircuitReport:
    return circuits(book)


def of_one(tmp_path: Path, choice: Choice | None = None, **planting: Any) -> CircuitStep:
    """A single observation."""
    path = planted_circuits(tmp_path / "o.h5", [500], **planting)
    return circuits(open_logbook(path), choice, sweep=False).steps[0]


def above_chance(both: float, one: float, other: float) -> float:
    """The Jaccard coefficient, and by how much it is above that of sets of these sizes, of what could be."""
    chance = one * other / UNITS
    expected = chance / (one + other - chance)
    return (both / (one + other - both) - expected) / (1 - expected)


def by_hand(counts: Array, done: Sequence[str], relation: Relation, coefficient: bool = False) -> list[float]:
    """The overlaps of all pairs of tasks done in a relation, one by one, from the labels as text."""
    found = []
    for i, j in combinations([place for place, label in enumerate(LABELS) if label in done], 2):
        (kind, form), (other_kind, other_form) = (LABELS[place].split("_") for place in (i, j))
        alike = kind.split("/")[0] == other_kind.split("/")[0]
        wanted = alike == relation.domain
        wanted &= relation.format is None or (form == other_form) == relation.format
        wanted &= relation.kind is None or (kind == other_kind) == relation.kind
        if wanted:
            both, one, other = counts[i, j], counts[i, i], counts[j, j]
            found.append(both / min(one, other) if coefficient else above_chance(both, one, other))
    return found


def contrast_by_hand(counts: Array, done: Sequence[str], name: str) -> float:
    one = CONTRASTS[name]
    return float(
        np.mean(by_hand(counts, done, RELATIONS[one.of])) - np.mean(by_hand(counts, done, RELATIONS[one.minus]))
    )


def judged(step: CircuitStep, share: float = 0.01) -> Sharing:
    return step.by_share[share]


def test_only_steps_at_which_circuits_were_looked_for_are_judged(report: CircuitReport) -> None:
    assert [step.step for step in report.steps] == [0, 10, 100, 2000]
    assert [step.tokens for step in report.steps] == [0, 20480, 204800, 4096000]
    assert report.record.tasks.domains == tuple(label.split("/")[0] for label in LABELS)
    assert report.record.tasks.formats == tuple(label.split("_")[1] for label in LABELS)
    assert len(set(report.record.tasks.own_kinds())) == 8


def test_a_task_is_done_below_alpha_over_the_number_of_tasks(book: xr.Dataset) -> None:
    gated = book.copy(deep=True)
    gated["circuits_gate_p"][2, :4] = [0.05 / 24 * 0.99, 0.05 / 24 * 1.01, nan, 0.049]
    record = circuit_record(gated, Choice())
    assert record.done(0.05)[2].tolist() == [True, False, False, False, *[True] * 20]
    assert record.done(0.06)[2].tolist()[:2] == [True, True]


def test_tasks_not_done_are_missing_and_never_zero(report: CircuitReport) -> None:
    step = report.steps[1]
    assert step.done == tuple(SOME)
    known = np.isin(LABELS, SOME)
    for matrix in (step.overlap.overlap, step.overlap.jaccard, step.overlap.corrected):
        assert np.array_equal(np.isfinite(matrix), known[:, None] & known)
    rows = report.to_json()["steps"][1]["overlap"]["overlap"]
    assert [row[0] is None for row in rows] == [label not in SOME for label in LABELS]


@pytest.mark.parametrize("place", [1, 2])
def test_effects_are_those_of_pairs_one_by_one_on_the_model_and_on_each_twin(
    book: xr.Dataset, report: CircuitReport, place: int
) -> None:
    step = report.steps[place]
    for number, share in enumerate(SHARES):
        counts = book["circuits_shared"].values[place, 0, number]
        twins = book["circuits_shared_twins"].values[0, :, 0, number]
        found = judged(step, share)
        for name, relation in RELATIONS.items():
            pairs = by_hand(counts, step.done, relation)
            assert found.relations[name].pairs == len(pairs)
            assert found.relations[name].value == pytest.approx(np.mean(pairs))
        for name in CONTRASTS:
            assert found.effects[name].value == pytest.approx(contrast_by_hand(counts, step.done, name))
            expected = [contrast_by_hand(twin, step.done, name) for twin in twins]
            assert found.effects[name].twins == pytest.approx(expected)
        pairs_of = partial(by_hand, done=step.done, coefficient=True)
        within, across = pairs_of(counts, relation=RELATIONS["within"]), pairs_of(counts, relation=RELATIONS["across"])
        assert found.ratio.value == pytest.approx(
            np.mean(within) / np.mean(across) if any(across) else nan, nan_ok=True
        )


def test_a_model_is_held_against_its_twins_as_one_observation_against_a_sample(report: CircuitReport) -> None:
    effect = judged(report.steps[1]).effects["index"]
    reference = stats.ttest_ind([effect.value], effect.twins, alternative="greater")
    assert effect.p_of_twins == pytest.approx(reference.pvalue)
    above = (effect.value - np.mean(effect.twins)) / (np.std(effect.twins, ddof=1) * np.sqrt(1 + 1 / 8))
    assert (effect.p_of_twins <= 0.05) == (above >= stats.t.ppf(0.95, 7))
    assert effect.excess == pytest.approx(effect.value - np.mean(effect.twins))
    low, high = effect.band()
    assert stats.ttest_ind([high], effect.twins).pvalue == pytest.approx(0.05)
    assert (low + high) / 2 == pytest.approx(np.mean(effect.twins))


@pytest.mark.parametrize("twins", [(), (0.1,), (0.1, 0.1), (0.1, nan)])
def test_twins_without_a_spread_give_no_p(twins: tuple[float, ...]) -> None:
    assert isnan(Effect(0.5, None, twins).p_of_twins)


def test_formats_are_dealt_anew_within_each_kind() -> None:
    rows = [(d, k, f) for d in "ab" for k in "xy" for f in "pqr"]
    tasks = Tasks(
        [k + f for _, k, f in rows], [d for d, _, _ in rows], [f for _, _, f in rows], [k for _, k, _ in rows]
    )
    draw = np.random.default_rng(1)
    alike = np.equal.outer(tasks.formats, tasks.formats)
    matrix = draw.random((12, 12)) + 0.1 * alike - 2.0 * alike * np.equal.outer(tasks.domains, tasks.domains)
    matrix = (matrix + matrix.T) / 2

    def effect(formats: Sequence[str]) -> float:
        means: dict[bool, list[float]] = {True: [], False: []}
        for i, j in combinations(range(12), 2):
            if tasks.domains[i] != tasks.domains[j]:
                means[formats[i] == formats[j]].append(matrix[i, j])
        return float(np.mean(means[True]) - np.mean(means[False]))

    dealt = [effect([form for kind in one for form in kind]) for one in product(permutations("pqr"), repeat=4)]
    assert 0.01 < np.mean(np.array(dealt) >= effect(tasks.formats)) < 0.5
    found = format_test(matrix, tasks, draw, draws=1295)
    assert found is not None
    assert found.exact
    assert found.relabellings == len(dealt) == 6**4
    assert found.least == pytest.approx(6 / 6**4)  # the three formats can change names
    assert found.p == pytest.approx(np.mean(np.array(dealt) >= effect(tasks.formats) - 1e-12))
    assert format_test(matrix, Tasks(tasks.names, tasks.domains), draw) is None


PLANTED: dict[str, tuple[dict[str, Any], str, str]] = {
    "by domain": ({"domain": 0.4}, BY_DOMAIN, "domain index +0."),
    "by domain more than by format": ({"domain": 0.4, "form": 0.2}, BY_DOMAIN, "formats bind too, but less"),
    "by format": ({"form": 0.4, "seed": 1}, BY_FORMAT, "effect of format +0."),
    "by format more than by domain": ({"domain": 0.3, "form": 0.5}, NEITHER, "and domains do, +0."),
    "as the untrained": ({"form": 0.4, "twins_form": 0.45}, NEITHER, "no more than in untrained twins"),
    "not at all": ({}, NEITHER, "no more than with domains dealt anew"),
    "without tasks": ({"domain": 0.4, "done": {500: []}}, UNKNOWN, "0 tasks are done, in 0 domains"),
    "in one domain": ({"domain": 0.4, "done": {500: FEW}}, UNKNOWN, "6 tasks are done, in 1 domain;"),
    "in one format": ({"domain": 0.4, "formats": 1}, UNKNOWN, "no pairs of one domain in two formats"),
    "with one twin": ({"domain": 0.4, "twins": 1}, UNKNOWN, "1 untrained twins were measured"),
    "without twins": ({"domain": 0.4, "twins": 0}, UNKNOWN, "0 untrained twins were measured"),
    "with few kinds": ({"domain": 0.4, "domains": 2}, UNKNOWN, "no p can be below 0.33"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_the_verdict_is_what_was_planted(tmp_path: Path, case: str) -> None:
    planting, said, reason = PLANTED[case]
    verdict = of_one(tmp_path, **planting).verdict
    assert verdict.said == said
    assert reason in "; ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("value", "p", "twin", "said"),
    [(0.2, 0.04, 0.0, BY_DOMAIN), (0.2, 0.06, 0.0, NEITHER), (0.2, 0.04, 0.2, NEITHER), (-0.1, 0.04, -0.4, NEITHER)],
)
def test_all_three_conditions_must_hold(tmp_path: Path, value: float, p: float, twin: float, said: str) -> None:
    found = judged(of_one(tmp_path))
    index = Effect(value, Chance(p, 0.01, 105, True), (twin - 0.01, twin, twin + 0.01))
    assert sharing_verdict(replace(found, effects={**found.effects, "index": index}), 0.05).said == said


def test_the_published_clustering_stands_beside_with_its_sweep(book: xr.Dataset, report: CircuitReport) -> None:
    found = judged(report.steps[3])
    counts = book["circuits_shared"].values[4, 0, 1]
    overlap = counts / np.diagonal(counts)
    domains = [label.split("/")[0] for label in LABELS]
    assert found.domains is not None
    assert found.domains.agreement.value == pytest.approx(float(adjusted_rand(clusters(overlap, 4), domains)))
    assert found.domains.agreement.value > 0.8
    assert found.domains.swept[0] < found.domains.agreement.value
    assert len(found.domains.swept) <= found.domains.settings
    assert len(found.domains.agreement.twins) == 8
    assert max(found.domains.agreement.twins) < 0.3
    assert found.formats is not None
    assert abs(found.formats.agreement.value) < 0.2


def test_tasks_that_each_have_a_domain_of_their_own_cannot_be_clustered(tmp_path: Path) -> None:
    found = judged(of_one(tmp_path, domain=0.4, done={500: LABELS[::6]}))
    assert found.domains is None
    assert found.formats is None


def test_the_ceiling_is_what_two_halves_of_a_task_share(report: CircuitReport) -> None:
    step = report.steps[1]
    assert step.units[0.01] == 10
    for domain, one in step.domains.items():
        assert one.ceiling == pytest.approx(0.6)
        assert one.ceiling_corrected == pytest.approx(above_chance(6, 10, 10))
        assert (one.done, one.asked) == (sum(label.startswith(f"{domain}/") for label in SOME), 6)
    index = judged(step).effects["index"].value
    assert report.index_of_ceiling(step) == pytest.approx(index / above_chance(6, 10, 10))
    assert isnan(report.steps[0].domains["math"].ceiling)


def test_a_circuit_is_compared_with_itself_only_where_the_task_is_done_at_both_steps(
    book: xr.Dataset, report: CircuitReport
) -> None:
    ranks = book["circuits_top_mlp"].values[[0, 1, 2, 4], :, :10].astype(int)

    def kept(label: str, now: int, then: int) -> float:
        place = LABELS.index(label)
        return above_chance(len(set(ranks[now, place]) & set(ranks[then, place])), 10, 10)

    own = [label for label in LABELS if label.startswith("language/")]
    previous = [step.domains["language"].to_previous for step in report.steps]
    final = [step.domains["language"].to_final for step in report.steps]
    both = [[label for label in own if label in SOME and label in FEW], [label for label in own if label in SOME], own]
    assert isnan(previous[0])
    assert previous[1:] == pytest.approx(
        [np.mean([kept(label, now, now - 1) for label in both[now - 1]]) for now in (1, 2, 3)]
    )
    assert isnan(final[3])
    done = [[label for label in own if label in FEW], [label for label in own if label in SOME], own]
    assert final[:3] == pytest.approx([np.mean([kept(label, now, 3) for label in done[now]]) for now in range(3)])
    assert isnan(report.steps[1].domains["math"].to_previous)  # none of it is done at step 0
    assert previous[3] > 0.1 > previous[1]


def test_regions_lie_in_the_layers_that_were_recorded(report: CircuitReport) -> None:
    assert {domain: one.layers for domain, one in report.steps[2].domains.items()} == {
        "language": (10, 0),
        "math": (0, 10),
        "physical": (10, 0),
        "social": (0, 10),
    }
    assert report.steps[0].domains["math"].layers == (0, 0)


def test_hubs_are_not_among_the_units_that_chance_could_choose(book: xr.Dataset) -> None:
    crowded = book.copy(deep=True)
    crowded["circuits_hubs"][:] = np.where(np.isnan(crowded["circuits_hubs"]), nan, 512)
    record = circuit_record(crowded, Choice())
    both = record.shared[2, 1, 0, 1]
    found = record.overlaps(2, 1, record.done(0.05)[2])[0].corrected[0, 1]
    chance = 100 / 512 / (20 - 100 / 512)
    assert found == pytest.approx((both / (20 - both) - chance) / (1 - chance))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda book: book.drop_vars("circuits_shared"), "observe with the instrument circuits"),
        (lambda book: book.drop_vars("circuits_format"), "circuits_format was not recorded"),
        (lambda book: book.isel(step=[3]), "looked for at no step"),
        (
            lambda book: book.assign_coords(share=[0.1, 0.2, 0.3]),
            "a share of 0.01 were recorded; there are 0.1, 0.2, 0.3",
        ),
        (lambda book: book.assign_coords(circuit_space=["heads"]), "of 'mlp' units were recorded; there are heads"),
    ],
)
def test_what_is_lacking_is_said(book: xr.Dataset, change: Callable[[xr.Dataset], xr.Dataset], words: str) -> None:
    reason = no_circuits(change(book))
    assert reason is not None
    assert words in reason
    with pytest.raises(ValueError, match="nothing can be said of circuits: "):
        circuits(change(book))


def test_an_alpha_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"alpha is an error rate between 0 and 0\.5; got 1\.5"):
        Choice(alpha=1.5)


def test_without_circuits_the_command_says_what_would_do(tmp_path: Path) -> None:
    path = recorded(tmp_path / "o.h5", planted([0, 10], {"math": [0.0, 0.1]}))
    with pytest.raises(
        SystemExit, match=r"^observatory: nothing can be said of circuits: no circuits were recorded; obs"
    ):
        main(["circuits", str(path)])


def test_the_command_tells_what_the_report_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(planted_circuits(tmp_path / "o.h5", [100, 1000], domain=0.4, done={100: FEW}))
    main(["circuits", path, "--json", "true"])
    told = json.loads(capsys.readouterr().out)
    report = circuits(open_logbook(path))
    assert told == report.to_json() == json.loads(json.dumps(told))
    first, last = told["steps"]
    assert first["verdict"]["said"] == UNKNOWN
    assert first["by_share"] == {}
    index = judged(report.steps[1]).effects["index"]
    assert last["by_share"]["0.01"]["effects"]["index"]["above_twins"] == pytest.approx(index.excess)
    assert last["by_share"]["0.01"]["effects"]["index"]["p_of_twins"] == pytest.approx(index.p_of_twins)
    main(["circuits", path, "--share", "0.05", "--alpha", "0.1"])
    assert "Which units tasks share: 0.05 of the mlp units, alpha 0.1 at each step" in capsys.readouterr().out


def test_the_tables_show_every_step_and_why(report: CircuitReport) -> None:
    console = Console(width=150, record=True, file=StringIO())
    console.print(circuits_table(report))
    text = console.export_text()
    for words in ("6 of 24", "19 of 24", "24 of 24", UNKNOWN, BY_DOMAIN, "At step 2000 the index is"):
        assert words in text
    assert f"{judged(report.steps[3]).effects['index'].value:+.3f}" in text
    assert "step 0: can't say; 6 tasks are done, in 1 domain; it takes 3 in 2" in text
    assert "Each of 3 steps is judged by itself" in text
