"""The figures of circuits: what they show of a logbook, and that every size of it can be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import xarray as xr
from circuits_planted import DOMAINS, planted_circuits
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text
from pictures import assert_legible, named, said, shown
from recorded import recorded
from verdicts import planted

from observatory import open_logbook
from observatory.observation import Array
from observatory.review.figures.composition import composition
from observatory.review.figures.overlaps import overlaps, spread
from observatory.review.figures.plot import FIGURES, plot
from observatory.review.figures.stability import stability
from observatory.review.figures.structure import structure
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.sharing.circuits import circuits
from observatory.review.sharing.sharing_verdict import BY_DOMAIN

DRAW: dict[str, Callable[[xr.Dataset], Figure]] = {
    "structure": structure,
    "overlaps": overlaps,
    "stability": stability,
    "composition": composition,
}
THREE = [0, 100, 1000]
THIRTY = sorted({0, *(round(10 ** (k / 8)) for k in range(33))})[:30]
LABELS = [f"{DOMAINS[d]}/kind{k}_format{f}" for d in range(4) for k in range(2) for f in range(3)]
HALF = LABELS[::2]
RISE = [0.5 / (1 + np.exp(-3 * (np.log10(1 + step) - 2))) for step in THIRTY]
LARGE: dict[str, Any] = {"domains": 8, "kinds": 3, "formats": 2, "layers": 12, "width": 96, "twins": 3}
CASES: dict[str, dict[str, Any]] = {
    "three observations": {"steps": THREE, "domain": [0, 0, 0.5], "done": {0: [], 100: HALF}},
    "thirty, half looked at": {"steps": THIRTY, "domain": RISE, "form": 0.1, "looked": THIRTY[::2], "gaps": [300]},
    "48 tasks of 8 domains, 12 layers": {"steps": THREE, "domain": 0.3, **LARGE},
    "one observation": {"steps": [500], "domain": 0.4},
    "looked at once": {"steps": THREE, "domain": 0.4, "looked": [100]},
    "nothing done": {"steps": THREE, "done": {step: [] for step in THREE}},
    "no twins": {"steps": THREE, "domain": 0.4, "twins": 0},
}


@cache
def book(case: str) -> xr.Dataset:
    with TemporaryDirectory() as folder:
        return open_logbook(planted_circuits(Path(folder) / "o.h5", **CASES[case]))


@cache
def drawn(case: str, name: str) -> tuple[Figure, list[tuple[Text, Any]]]:
    figure = DRAW[name](book(case))
    return figure, list(shown(figure))


def panel(figure: Figure, title: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == title)


def curve(axes: Axes, label: str) -> Array:
    (line,) = named(axes, label)
    return np.asarray(line.get_ydata(), dtype=float)


def cells(of: AxesImage | QuadMesh) -> Array:
    """Those without a value as NaN."""
    values = of.get_array()
    assert isinstance(values, np.ma.MaskedArray)
    return np.asarray(values.filled(np.nan))


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("case", CASES)
def test_no_text_is_cut_off_or_lies_on_another(case: str, name: str) -> None:
    figure, boxes = drawn(case, name)
    assert len(boxes) > 5
    assert_legible(figure, boxes)


def test_the_structure_is_that_of_the_report() -> None:
    case = "thirty, half looked at"
    figure, report = drawn(case, "structure")[0], circuits(book(case), sweep=False)
    found = [one for step in report.steps if (one := report.sharing(step))]
    assert len(found) == len(report.steps) == 15
    effects = {"domain index": "index", "effect of format": "format_effect"}
    for title, name in effects.items():
        here = [one.effects[name] for one in found]
        np.testing.assert_allclose(curve(panel(figure, title), name), [effect.value for effect in here])
        np.testing.assert_allclose(
            curve(panel(figure, "labels dealt anew"), name), [effect.chance.p for effect in here if effect.chance]
        )
        band = next(one for one in panel(figure, title).collections if one.get_label() == "_twins")
        assert isinstance(band, FillBetweenPolyCollection)
        corners = np.asarray(band.get_paths()[0].vertices)[:, 1]
        np.testing.assert_allclose(np.array([corners.min(), corners.max()]), np.array(here[0].band()))
    assert found[0].domains is not None
    clusters = panel(figure, "clusters of tasks")
    valid = [one.domains.agreement.value for one in found if one.domains and one.domains.found == one.domains.clusters]
    np.testing.assert_allclose([value for value in curve(clusters, "domains") if np.isfinite(value)], valid)
    ratios = np.array([one.ratio.value for one in found])
    drawn_ratios = curve(panel(figure, "the published ratio, blind to format"), "ratio")
    np.testing.assert_allclose(drawn_ratios, np.where(ratios > 0, ratios, np.nan))
    (alpha,) = named(panel(figure, "labels dealt anew"), "_alpha")
    assert set(np.asarray(alpha.get_ydata())) == {0.05}


def test_full_markers_are_the_steps_that_are_shared_by_domain_and_question_marks_those_without_a_verdict() -> None:
    case = "three observations"
    figure, report = drawn(case, "structure")[0], circuits(book(case), sweep=False)
    assert [step.verdict.said == BY_DOMAIN for step in report.steps] == [False, False, True]
    axis = TokenAxis.of(book(case))
    for title, holds in (("domain index", [2]), ("effect of format", [])):
        (full,) = named(panel(figure, title), "_holds")
        np.testing.assert_allclose(np.asarray(full.get_xdata()), axis.positions[holds])
        (unknown,) = named(panel(figure, title), "_unknown")
        assert 0 in [axis.positions.tolist().index(x) for x in np.asarray(unknown.get_xdata())]
    assert "Step 1000: shared by domain; domain index +" in said(figure)


def test_tasks_done_are_stacked_by_domain() -> None:
    figure = drawn("three observations", "structure")[0]
    stacks = [patch for patch in panel(figure, "tasks that the model does").patches if isinstance(patch, StepPatch)]
    assert [patch.get_label() for patch in stacks] == list(DOMAINS[:4])
    for place, patch in enumerate(stacks):
        above, _, below = patch.get_data()
        np.testing.assert_array_equal(np.asarray(below), np.array([0, 3, 6]) * place)
        np.testing.assert_array_equal(np.asarray(above), np.array([0, 3, 6]) * (place + 1))


def test_overlaps_are_drawn_at_steps_spread_over_the_run_and_of_the_twins() -> None:
    figure = drawn("thirty, half looked at", "overlaps")[0]
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.images]
    assert titles[0] == "0 tokens"
    assert len(titles) == 6
    assert titles[-1] == "untrained twins"
    assert spread(np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8])) == [0, 2, 4, 6, 8]
    assert spread(np.array([3.0])) == [0]
    assert spread(np.array([0.0, 0.1, 10])) == [0, 1, 2]


def test_tasks_are_ordered_by_domain_and_format_and_those_not_done_hatched() -> None:
    case = "three observations"
    figure, report = drawn(case, "overlaps")[0], circuits(book(case), sweep=False)
    order = [LABELS.index(f"{d}/kind{k}_format{f}") for d in DOMAINS[:4] for f in range(3) for k in range(2)]
    for title, place in (("205K tokens", 1), ("2.0M tokens", 2)):
        axes = panel(figure, title)
        expected = report.steps[place].overlap.corrected[np.ix_(order, order)].clip(0)
        np.fill_diagonal(expected, np.nan)
        np.testing.assert_allclose(cells(axes.images[0]), expected)
        hatched = [one for one in axes.patches if one.get_label() == "_missing"]
        assert len(hatched) == 2 * (24 - len(report.steps[place].done))
        rows = sorted(one.get_y() + 0.5 for one in hatched if isinstance(one, Rectangle) and one.get_width() > 1)
        missing = [row for row, task in enumerate(order) if LABELS[task] not in report.steps[place].done]
        np.testing.assert_allclose(rows, missing)


def test_stability_shows_each_domains_mean_and_every_task() -> None:
    case = "thirty, half looked at"
    figure, report = drawn(case, "stability")[0], circuits(book(case), sweep=False)
    before, final = panel(figure, "with the recorded step before"), panel(figure, "with the last recorded step")
    for domain in DOMAINS[:4]:
        own = [step.domains[domain] for step in report.steps]
        np.testing.assert_allclose(curve(before, domain), [one.to_previous for one in own])
        np.testing.assert_allclose(curve(final, domain), [one.to_final for one in own])
    assert len(named(before, "_task")) == 24
    (ceiling, *_) = named(before, "_halves")
    np.testing.assert_allclose(np.asarray(ceiling.get_ydata()), report.steps[0].domains["math"].ceiling_corrected)


def test_composition_shows_the_share_of_the_region_in_each_layer_and_no_region_as_missing() -> None:
    figure = drawn("three observations", "composition")[0]
    for place, domain in enumerate(DOMAINS[:4]):
        axes = panel(figure, domain)
        mesh = next(one for one in axes.collections if isinstance(one, QuadMesh))
        shares = np.zeros((2, 3))
        shares[place % 2] = 1
        shares[:, 0] = np.nan  # none of its tasks is done at step 0
        np.testing.assert_array_equal(cells(mesh), shares)
        np.testing.assert_allclose(curve(axes, "_middle"), [np.nan, place % 2, place % 2])
    words = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert "no region: no task of it is done" in words


def test_a_missing_observation_is_marked() -> None:
    figure = drawn("thirty, half looked at", "structure")[0]
    (crosses,) = named(panel(figure, "domain index"), "_missed")
    np.testing.assert_allclose(np.asarray(crosses.get_xdata()), np.log10([300 * 2048]))


def test_what_a_logbook_lacks_is_not_drawn(tmp_path: Path) -> None:
    once = {path.stem for path in plot(book("looked at once"), tmp_path / "once")}
    assert once >= {"structure", "overlaps", "composition"}
    assert "stability" not in once
    assert FIGURES["stability"].lacking(book("looked at once")) == "circuits were looked for at one step alone"
    contrast = open_logbook(recorded(tmp_path / "o.h5", planted([10], {"math": [0.1]})))
    assert {path.stem for path in plot(contrast, tmp_path / "contrast")}.isdisjoint(DRAW)
    for name in DRAW:
        assert "observe with the instrument circuits" in (FIGURES[name].lacking(contrast) or "")
