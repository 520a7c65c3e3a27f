"""What a logbook says of competence, against formulas by hand and against simulated tasks whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from recorded import recorded
from scipy import stats

from observatory import open_logbook
from observatory.review.effects.competence import competence, curve, curves
from observatory.review.effects.lead import lead
from observatory.review.effects.series import series

TEMPLATES, PAIRS, TEXTS, TWINS = 8, 6, 10, 5
DOMAINS = ("language", "math")


def competent(
    margins: Sequence[float], domains: Sequence[str] = DOMAINS, tasks: int = 3, seed: int = 0, tokens: int = 2048
) -> xr.Dataset:
    """Tasks with this mean margin at each step, templates, pairs and prompts apart; the loss is less by it."""
    random, steps = np.random.default_rng(seed), len(margins)
    count = tasks * len(domains)
    by_template = np.repeat(random.normal(0, 1, (count, TEMPLATES)), PAIRS, -1)
    change = np.repeat(random.normal(0, 0.3, (steps, count, TEMPLATES)), PAIRS, -1)
    noise = random.normal(0, 1, (steps, count, TEMPLATES * PAIRS, 2))
    margin = np.asarray(margins, float)[:, None, None, None] + (by_template + change)[..., None] + noise
    logs = np.zeros((*margin.shape, 2))
    logs[..., 0, 0], logs[..., 1, 1] = margin[..., 0], margin[..., 1]
    template = np.broadcast_to(np.repeat(np.arange(TEMPLATES), PAIRS), margin.shape[:-1])
    level = 6 - np.asarray(margins, float)[:, None, None]
    loss = (
        level
        + random.gamma(2, 0.5, (2 * len(domains), TEXTS))
        + random.normal(0, 0.05, (steps, 2 * len(domains), TEXTS))
    )
    at = np.array([0, *(2**k for k in range(steps - 1))])
    return xr.Dataset(
        {
            "competence_log_probability": (("step", "task", "pair", "prompt", "answer"), logs),
            "competence_template": (("step", "task", "pair"), template),
            "competence_margin": (("step", "task"), margin.mean((-2, -1))),
            "competence_accuracy": (("step", "task"), (margin > 0).all(-1).mean(-1)),
            "competence_loss": (("step", "family", "text"), loss),
            "competence_domain_loss": (("step", "domain"), loss.reshape(steps, len(domains), -1).mean(-1)),
            **{
                f"competence_{name}_twins": (
                    ("step", "twin", axis),
                    np.broadcast_to(random.normal(middle, 0.05, (TWINS, size)), (steps, TWINS, size)),
                )
                for name, axis, middle, size in (
                    ("margin", "task", 0.0, count),
                    ("accuracy", "task", 0.25, count),
                    ("domain_loss", "domain", 9.0, len(domains)),
                )
            },
        },
        {
            "step": at,
            "tokens": ("step", at * tokens),
            "task": [f"{domain}/task_{number}" for domain in domains for number in range(tasks)],
            "family": [f"{domain}/family {number}" for domain in domains for number in range(2)],
            "domain": list(domains),
            "prompt": ["clean", "corrupted"],
            "answer": ["correct", "incorrect"],
        },
    )


def test_values_are_those_that_were_recorded() -> None:
    logbook = competent([0.0, 1.0])
    found = competence(logbook)
    for name in ("margin", "accuracy"):
        np.testing.assert_allclose(found[f"task_{name}"], logbook[f"competence_{name}"])
        expected = logbook[f"competence_{name}"].values.reshape(2, 2, 3).mean(-1)
        np.testing.assert_allclose(found[f"domain_{name}"], expected)
    np.testing.assert_allclose(found["domain_loss"], logbook["competence_domain_loss"])


def test_margins_of_a_task_have_students_interval_over_templates() -> None:
    logbook = competent([0.5], seed=4)
    logs = logbook["competence_log_probability"].values[0, 1]
    margins = (logs[:, 0, 0] - logs[:, 0, 1] + logs[:, 1, 1] - logs[:, 1, 0]) / 2
    interval = stats.t.interval(
        0.95, TEMPLATES - 1, margins.mean(), stats.sem(margins.reshape(TEMPLATES, PAIRS).mean(-1))
    )
    found = competence(logbook).isel(step=0, task=1)
    np.testing.assert_allclose([float(found["task_margin_low"]), float(found["task_margin_high"])], interval)


def test_the_margin_of_a_domain_has_welchs_interval_of_two_means() -> None:
    """The mean of two tasks is half of what scipy's Welch interval of a difference has, with one of them turned."""
    logbook = competent([0.5], tasks=2, seed=5)
    logs = logbook["competence_log_probability"].values[0, :2]
    margins = (logs[..., 0, 0] - logs[..., 0, 1] + logs[..., 1, 1] - logs[..., 1, 0]) / 2
    first, second = margins.reshape(2, TEMPLATES, PAIRS).mean(-1)
    expected = stats.ttest_ind(first, -second, equal_var=False).confidence_interval(0.95)
    found = competence(logbook).isel(step=0, domain=0)
    np.testing.assert_allclose(float(found["domain_margin_low"]), expected.low / 2)
    np.testing.assert_allclose(float(found["domain_margin_high"]), expected.high / 2)


