"""What lesions do, against loops written out, and against simulated masks of which it is known what counts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from lesion_cases import DOMAINS, planted_lesions
from recorded import recorded
from rich.console import Console
from scipy import stats

from observatory.cli import main
from observatory.review.effects.lesion_effects import MEASURES, LesionCriteria, holm, lesion_effects
from observatory.review.effects.lesion_table import lesion_table, said, to_json
from observatory.review.judge.resampling import Clusters, pooled, shares

MATH = {("math", "math"): 0.5}
ANY_SIZE = LesionCriteria(margin=0, loss=0)


def scores(logbook: xr.Dataset, part: str, measure: str, domain: str, **where: Any) -> float:
    """The mean over a domain's tasks of the means over their pairs, or over its texts."""
    here = logbook.isel(step=0, **where)
    values = here[f"lesions_{part}_{measure}"]
    if measure == "loss":
        return float(np.mean([values.sel(family=f) for f in values["family"].values if f.startswith(f"{domain}/")]))
    means = []
    for task in values["task"].values:
        tried = here["lesions_template"].sel(task=task).values >= 0
        if task.startswith(f"{domain}/") and tried.any():
            means.append(float(values.sel(task=task).values[tried].mean()))
    return float(np.mean(means))


def uneven() -> xr.Dataset:
    """Tasks with fewer pairs than others, one of them with none."""
    logbook = planted_lesions(planted={**MATH, ("social", "language"): 0.3}, seed=3, spread=0.1)
    for task, last in (("math/task 0", 7), ("social/task 1", 5), ("physical/task 0", 0)):
        gone = {"task": task, "tried_pair": slice(last, None)}
        for name in ("template", "intact_margin", "lesioned_margin", "random_margin"):
            logbook[f"lesions_{name}"].loc[gone] = -1 if name == "template" else np.nan
    return logbook


def test_effects_are_differences_of_means_over_tasks() -> None:
    logbook = uneven()
    found = lesion_effects(logbook).isel(step=0)
    for measure, sign in MEASURES.items():
        for row, lesioned in enumerate(DOMAINS):
            for domain in DOMAINS:
                at = [scores(logbook, "lesioned", measure, domain, lesioned=row, mask=mask) for mask in range(9)]
                anywhere = [scores(logbook, "random", measure, domain, random_mask=mask) for mask in range(8)]
                expected = {
                    "matched": sign * (np.mean(at[1:]) - at[0]),
                    "random": sign * (np.mean(anywhere) - at[0]),
                    "intact": sign * (scores(logbook, "intact", measure, domain) - at[0]),
                }
                cell = found.sel(measure=measure, lesioned=lesioned, domain=domain)
                for against, value in expected.items():
                    assert float(cell["effect"].sel(against=against)) == pytest.approx(value, abs=1e-9)
                scale = np.std(at[1:], ddof=1) * np.sqrt(9 / 8)
                assert float(cell["p"]) == pytest.approx(1 - stats.t(7).cdf(expected["matched"] / scale), abs=1e-9)
                assert float(cell["of_masks"]) == pytest.approx(2.364624 * scale, rel=1e-6)  # of a table of Student's t
                assert float(cell["intact"]) == pytest.approx(scores(logbook, "intact", measure, domain))


def test_specificity_is_the_effect_on_its_own_less_the_mean_of_the_others() -> None:
    found = lesion_effects(uneven()).isel(step=0)
    for measure in MEASURES:
        effect = found["effect"].sel(measure=measure, against="matched").values
        here = found.sel(measure=measure, against="matched")
        for row in range(4):
            others = np.delete(effect[row], row).mean()
            assert float(here["own"][row]) == pytest.approx(effect[row, row])
            assert float(here["others"][row]) == pytest.approx(others)
            assert float(here["specificity"][row]) == pytest.approx(effect[row, row] - others)
    here = found.sel(measure="margin")
    assert here["specific"].sel(lesioned="math")
    assert not here["specific"].sel(lesioned=["social", "physical"]).any()


