"""When a margin leaves its null, in logbooks whose truth is known, and how it is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hidden_planted import CONTROLS, TEMPLATES, WAYS, capable
from pictures import across, assert_legible, named, shown
from recorded import recorded
from scipy import stats

from observatory import open_logbook
from observatory.review.effects.hidden import departures, hidden, no_hidden
from observatory.review.figures.hidden import hidden_figure
from observatory.review.figures.style import SHEETS

EARLY = {"language": (200.0, 20.0), "math": (20.0, 200.0), "social": (np.inf, 20.0), "physical": (np.inf, np.inf)}


def test_what_is_hidden_at_first_is_found_with_how_long_it_is_hidden(tmp_path: Path) -> None:
    logbook = open_logbook(recorded(tmp_path / "o.h5", capable(EARLY)))
    told = {one.name: one for one in departures(logbook)}
    for name, (prompted, steered) in EARLY.items():
        for way, truth in (("prompted", prompted), ("steered", steered)):
            left = told[name].of(way)
            if np.isfinite(truth):
                assert truth / 1.25 < left.step < truth * 1.25
                assert left.low <= left.step <= left.high
            else:
                assert np.isinf(left.step)
    true = np.log((1 + 400_000) / (1 + 4_000))
    assert told["language"].lead == pytest.approx(true, abs=0.3)
    assert told["language"].interval[0] <= told["language"].lead <= told["language"].interval[1]
    assert told["language"].first > 0.95
    assert told["math"].lead == pytest.approx(-true, abs=0.3)
    assert told["math"].first < 0.05
    assert told["social"].lead == np.inf
    assert np.isnan(told["physical"].lead)
    assert told["physical"].first == pytest.approx(0.5, abs=0.1)


def test_tasks_are_told_one_by_one() -> None:
    told = departures(capable(EARLY), "task")
    assert [one.name for one in told[:3]] == ["language/task_0", "language/task_1", "math/task_0"]
    assert [np.isfinite(one.steered.step) for one in told] == [True] * 6 + [False] * 2


def test_the_null_is_what_one_more_twin_or_direction_would_give_or_the_error_over_templates() -> None:
    logbook = capable(EARLY)
    found = hidden(logbook)
    level, row, step = 1 - 0.05 / 8, 3, 5

    def bound(middle: float, *parts: tuple[float, int]) -> float:
        """Student's t of a sum of independent parts, each with a variance and its degrees of freedom."""
        total = sum(variance for variance, _ in parts)
        freedom = total**2 / sum(variance**2 / degrees for variance, degrees in parts)
        return float(middle + stats.t.ppf(level, freedom) * total**0.5)

    def one_more(values: np.ndarray) -> tuple[float, tuple[float, int]]:
        return float(values.mean()), (float(values.var(ddof=1) * (1 + 1 / len(values))), len(values) - 1)

    pairs = logbook["hidden_pair_margin"].values[step, :, row].reshape(2, TEMPLATES, -1).mean(-1)
    for way in (0, 1):
        own = (float(stats.sem(pairs[way])) ** 2, TEMPLATES - 1)
        middle, other = one_more(logbook["hidden_margin_twins"].values[0, :, way, row])
        bounds = [bound(0.0, own), bound(middle, other, own)]
        if way:
            middle, other = one_more(logbook["hidden_control"].values[step, :, row])
            bounds.append(bound(middle, other, own))
        assert found["task_null"].values[way, step, row] == pytest.approx(max(bounds))
        assert found["task_margin"].values[way, step, row] == pytest.approx(pairs[way].mean())
        half = stats.t.ppf(0.975, TEMPLATES - 1) * stats.sem(pairs[way])
        assert found["task_margin_high"].values[way, step, row] == pytest.approx(pairs[way].mean() + half)
    sems = [
        stats.sem(row.reshape(TEMPLATES, -1).mean(-1)) for row in logbook["hidden_pair_margin"].values[step, 1, 2:4]
    ]
    variances = np.square(sems) / 4
    freedom = variances.sum() ** 2 / (variances**2 / (TEMPLATES - 1)).sum()
    low = found["domain_margin"].values[1, step, 1] - found["domain_margin_low"].values[1, step, 1]
    assert low == pytest.approx(stats.t.ppf(0.975, freedom) * variances.sum() ** 0.5)
    domain = logbook["hidden_control"].values[step].reshape(CONTROLS, 4, 2).mean(-1)[:, 1]
    middle, off = domain.mean(), domain.std(ddof=1) * (1 + 1 / CONTROLS) ** 0.5
    assert found["domain_control_high"].values[step, 1] == pytest.approx(
        middle + stats.t.ppf(0.975, CONTROLS - 1) * off
    )


def test_of_models_that_learn_nothing_few_leave_a_null() -> None:
    """5% over all tasks of one way: the bounds are each at that level, and all of them have to be passed."""
    never = dict.fromkeys(EARLY, (np.inf, np.inf))
    wrong = [
        any(np.isfinite(one.of(way).step) for one in departures(capable(never, seed), "task", draws=2))
        for seed in range(60)
        for way in WAYS
    ]
    assert sum(wrong) <= stats.binom.ppf(0.999, 120, 0.05)


def test_what_cannot_be_told_is_said(tmp_path: Path) -> None:
    logbook = capable(EARLY)
    assert no_hidden(logbook) is None
    assert no_hidden(logbook.drop_vars("hidden_control")) == "hidden_control was not recorded"
    assert "2 twins have too uncertain a spread" in str(no_hidden(logbook.isel(twin=[0, 1])))
    with pytest.raises(ValueError, match="nothing can be said of hidden capability: hidden_pair_margin was not"):
        departures(xr.Dataset())


@pytest.mark.parametrize("sheet", SHEETS)
def test_it_is_drawn_on_every_sheet_with_what_was_found(sheet: str) -> None:
    figure = hidden_figure(capable(EARLY), SHEETS[sheet])
    boxes = list(shown(figure))
    assert_legible(figure, boxes)
    words = [text.get_text() for text, _ in boxes]
    assert any(text.startswith(("language\nprompted at 9", "language\nprompted at 10")) for text in words)
    assert {"social\nonly steered leaves its null", "physical\nneither leaves its null"} <= set(words)
    assert "95% of directions of no meaning" in words
    language = figure.axes[0]
    for way, step in (("steered", 4_000), ("prompted", 400_000)):
        (left,), (tasks,) = named(language, f"_{way} left"), named(language, f"_{way} tasks")
        np.testing.assert_allclose(across(left), np.log10(step), atol=0.15)
        np.testing.assert_allclose(across(tasks), [np.log10(step)] * 2, atol=0.15)
    assert not named(figure.axes[3], "_steered left")