def test_accuracy_without_clusters_has_wilsons_interval() -> None:
    """With one pair a template, but for the template variance's n - 1 and Student's t for the normal."""
    logbook = competent([0.3], seed=1)
    pairs = TEMPLATES * PAIRS
    logbook["competence_template"] = (("step", "task", "pair"), np.broadcast_to(np.arange(pairs), (1, 6, pairs)))
    found = competence(logbook).isel(step=0)
    for task in range(6):
        right = round(float(found["task_accuracy"][task]) * pairs)
        expected = stats.binomtest(right, pairs).proportion_ci(0.95, "wilson")
        assert float(found["task_accuracy_low"][task]) == pytest.approx(expected.low, abs=0.01)
        assert float(found["task_accuracy_high"][task]) == pytest.approx(expected.high, abs=0.01)


def test_accuracy_of_one_is_not_known_for_sure() -> None:
    """All 48 pairs are right, of eight templates: Wilson's interval of eight of eight, with t for the normal."""
    found = competence(competent([50.0])).isel(step=0)
    z2 = stats.t.ppf(0.975, TEMPLATES - 1) ** 2
    np.testing.assert_allclose(found["task_accuracy"], 1)
    np.testing.assert_allclose(found["task_accuracy_high"], 1)
    np.testing.assert_allclose(found["task_accuracy_low"], 1 / (1 + z2 / TEMPLATES))
    assert (found["domain_accuracy_low"] > found["task_accuracy_low"].values.min()).all()


@pytest.mark.parametrize("level", [-0.2, 1.0])
def test_intervals_hold_the_truth_nineteen_times_in_twenty(level: float) -> None:
    """Eight templates, drawn anew in each of 150 simulated logbooks."""
    held: dict[str, list[float]] = {}
    truth = {"margin": level, "loss": 6 - level + 1}
    # A pair is right where both of its prompts are: integrated over the template's share of the margin.
    at = np.linspace(-8, 8, 2001)
    weight = stats.norm.pdf(at, 0, np.sqrt(1 + 0.09))
    truth["accuracy"] = float((stats.norm.cdf(level + at) ** 2 * weight).sum() / weight.sum())
    for seed in range(150):
        found = competence(competent([level], seed=seed)).isel(step=0)
        for name in ("task_margin", "domain_margin", "task_accuracy", "domain_accuracy", "domain_loss"):
            true = truth[name.partition("_")[2]]
            inside = (found[f"{name}_low"] <= true) & (true <= found[f"{name}_high"])
            held.setdefault(name, []).append(float(inside.mean()))
    for name, shares in held.items():
        assert 0.915 < np.mean(shares) < 0.98, (name, np.mean(shares))


def test_twins_lie_where_one_more_would() -> None:
    logbook = competent([0.0])
    found = competence(logbook)
    twins = logbook["competence_domain_loss_twins"].values[0, :, 0]
    half = stats.t.ppf(0.975, TWINS - 1) * twins.std(ddof=1) * np.sqrt(1 + 1 / TWINS)
    assert float(found["domain_loss_twins_low"][0]) == pytest.approx(twins.mean() - half)
    assert float(found["domain_loss_twins_high"][0]) == pytest.approx(twins.mean() + half)
    by_domain = logbook["competence_margin_twins"].values[0].reshape(TWINS, 2, 3).mean(-1)
    middle = (found["domain_margin_twins_low"] + found["domain_margin_twins_high"]) / 2
    np.testing.assert_allclose(middle, by_domain.mean(0))
    without = logbook.drop_vars([name for name in logbook.data_vars if str(name).endswith("_twins")])
    assert "domain_loss_twins_low" not in competence(without)