def test_resampling_spreads_as_the_formula_for_means_over_clusters_says() -> None:
    """The sd of a ratio of sums over clusters, from a book on sampling (Cochran 1977), against 20000 resamples."""
    draw = np.random.default_rng(0)
    template = np.array(
        [[0, 0, 0, 1, 1, 2, 2, 2, 3, -1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 0, 0, 0, 0, -1, -1, -1, -1, -1]]
    )
    values = draw.normal(1, 0.1, (2, 3, 10)) + draw.normal(0, 1, 10)[template]
    values[:, template < 0] = np.nan
    clusters = Clusters.of(template)
    drawn = clusters.resampled(values, 20000)
    for place in range(2):
        for row in range(2):
            here, known = template[row], np.unique(template[row][template[row] >= 0])
            n = (here >= 0).sum()
            mean = values[place, row, here >= 0].mean()
            off = [((values[place, row] - mean)[here == c]).sum() for c in known]
            expected = len(known) / (len(known) - 1) * np.sum(np.square(off)) / n**2
            assert clusters.means(values)[place, row] == pytest.approx(mean)
            assert clusters.variances(values)[place, row] == pytest.approx(expected)
            assert drawn[:, place, row].var() == pytest.approx(expected, rel=0.15)
    assert np.isnan(clusters.variances(values)[:, 2]).all()
    np.testing.assert_allclose(drawn[:, :, 2], np.broadcast_to(clusters.means(values)[:, 2], (20000, 2)))


def test_one_missing_value_is_missed_by_its_owner_alone() -> None:
    share = shares(["a", "b", "b"], ["a", "b", "c"], np.array([1.0, 1.0, 3.0]))
    found = pooled(np.array([[np.nan, 1.0, 2.0], [5.0, 1.0, 2.0]]), share)
    np.testing.assert_allclose(found, [[np.nan, 1.75, np.nan], [5.0, 1.75, np.nan]])


def test_holm_is_as_in_the_textbook() -> None:
    p = np.array([[0.01, np.nan, 0.04], [0.03, 0.005, 0.9]])
    np.testing.assert_allclose(holm(p), [[0.04, np.nan, 0.09], [0.09, 0.025, 0.9]])
    assert np.isnan(holm(np.full(3, np.nan))).all()


@pytest.mark.parametrize("controls", [2, 8])
def test_regions_that_are_random_masks_count_in_no_more_matrices_than_alpha(controls: int) -> None:
    """A hundred and fifty matrices of sixteen effects each, with no smallest size; and no more in specificity."""
    steps = range(1, 151)
    found = lesion_effects(planted_lesions(steps, controls=controls, spread=0.3, seed=controls), ANY_SIZE, draws=100)
    for wrong in (found["counts"].any(("lesioned", "domain")), found["specific"].any("lesioned")):
        for measure in MEASURES:
            times = int(wrong.sel(measure=measure).sum())
            assert times <= stats.binom(len(steps), 0.05).ppf(0.999)
            assert times >= 1  # alpha is used


def test_a_planted_effect_of_half_a_nat_is_found_and_no_other() -> None:
    steps = range(1, 61)
    found = lesion_effects(planted_lesions(steps, MATH, seed=5), draws=200)["counts"]
    for measure in MEASURES:
        here = found.sel(measure=measure)
        assert int(here.sel(lesioned="math", domain="math").sum()) >= 57
        assert int(here.sum()) - int(here.sel(lesioned="math", domain="math").sum()) <= 6


def test_the_intervals_hold_the_truth_nineteen_times_in_twenty() -> None:
    """Masks and templates are drawn anew in each of 120 matrices; the region's own share of chance is taken out."""
    steps = range(1, 121)
    logbook = planted_lesions(steps, MATH, spread=0.2, seed=9)
    region = logbook["lesions_lesioned_margin"].isel(mask=0)
    # Without templates of its own, the region does to every pair what was planted, and nothing else.
    cost = xr.zeros_like(region) + 0.3
    cost.loc[{"lesioned": "math", "task": ["math/task 0", "math/task 1"]}] += 0.5
    logbook["lesions_lesioned_margin"][:, :, 0] = logbook["lesions_intact_margin"] - cost
    found = lesion_effects(logbook, draws=200).sel(measure="margin", against="matched")
    truth = np.zeros((4, 4))
    truth[1, 1] = 0.5
    held = (found["low"].transpose("step", ...).values <= truth) & (
        truth <= found["high"].transpose("step", ...).values
    )
    assert 0.90 < held.mean() < 0.97


def test_an_effect_that_is_sure_and_small_does_not_count() -> None:
    logbook = planted_lesions(planted={("math", "math"): 0.08, ("social", "social"): 0.15}, spread=0.003)
    for criteria, expected in ((LesionCriteria(), {"social"}), (ANY_SIZE, {"math", "social"})):
        found = lesion_effects(logbook, criteria).sel(measure="margin").isel(step=0)
        counting = {str(name) for name in DOMAINS if found["counts"].sel(lesioned=name, domain=name)}
        assert counting == expected


def reasons(found: xr.Dataset, measure: str = "margin") -> dict[str, str]:
    here = found.isel(step=-1).sel(measure=measure)
    return {str(name): str(here["unsaid"].sel(lesioned=name).item()) for name in DOMAINS}


