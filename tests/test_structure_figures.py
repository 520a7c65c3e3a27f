"""Figures of structural instruments: what is drawn is what was recorded, and what is said of it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from pictures import named, said
from planted_structure import FIGURES as OF_LAYERS
from planted_structure import TOKENS, planted_structure, published
from recorded import recorded

from observatory import open_logbook
from observatory.observation import Array
from observatory.review.figures.plot import FIGURES, plot
from observatory.review.figures.token_axis import TokenAxis

STEPS = sorted({0, *(round(10 ** (k / 8)) for k in range(33))})
PANELS = {
    "massive": ["massive_ratio"],
    "sparsity": ["sparsity_gini_mlp", "sparsity_gini_residual", "sparsity_active_mlp", "sparsity_dead_mlp"],
    "rank": [f"rank_{what}_{space}" for what in ("effective", "participation") for space in ("mlp", "residual")],
    "weights": [f"weights_{what}" for what in ("gini", "hoyer", "near_zero", "effective_rank")],
    "pruning": ["pruning_removed_by_layer"],
}


@pytest.fixture(scope="module")
def book() -> xr.Dataset:
    return planted_structure(STEPS, layers=3)


def values_of(lines: list[object]) -> Array:
    return np.stack([line.get_ydata() for line in lines], -1)  # type: ignore[attr-defined]


def patches(panel: Axes, label: str) -> list[object]:
    return [patch for patch in panel.patches if patch.get_label() == label]


@pytest.mark.parametrize("name", OF_LAYERS)
def test_each_layer_is_a_line_at_the_steps_at_which_it_was_measured(name: str, book: xr.Dataset) -> None:
    figure = FIGURES[name].draw(book)
    for panel, variable in zip(figure.axes, PANELS[name], strict=False):
        measured = book[variable].dropna("step", how="all")
        expected = measured.mean("matrix") if "matrix" in measured.dims else measured
        lines = named(panel, "_layer")
        np.testing.assert_allclose(values_of(lines), expected.values, rtol=1e-6, err_msg=variable)
        at = TokenAxis.of(measured.to_dataset()).positions
        assert all(np.array_equal(line.get_xdata(), at) for line in lines)
        assert len({tuple(line.get_color()) for line in lines}) == 3
        assert bool(patches(panel, "_twins")) == (f"{variable}_twins" in book)
    assert (measured.sizes["step"] < len(STEPS)) == (name in ("weights", "pruning"))


def test_the_band_of_twins_is_where_they_lie(book: xr.Dataset) -> None:
    (band,) = patches(FIGURES["massive"].draw(book).axes[0], "_twins")
    low, high = np.quantile(book["massive_ratio_twins"], [0.025, 0.975])
    y = band.get_xy()[:, 1] if not hasattr(band, "get_height") else [band.get_y(), band.get_y() + band.get_height()]
    assert (min(y), max(y)) == pytest.approx((low, high))


def test_an_observation_between_two_that_say_nothing_is_a_dot(book: xr.Dataset) -> None:
    values = book["massive_ratio"].values.copy()
    values[[4, 6], 1] = np.nan
    panel = FIGURES["massive"].draw(book.assign(massive_ratio=(("step", "layer"), values))).axes[0]
    (dot,) = named(panel, "_alone")
    assert dot.get_ydata().tolist() == [values[5, 1]]


def test_the_peak_stands_where_it_was_planted_and_is_told(book: xr.Dataset) -> None:
    figure = FIGURES["massive"].draw(book)
    every, one = figure.axes
    (floor,) = named(every, "_floor")
    assert floor.get_ydata()[0] == pytest.approx(5.3)
    (peak,) = named(one, "_peak")
    assert 10 ** peak.get_xdata()[0] == pytest.approx(400 * TOKENS, rel=0.05)
    (curve,) = named(one, "_curve")
    assert curve.get_ydata().max() == pytest.approx(float(published().at(400)) * 5 / 3, rel=0.03)
    assert one.get_title("left") == "layer 2"  # the one with the largest
    assert "Layer 2: the curve's peak is" in said(figure)
    assert "position 0, channel 7 on 90% of the stimuli" in said(figure)


def test_where_no_peak_is_seen_none_is_drawn_and_it_is_said_why() -> None:
    rising = planted_structure(STEPS, curve=published(peak=10**5))
    figure = FIGURES["massive"].draw(rising)
    assert not named(figure.axes[1], "_peak")
    assert named(figure.axes[1], "_curve")
    assert "no peak is told, since it still rises at the last observation" in said(figure)
    few = FIGURES["massive"].draw(planted_structure([0, 10, 100]))
    assert not named(few.axes[1], "_curve")
    assert "3 finite observations are too few" in said(few)


def test_a_model_that_diverged_is_drawn_for_as_long_as_it_said_something(book: xr.Dataset) -> None:
    lost = book.where(book["step"] < 100)
    for name in OF_LAYERS:
        figure = FIGURES[name].draw(lost)
        assert all(np.isfinite(line.get_ydata()).all() for line in named(figure.axes[0], "_layer"))
    gone = book.where(book["step"] < 0)
    assert FIGURES["massive"].lacking(gone) == "massive_ratio is missing at every step"
    assert "observe with the instrument rank" in (FIGURES["rank"].lacking(xr.Dataset()) or "")


def test_of_a_logbook_each_is_drawn_that_it_has_the_data_for(tmp_path: Path, book: xr.Dataset) -> None:
    source = open_logbook(recorded(tmp_path / "o.h5", book))
    written = plot(source[[name for name in source if str(name).startswith(("rank", "pruning"))]], tmp_path / "figures")
    assert sorted(path.name for path in written) == ["pruning.png", "pruning.svg", "rank.png", "rank.svg"]


def test_one_layer_and_one_observation_are_drawn() -> None:
    for name in OF_LAYERS:
        FIGURES[name].draw(planted_structure([100], layers=1))
