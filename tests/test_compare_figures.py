"""The figures of a comparison: planted onsets of a known law and order are found again in what they draw."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10, nan
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from scipy import stats
from verdicts import planted, step_up

from observatory.review.comparison.common_steps import mean_interval, on_grid, shared_axis
from observatory.review.comparison.compare import Comparison, compare
from observatory.review.comparison.figures import comparison_figures, write_figures
from observatory.review.comparison.levels import comparison_levels
from observatory.review.comparison.orders import comparison_orders, order_shares, pair_shares
from observatory.review.comparison.pooled_curves import pooled_curves
from observatory.review.comparison.run_names import run_names
from observatory.review.comparison.sizes import comparison_sizes, no_sizes
from observatory.review.figures.style import looks

STEPS = sorted({0, *(round(10 ** (k / 12)) for k in range(43))})
SIZES = (10**5, 10**6, 10**7)
TOKENS = 100


def rising(onset: float, steps: list[int] = STEPS, height: float = 0.8) -> np.ndarray:
    """Half of the way at the onset."""
    values: np.ndarray = height / (1 + np.exp(-(np.log1p(steps) - np.log1p(onset)) / 0.1))
    return values


def seed(size: int, factor: float, steps: list[int] = STEPS) -> xr.Dataset:
    """math rises as one over the square root of the size, social twice as late, physical nowhere."""
    onset = 1000 * factor * (size / 10**5) ** -0.5
    curves = {"math": rising(onset, steps), "social": rising(2 * onset, steps), "physical": np.zeros(len(steps))}
    return planted(steps, curves, tokens=TOKENS).assign_attrs(model_parameters=size)


@pytest.fixture(scope="module")
def grid() -> dict[str, xr.Dataset]:
    """Three seeds of three sizes; social of the smallest rises after the end in one seed."""
    return {
        f"runs/{size}/seed{number}/observations.h5": seed(size, factor)
        for size in SIZES
        for number, factor in enumerate((0.8, 1.0, 1.25))
    }


@pytest.fixture(scope="module")
def found(grid: dict[str, xr.Dataset]) -> Comparison:
    return compare(grid)


def one_size(count: int) -> dict[str, xr.Dataset]:
    factors = np.exp(np.random.default_rng(0).normal(0, 0.5, count))
    return {f"seed{number}": seed(10**6, float(factor), STEPS[::4]) for number, factor in enumerate(factors)}


def panel(figure: Figure, title: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith(title))


def lines(axes: Axes, label: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_label() == label]


# On common steps


def test_between_its_observations_a_curve_is_straight_in_the_logarithm() -> None:
    counts, values = np.array([0, 9, 99]), np.array([1.0, 3.0, 7.0])
    told = on_grid(np.array([0, 9, 30, 99, 200]), counts, values)
    assert told[[0, 1, 3]] == pytest.approx([1, 3, 7])
    assert told[2] == pytest.approx(3 + 4 * (np.log(31) - np.log(10)) / (np.log(100) - np.log(10)))
    assert np.isnan(told[4])
    assert np.isnan(on_grid(np.array([1]), counts[1:], values[1:])).all()


def test_nothing_is_drawn_across_an_observation_that_says_nothing() -> None:
    counts, values = np.array([1, 10, 100, 1000]), np.array([1.0, nan, 3.0, 4.0])
    told = on_grid(np.array([1, 5, 10, 50, 100, 500, 1000]), counts, values)
    assert np.isnan(told).tolist() == [False, True, True, True, False, False, False]
    assert told[[0, 4, 6]].tolist() == [1, 3, 4]
    alone = on_grid(counts, counts, np.array([nan, 2.0, nan, nan]))
    assert alone[1] == 2
    assert np.isnan(alone[[0, 2, 3]]).all()


def test_the_band_is_students_t_of_the_runs_that_are_known() -> None:
    runs = np.random.default_rng(0).normal(size=(5, 4))
    runs[:, 1] = [1.0, nan, nan, nan, nan]
    runs[:3, 2] = nan
    runs[:, 3] = nan
    mean, low, high = mean_interval(runs)
    assert (low[0], high[0]) == pytest.approx(stats.t.interval(0.95, 4, runs[:, 0].mean(), stats.sem(runs[:, 0])))
    two = runs[3:, 2]
    assert (low[2], high[2]) == pytest.approx(stats.t.interval(0.95, 1, two.mean(), stats.sem(two)))
    assert mean[:3] == pytest.approx([runs[:, 0].mean(), 1.0, two.mean()])
    assert np.isnan([low[1], high[1], mean[3], low[3], high[3]]).all()


def test_one_more_run_lies_in_its_interval_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1).normal(size=(6, 4000))
    _, low, high = mean_interval(draw[:5], one_more=True)
    assert np.mean((low < draw[5]) & (draw[5] < high)) == pytest.approx(0.95, abs=0.012)


def test_runs_observed_at_other_steps_share_a_curve() -> None:
    """One thins out the steps of the other and stops earlier: on the planted curve both are nearly one."""
    few = STEPS[:1] + STEPS[1:-6:2]
    found = compare(logbooks := {"many": seed(10**6, 1.0), "few": seed(10**6, 1.0, few)})
    curve = next(one for one in pooled_curves(logbooks, found) if one.domain == "math")
    assert curve.counts.tolist() == [step * TOKENS for step in STEPS]
    both = curve.seen == 2
    assert both.tolist() == [step <= few[-1] for step in STEPS]
    assert curve.mean[both] == pytest.approx(rising(1000 * 0.1**0.5)[both], abs=0.06)
    assert np.isfinite(curve.low[both]).all()
    assert np.isnan(curve.low[~both]).all()


# What is drawn


def test_curves_have_a_panel_a_domain_and_size(grid: dict[str, xr.Dataset], found: Comparison) -> None:
    figure = comparison_figures(grid, found)["curves"]
    drawn = [axes for axes in figure.axes if axes.axison]
    assert len(drawn) == 9
    axis = shared_axis([np.array(run.tokens) for run in found.runs.values()], "tokens")
    for axes in drawn:
        assert len(lines(axes, "_run")) == 3
        mean = np.asarray(lines(axes, "_mean")[0].get_ydata())
        runs = [np.asarray(line.get_ydata()) for line in lines(axes, "_run")]
        assert mean == pytest.approx(np.mean(runs, 0), abs=1e-9)
        assert lines(axes, "_floor")[0].get_ydata()[0] == pytest.approx(0.2, abs=0.05)
        assert axes.get_xlim() == pytest.approx(axis.limits)
    assert [line.get_color() for axes in drawn[::3] for line in lines(axes, "_mean")] == [
        looks(found.domains)[domain].color for domain in found.domains
    ]


def test_a_domain_is_read_where_it_emerged_not_where_the_runs_without_it_came_nearest() -> None:
    """Three runs without it say `mlp, last`, for no more reason than chance; two with it `heads, mean`."""

    def only_in_heads(one: xr.Dataset) -> xr.Dataset:
        there = (one["space"] == "heads") & (one["pooling"] == "mean")
        names = [str(name) for name in one.data_vars if "index" in str(name) and not str(name).endswith("twins")]
        return one.assign({name: one[name].where(there, 0.0) for name in names})

    logbooks = {
        **{f"with{number}": only_in_heads(seed(10**6, 1.0)) for number in range(2)},
        **{f"without{number}": seed(10**6, 1e9) for number in range(3)},
    }
    found = compare(logbooks)
    told = [verdict.readout for run in found.runs.values() for verdict in run.verdicts if verdict.domain == "math"]
    assert len(set(told)) == 2
    assert str(told[0]) == "heads, mean"
    curve = next(one for one in pooled_curves(logbooks, found) if one.domain == "math")
    assert str(curve.readout) == "heads, mean"


def test_the_law_of_onset_and_size_is_found_again(grid: dict[str, xr.Dataset], found: Comparison) -> None:
    """A factor of the square root of ten for each factor of ten, from the marks of the figure."""
    axes = panel(comparison_sizes(found), "math")
    at = [
        (float(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0]))
        for line in lines(axes, "_mean")
    ]
    assert [x for x, _ in at] == pytest.approx([log10(size) for size in SIZES])
    assert np.diff([y for _, y in at]) == pytest.approx([-0.5, -0.5], abs=0.03)
    one = next(one for one in found.pooled if (one.parameters, one.domain) == (SIZES[1], "math"))
    low, high = np.asarray(lines(axes, "_interval")[1].get_ydata())
    assert (10**low, 10**high) == pytest.approx(one.interval, rel=1e-6)


def test_a_run_that_has_not_emerged_is_an_arrow_and_no_mean_is_given(
    grid: dict[str, xr.Dataset], found: Comparison
) -> None:
    """At the smallest size social rises at 1600, 2000 and 2500 steps, and 3162, the last, is too near to the third."""
    figure = comparison_sizes(found)
    social, physical = panel(figure, "social"), panel(figure, "physical")
    missing = [domain for domain in found.domains for run in found.runs.values() if domain not in run.onsets]
    assert missing.count("physical") == 9
    assert missing.count("social") == 1
    for axes, domain in ((social, "social"), (physical, "physical")):
        arrows = [text for text in axes.texts if isinstance(text, Annotation)]
        assert len(arrows) == missing.count(domain)
        assert len(lines(axes, "_run")) == 9 - missing.count(domain)
        assert {round(10 ** arrow.xy[1]) for arrow in arrows} <= {STEPS[-1] * TOKENS}
    smallest = next(one for one in found.pooled if (one.parameters, one.domain) == (SIZES[0], "social"))
    assert smallest.emerged == 3 - missing.count("social")
    assert (len(lines(social, "_mean")), len(lines(social, "_median"))) == (2, 1)
    assert 10 ** float(np.asarray(lines(social, "_median")[0].get_ydata())[0]) == pytest.approx(smallest.median)
    assert lines(physical, "_mean") == lines(physical, "_median") == []


def test_orders_and_pairs_are_shares_of_the_runs_of_each_size(found: Comparison) -> None:
    told, more = order_shares(found)
    assert next(iter(told)) == "math < social (never: physical)"
    assert more == 0
    late = sum("social" not in run.onsets for run in found.runs.values())
    assert [(share.size, share.count, share.of) for share in told["math < social (never: physical)"]] == [
        (SIZES[0], 3 - late, 3),
        (SIZES[1], 3, 3),
        (SIZES[2], 3, 3),
    ]
    assert [share.count for share in told["math (never: social, physical)"]] == [late, 0, 0]
    pairs = pair_shares(found)
    assert list(pairs) == ["math before social", "math before physical", "social before physical"]
    assert [(share.count, share.of) for share in pairs["math before social"]] == [(3, 3)] * 3
    assert [(share.count, share.of) for share in pairs["social before physical"]] == [(3 - late,) * 2, (3, 3), (3, 3)]
    figure = comparison_orders(found)
    words = [text.get_text() for text in figure.axes[1].texts]
    assert "math before social: 3 of 3, 3 of 3, 3 of 3" in words


def test_a_pair_is_named_the_way_round_that_most_runs_have() -> None:
    swapped = {f"{n}": planted(STEPS, {"b": rising(3000 / n), "a": rising(300 / n)}, tokens=1) for n in (3, 4)}
    first = planted(STEPS, {"b": rising(30), "a": rising(300)}, tokens=1)
    found = compare({**swapped, "first": first})
    ((words, (share,)),) = pair_shares(found).items()
    assert (words, share.count, share.of) == ("a before b", 2, 3)
    assert share.interval == pytest.approx((stats.beta.ppf(0.025, 2, 2), stats.beta.ppf(0.975, 3, 1)))


def test_levels_are_a_dot_a_run_and_domain() -> None:
    def made(a: np.ndarray, **settings: object) -> xr.Dataset:
        return planted(STEPS, {"a": a, "b": rising(9e9)}, **settings)  # type: ignore[arg-type]

    silent = made(rising(30))
    silent = silent.assign(contrast_index_twins=xr.full_like(silent["contrast_index_twins"], nan))
    logbooks = {
        "selective": made(rising(30), specific=[], general=[]),
        "specific": made(rising(30), general=[]),
        "general": made(rising(30)),
        "not emerged": made(rising(9e9)),
        "lost again": made(step_up(STEPS, 30, 300)),
        "can't say": silent,
    }
    axes = comparison_levels(compare(logbooks)).axes[0]
    drawn = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])): line for line in axes.lines}
    assert [drawn[x, 0].get_label() for x in range(6)] == [f"_{name}" for name in logbooks]
    areas = [drawn[x, 0].get_markersize() for x in range(3)]
    assert areas[0] < areas[1] < areas[2]
    assert {drawn[x, 1].get_label() for x in range(5)} == {"_not emerged"}


def test_runs_of_one_size_have_no_figure_of_sizes_and_say_why() -> None:
    logbooks = one_size(2)
    found = compare(logbooks)
    assert set(comparison_figures(logbooks, found)) == {"curves", "levels", "orders"}
    assert no_sizes(found) == "onset against size takes models of two sizes or more; there are 1"


@pytest.mark.parametrize("count", [2, 50])
def test_two_to_fifty_runs_stay_on_the_sheet(count: int, tmp_path: Path) -> None:
    logbooks: Mapping[str, xr.Dataset] = one_size(count)
    for figure in comparison_figures(logbooks, compare(logbooks)).values():
        on_the_sheet(figure)
    if count == 2:
        written = write_figures(comparison_figures(logbooks, compare(logbooks)), tmp_path)
        assert [path.suffix for path in written] == [".png", ".svg"] * 3
        assert "math" in (tmp_path / "curves.svg").read_text()


def test_three_sizes_of_three_seeds_stay_on_the_sheet(grid: dict[str, xr.Dataset], found: Comparison) -> None:
    for figure in comparison_figures(grid, found).values():
        on_the_sheet(figure)


def on_the_sheet(figure: Figure) -> None:
    """Nothing is cut off by the edge, and no panel is squeezed to nothing."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    drawn, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) > -0.01
    assert min(axes.get_window_extent(renderer).height for axes in figure.axes) > 0.35 * figure.dpi


def test_runs_are_named_by_what_tells_their_paths_apart() -> None:
    assert run_names(["runs/a/observations.h5", "runs/b/observations.h5"]) == ["a", "b"]
    assert run_names(["/tmp/x/seed0.h5", "seed1.h5"]) == ["/tmp/x/seed0", "seed1"]
    assert run_names(["70m/s0/o.h5", "70m/s1/o.h5", "160m/s0/o.h5"]) == ["70m/s0", "70m/s1", "160m/s0"]
    assert run_names(["x", "y"]) == ["x", "y"]