def test_where_nothing_can_be_said_the_reason_is_given() -> None:
    found = lesion_effects(planted_lesions((0, 10), MATH, without={0: DOMAINS, 10: ["physical"]}))
    assert reasons(found) == {**dict.fromkeys(DOMAINS, ""), "physical": "it has no region at this step"}
    here = found.isel(step=1).sel(measure="margin", against="matched")
    assert np.isnan(here["effect"].sel(lesioned="physical")).all()
    assert np.isfinite(here["effect"].sel(domain="physical", lesioned=["math", "social", "language"])).all()
    assert np.isnan(found["effect"].isel(step=0)).all()
    assert not found["counts"].isel(step=0).any()
    one = lesion_effects(planted_lesions(controls=1))
    assert set(reasons(one).values()) == {"1 random mask has no spread; observe again with Lesions(controls=8)"}
    assert np.isnan(one["effect"].sel(against="matched")).all()
    assert np.isfinite(one["effect"].sel(against="intact")).all()
    equal = planted_lesions()
    equal["lesions_lesioned_margin"][:] = 1.0
    assert set(reasons(lesion_effects(equal)).values()) == {"its random masks do not differ in what they do"}
    no_loss = planted_lesions(planted=MATH)
    for part in ("intact", "lesioned", "random"):
        no_loss[f"lesions_{part}_loss"][:] = np.nan
    found = lesion_effects(no_loss)
    assert set(reasons(found, "loss").values()) == {"nothing was measured, or what was is not finite"}
    assert "can't say what lesions do to held-out loss: nothing was measured, or what was is not finite" in said(found)
    assert found["counts"].sel(measure="margin", lesioned="math", domain="math").all()


def test_a_diverged_step_takes_no_other_with_it() -> None:
    logbook = planted_lesions((10, 20), MATH)
    for name in ("intact", "lesioned", "random"):
        logbook[f"lesions_{name}_margin"][1] = np.nan
    found = lesion_effects(logbook).sel(measure="margin", against="matched", lesioned="math", domain="math")
    assert found["effect"].notnull().values.tolist() == [True, False]
    assert found["counts"].values.tolist() == [True, False]


def test_steps_without_lesions_are_left_out() -> None:
    logbook = planted_lesions((10, 20, 30), MATH)
    for name in logbook.data_vars:
        logbook[name] = logbook[name].astype(float)
        logbook[name][1] = np.nan
    assert lesion_effects(logbook)["step"].values.tolist() == [10, 30]
    with pytest.raises(ValueError, match="no lesions called 'lesions' were made yet at any of 1 steps"):
        lesion_effects(logbook.isel(step=[1]))


def test_the_order_of_axes_does_not_matter() -> None:
    logbook = planted_lesions(planted=MATH)
    turned = logbook.transpose(*reversed(list(logbook.dims)))
    xr.testing.assert_allclose(lesion_effects(logbook), lesion_effects(turned))


def words(logbook: xr.Dataset) -> list[str]:
    return said(lesion_effects(logbook))


def test_that_nothing_can_be_told_from_random_masks_is_said_in_these_words() -> None:
    told = words(planted_lesions(seed=1))
    for what in ("margins of tasks", "held-out loss"):
        (line,) = (line for line in told if line.startswith(what))
        assert "the lesion of no region can be told from those of random masks of the same layers, at step 100" in line
        assert "the largest effect is +" in line
    assert sum("which does not count" in line for line in told) == 8


def test_effects_that_can_be_told_apart_and_are_too_small_are_called_so() -> None:
    (line,) = (
        line for line in words(planted_lesions(planted={("math", "math"): 0.08}, spread=0.003)) if "margins of" in line
    )
    assert "1 of 16 effects of regions can be told from those of random masks of the same layers" in line
    assert "none of them is surely above 0.1 nats, at step 100; the largest effect is +0.074" in line


def test_own_effects_that_are_no_larger_than_others_are_called_so() -> None:
    """A region whose lesion hurts all domains alike, one that hurts another's more, and one that is its own."""
    alike = {("physical", domain): 0.5 for domain in DOMAINS}
    told = words(planted_lesions(planted={**alike, ("social", "math"): 0.6, **MATH}))
    by_domain = {line.split(":")[0]: line for line in told if "nats," in line}
    assert "which counts; more than the others'" in by_domain["math"]
    assert "which does not count; no more than the others'" in by_domain["social"]
    assert "which counts; no more than" in by_domain["physical"] or "not surely more than" in by_domain["physical"]
    assert any("at step 100 2 of 4 on their own domain, and 4 times one on another domain" in line for line in told)


