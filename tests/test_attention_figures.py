"""Figures of sinks, induction and concept depth show what was planted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from attention_planted import DOMAINS, PERIOD, SEQUENCES, planted_attention
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from pictures import assert_legible, named, panels, shown
from planted_run import TEN
from scipy import stats

from observatory.review.figures.attention import attention_figure, no_attention
from observatory.review.figures.depth_map import depth_map, no_depth
from observatory.review.figures.induction import induction_figure, no_induction
from observatory.review.figures.style import SHEETS

BOOK = planted_attention()
DRAWN: dict[str, Callable[..., Figure]] = {
    "attention": attention_figure,
    "induction": induction_figure,
    "depth": depth_map,
}


def test_sinks_are_drawn_as_the_mean_of_heads_and_induction_as_the_strongest() -> None:
    drawn = {panel.get_title("left"): panel for panel in panels(attention_figure(BOOK))}
    expected = {
        "sinks at the first token": BOOK["attention_sink"].mean("head"),
        "sinks behind it": BOOK["attention_secondary"],
        "induction, the strongest head": BOOK["attention_induction"].max("head"),
        "previous token, the strongest head": BOOK["attention_previous"].max("head"),
    }
    assert list(drawn) == list(expected)
    for title, values in expected.items():
        lines = named(drawn[title], "_layer")
        np.testing.assert_allclose([line.get_ydata() for line in lines], values.transpose("layer", "step"))
    last = named(drawn["induction, the strongest head"], "_layer")[-1]
    assert np.max(last.get_ydata()) > 0.8


def test_losses_the_score_with_its_interval_and_running_text_are_drawn() -> None:
    losses, score, texts = panels(induction_figure(BOOK))
    for place, name in enumerate(("first", "second")):
        (line,) = named(losses, f"_{name}")
        np.testing.assert_allclose(line.get_ydata(), BOOK["induction_loss"][:, place, 1:].mean("period_position"))
    (line,) = named(score, "_score")
    np.testing.assert_allclose(line.get_ydata(), BOOK["induction_score"])
    (band,) = (one for one in score.collections if one.get_label() == "_interval")
    drop = BOOK["induction_drop"].values[-1]
    edges = band.get_paths()[0].vertices[:, 1]
    low, high = stats.t.interval(0.95, SEQUENCES - 1, drop.mean(), stats.sem(drop))
    assert np.abs(edges - low).min() < 1e-9
    assert np.abs(edges - high).min() < 1e-9
    lines = named(texts, "_domain")
    np.testing.assert_allclose([line.get_ydata() for line in lines], BOOK["induction_in_context"].T)


def test_the_first_token_that_is_shown_again_is_left_out() -> None:
    wrong = BOOK.copy(deep=True)
    wrong["induction_loss"][:, :, 0] = 1e6
    losses, *_ = panels(induction_figure(wrong))
    assert losses.get_ylim()[1] < 20
    assert PERIOD > 1


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_the_map_shows_every_layer_and_the_line_the_first_that_is_deep_enough(pooling: str) -> None:
    book = BOOK.copy(deep=True)
    book["depth_domain_accuracy"][:, 0] -= 0.1
    drawn = {panel.get_title("left"): panel for panel in panels(depth_map(book, pooling))}
    assert list(drawn) == list(DOMAINS)
    for place, panel in enumerate(drawn.values()):
        accuracy = book["depth_domain_accuracy"].sel(pooling=pooling).isel(domain=place)
        np.testing.assert_allclose(_mesh(panel).get_array(), accuracy.transpose("layer", "step"))
        (line,) = named(panel, "_first")
        assert line.get_ydata()[-1] == min(place, 3)  # the layer from which it was planted
        assert np.isnan(line.get_ydata()[0])


def test_chance_and_what_lies_under_it_have_one_colour_and_what_is_not_known_another() -> None:
    book = BOOK.copy(deep=True)
    book["depth_domain_accuracy"][2, :, 1, 3] = np.nan
    figure = depth_map(book)
    mesh = _mesh(panels(figure)[1])
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0.5, 1.0)
    assert np.ma.getmaskarray(mesh.get_array())[3, 2]
    assert "nothing known" in [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    without = depth_map(BOOK)
    assert "nothing known" not in [text.get_text() for legend in without.legends for text in legend.get_texts()]


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_knows_when_there_is_nothing_to_draw(name: str) -> None:
    lacking = {"attention": no_attention, "induction": no_induction, "depth": no_depth}[name]
    assert lacking(BOOK) is None
    assert f"observe with the instrument {name}" in (lacking(BOOK.drop_vars(list(BOOK.data_vars))) or "")
    assert "missing at every step" in (lacking(xr.full_like(BOOK, np.nan)) or "")


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("steps", [TEN, [100]], ids=["ten observations", "one"])
def test_a_figure_fits_a_column(steps: list[int], name: str) -> None:
    figure = DRAWN[name](planted_attention(steps), sheet=SHEETS["column"])
    boxes = list(shown(figure))
    assert len(boxes) > 5
    assert_legible(figure, boxes)


def _mesh(panel: Axes) -> QuadMesh:
    (found,) = (one for one in panel.collections if isinstance(one, QuadMesh))
    return found