def test_short_tasks_single_templates_and_steps_that_say_nothing() -> None:
    logbook = competent([0.0, 1.0], seed=2).copy(deep=True)
    logbook["competence_template"] = logbook["competence_template"].copy(
        data=logbook["competence_template"].values.copy()
    )
    logbook["competence_template"][:, 0, 10:] = -1
    logbook["competence_log_probability"][:, 0, 10:] = np.nan
    logbook["competence_template"][:, 1] = 0
    logbook["competence_log_probability"][1, 2] = np.nan
    logbook["competence_loss"][:, 0, 5:] = np.nan
    found = competence(logbook)
    logs = logbook["competence_log_probability"].values[0, 0, :10]
    margin = (logs[:, 0, 0] - logs[:, 0, 1] + logs[:, 1, 1] - logs[:, 1, 0]) / 2
    assert float(found["task_margin"][0, 0]) == pytest.approx(margin.mean())
    assert np.isfinite(found["task_margin"][0, 1])
    assert np.isnan(found["task_margin_low"][0, 1])
    assert found["task_margin"][:, 2].notnull().values.tolist() == [True, False]
    assert found["domain_margin"][:, 0].notnull().values.tolist() == [True, False]
    assert found["domain_margin"][:, 1].notnull().all()
    texts = logbook["competence_loss"].values[0, :2]
    assert float(found["domain_loss"][0, 0]) == pytest.approx(np.nanmean(texts))


@pytest.fixture(scope="module")
def logbook(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    rising = 2 / (1 + np.exp(-(np.arange(20) - 10) / 2))
    return open_logbook(recorded(tmp_path_factory.mktemp("run") / "o.h5", competent(rising.tolist(), seed=3)))


def test_curves_have_replicates_from_other_templates(logbook: xr.Dataset) -> None:
    found = competence(logbook)
    names = [
        *("margin/language", "margin/math", "accuracy/language", "accuracy/math", "loss/language", "loss/math"),
        *(f"{domain}/task_{number}" for domain in DOMAINS for number in range(3)),
    ]
    assert curves(logbook) == names
    for name in names:
        one = series(logbook, name)
        measure, _, domain = name.partition("/")
        expected = (
            found[f"domain_{measure}"].sel(domain=domain) if domain in DOMAINS else found["task_margin"].sel(task=name)
        )
        np.testing.assert_allclose(one.values, expected)
        assert one.name == name
        assert one.replicates is not None
        assert one.replicates.shape == (500, 20)
        np.testing.assert_allclose(one.replicates.mean(0), one.values, atol=0.15)
    loss = series(logbook, "loss/math").replicates
    half = (found["domain_loss_high"] - found["domain_loss_low"]).sel(domain="math").values / 2
    assert loss is not None
    np.testing.assert_allclose(1.96 * loss.std(0), half, rtol=0.2)
    # The templates of a replicate are the same at every step, or its curve would say nothing of a lead.
    assert np.corrcoef(curve(logbook, "margin/math").replicates[:, [9, 10]].T)[0, 1] > 0.5


def test_competence_and_loss_can_be_compared_in_time(logbook: xr.Dataset) -> None:
    found = lead(series(logbook, "math/task_0"), series(logbook, "loss/math"))
    assert found.falling == (False, True)
    assert found.halfway is not None
    assert found.halfway.interval is not None
    assert found.halfway.lag == pytest.approx(0, abs=0.5)
    with pytest.raises(
        ValueError, match=r"no curve 'margin/chess' in this logbook; there are .*margin/math.*math/task_2"
    ):
        series(logbook, "margin/chess")


def test_steps_without_competence_are_left_out(tmp_path: Path) -> None:
    logbook = competent([0.0, 0.5, 1.0])
    path = recorded(tmp_path / "o.h5", logbook)
    opened = open_logbook(path)
    opened["recorded"].loc[{"recorded_name": "competence_log_probability", "step": logbook["step"][1]}] = 0
    assert competence(opened)["step"].values.tolist() == logbook["step"].values[[0, 2]].tolist()
    opened["recorded"][:] = 0
    with pytest.raises(ValueError, match="competence was not measured yet at any step"):
        competence(opened)
    with pytest.raises(ValueError, match="competence_log_probability was not recorded; observe with the instrument"):
        competence(logbook[["competence_loss"]])
    assert curves(logbook[["competence_loss"]]) == []