def test_a_region_that_appears_later_is_dated() -> None:
    logbook = planted_lesions((10, 100, 1000), MATH)
    logbook["lesions_lesioned_margin"][0] = planted_lesions(seed=4)["lesions_lesioned_margin"][0]
    logbook["lesions_intact_margin"][0] = planted_lesions(seed=4)["lesions_intact_margin"][0]
    assert any("masks of the same layers, first at step 100; at step 1000 1 of 4" in line for line in words(logbook))


def rendered(found: xr.Dataset, width: int) -> str:
    written = StringIO()
    Console(width=width, file=written).print(lesion_table(found))
    return written.getvalue()


def test_the_table_has_every_effect_with_its_interval_and_marks_those_that_count() -> None:
    found = lesion_effects(planted_lesions((0, 100), MATH, without={0: DOMAINS}))
    text = rendered(found, 140)
    cell = found.isel(step=1).sel(measure="margin", against="matched", lesioned="math", domain="math")
    low, high = (f"{float(cell[end]):.2f}".replace("0.", ".") for end in ("low", "high"))
    assert f"+{float(cell['effect']):.2f}*".replace("0.", ".") in text
    assert f"[{low}, {high}]" in text
    assert text.count("*") >= 4  # margins, loss, two of specificity, besides what the captions say
    assert "10 units" in text


@pytest.mark.parametrize(
    "domains", [DOMAINS, ["[red]one", "two", "a domain with a long name"], [f"d{n}" for n in range(8)]]
)
def test_the_table_holds_any_name_at_any_width(domains: Sequence[str]) -> None:
    found = lesion_effects(planted_lesions((0, 5), domains=domains))
    for width in (80, 160):
        lines = rendered(found, width).splitlines()
        assert max(map(len, lines)) <= width
        assert "…" not in "".join(lines)
    if width == 160:
        assert domains[0] in "\n".join(lines)


def test_json_holds_everything_and_nothing_that_json_does_not_know() -> None:
    found = lesion_effects(planted_lesions((0, 10), MATH, without={0: DOMAINS}))
    read = json.loads(json.dumps(to_json(found), allow_nan=False))
    assert read["criteria"] == {"alpha": 0.05, "margin": 0.1, "loss": 0.01}
    assert [step["step"] for step in read["steps"]] == [0, 10]
    nothing = read["steps"][0]["margin"]["math"]
    assert nothing["units"] == 0
    assert nothing["unsaid"] == "it has no region at this step"
    assert nothing["on"]["math"]["matched"] == {"value": None, "interval": [None, None]}
    math = read["steps"][1]["margin"]["math"]
    here = found.isel(step=1).sel(measure="margin", lesioned="math")
    assert math["on"]["math"]["counts"] is True
    assert math["on"]["math"]["matched"]["value"] == float(here["effect"].sel(against="matched", domain="math"))
    assert math["specific"] is True
    assert math["on"]["math"]["p_corrected"] == pytest.approx(16 * math["on"]["math"]["p"])


def test_other_names_are_found_and_unknown_ones_refused_with_those_there_are() -> None:
    logbook = planted_lesions(planted=MATH)
    renamed = logbook.rename({name: str(name).replace("lesions_", "silenced_") for name in logbook.data_vars})
    xr.testing.assert_equal(lesion_effects(logbook), lesion_effects(renamed, name="silenced"))
    with pytest.raises(ValueError, match=r"no lesions called 'lesions' .* those recorded are silenced$"):
        lesion_effects(renamed)
    with pytest.raises(ValueError, match=r"those recorded are none$"):
        lesion_effects(logbook[[]])


@pytest.mark.parametrize("setting", [{"alpha": 0}, {"alpha": 0.7}, {"margin": -1}, {"loss": float("inf")}])
def test_criteria_that_make_no_sense_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"alpha is an error rate|smallest effects that count"):
        LesionCriteria(**setting)


@pytest.mark.filterwarnings("ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning")
def test_the_command_prints_tables_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(recorded(tmp_path / "o.h5", planted_lesions((0, 100), MATH, without={0: DOMAINS})))
    main(["lesions", path])
    told = capsys.readouterr().out
    assert "Lesions at step 100: margins of tasks, nats" in told
    assert re.search(
        r"math: its lesion costs its own domain \+0\.\d+ nats, which counts; more than", re.sub(r"\s+", " ", told)
    )
    main(["lesions", path, "--json", "true", "--alpha", "0.01"])
    assert json.loads(capsys.readouterr().out)["criteria"]["alpha"] == 0.01
    with pytest.raises(SystemExit, match="no lesions called 'silenced' were recorded in this logbook"):
        main(["lesions", path, "--name", "silenced"])
