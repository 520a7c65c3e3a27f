"""The figures: what they show of a logbook, and that every size of it can be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from loop import fit, small_battery, word_tokenizer
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from pictures import (
    HOSTILE,
    JUDGED,
    LOGARITHMIC,
    assert_legible,
    of_verdicts,
    panels,
    shown,
)
from planted_run import DOMAINS

from observatory import open_logbook
from observatory.callbacks import SpecializationMonitor
from observatory.review.figures.layers import layers
from observatory.review.figures.onsets import onsets
from observatory.review.figures.plot import plot
from observatory.review.figures.strength import strength
from observatory.review.figures.style import legend_columns
from observatory.review.figures.token_axis import TokenAxis, round_numbers

TOKENS_PER_STEP = 4096


def logbook(
    steps: list[int],
    domains: list[str] | None = None,
    layers: int = 4,
    loss: bool = True,
    tokens: int = TOKENS_PER_STEP,
    missing: list[int] | None = None,
) -> xr.Dataset:
    """A run in which each domain rises later than the one before; `missing` are places without an index."""
    draw = np.random.default_rng(0)
    domains = DOMAINS[:4] if domains is None else domains
    at = np.array(steps)
    late = 1.2 + 0.25 * np.arange(len(domains))
    rise = 1 / (1 + np.exp(-4 * (np.log10(1 + at)[:, None] - late)))  # (step, domain)
    index = 0.7 * rise[:, None, None, :] + draw.normal(0, 0.03, (len(at), 2, 2, len(domains)))
    by_layer = index[..., None] * np.sin(np.pi * (np.arange(layers) + 1) / (layers + 1))
    for place in missing or []:
        index[place], by_layer[place] = np.nan, np.nan
    by_domain = ("step", "space", "pooling", "domain")
    variables: dict[str, Any] = {
        "contrast_index": (by_domain, index),
        "contrast_index_by_layer": ((*by_domain, "layer"), by_layer),
    }
    if loss:
        variables["train_loss"] = ("step", np.where(at > 0, 2 + 8 * np.exp(-at / 300), np.nan))
    coordinates = {
        "step": at,
        "tokens": ("step", at * tokens),
        "space": ["mlp", "residual"],
        "pooling": ["last", "mean"],
        "domain": domains,
        "layer": np.arange(layers),
    }
    return xr.Dataset(variables, coordinates)


SIZES: dict[str, dict[str, Any]] = {
    "as usual": {"steps": LOGARITHMIC},
    "ten domains and eighty layers": {"steps": LOGARITHMIC, "domains": DOMAINS, "layers": 80},
    "three domains": {"steps": LOGARITHMIC, "domains": DOMAINS[:3], "layers": 7},
    "one domain": {"steps": LOGARITHMIC, "domains": DOMAINS[:1]},
    "long names": {"steps": LOGARITHMIC, "domains": [f"a domain with the long name {name}" for name in DOMAINS[:5]]},
    "two layers, start and end": {"steps": [0, 1600], "layers": 2},
    "the untrained model alone": {"steps": [0], "loss": False},
    "one trained model": {"steps": [1000]},
    "a thousand observations": {"steps": list(range(0, 10000, 10)), "layers": 12},
    "Pythia's schedule": {"steps": [0, *(2**k for k in range(10)), *range(1000, 143001, 1000)], "tokens": 2**21},
    "less than a decade": {"steps": [1000, 1200, 1400, 1600, 1800]},
    "hardly apart": {"steps": [100000, 100100]},
    "twelve decades": {"steps": [0, *(10**k for k in range(13))], "tokens": 1},
    "no tokens known": {"steps": LOGARITHMIC, "tokens": 0, "loss": False},
    "nothing but gaps": {"steps": [0, 10, 100], "missing": [0, 1, 2]},
}
FIGURES: dict[str, Callable[[xr.Dataset], Figure]] = {"strength": strength, "layers": layers}


PLAIN = {
    *("as usual", "long names", "the untrained model alone", "a thousand observations", "hardly apart"),
    *("twelve decades", "no tokens known", "nothing but gaps"),
}
DRAWN = [(size, name) for size in SIZES for name in FIGURES if name == "layers" or size in PLAIN]


@cache
def drawn(size: str, name: str) -> tuple[Figure, list[tuple[Text, Any]]]:
    figure = FIGURES[name](logbook(**SIZES[size]))
    return figure, list(shown(figure))


@pytest.mark.parametrize(("size", "name"), DRAWN)
def test_no_text_is_cut_off_or_lies_on_another(size: str, name: str) -> None:
    figure, boxes = drawn(size, name)
    assert len(boxes) > 5
    assert_legible(figure, boxes)


@pytest.mark.parametrize("draw", [strength, onsets], ids=["strength", "onsets"])
@pytest.mark.parametrize("case", JUDGED)
def test_no_text_of_a_verdict_is_cut_off_or_lies_on_another(case: str, draw: Callable[[xr.Dataset], Figure]) -> None:
    assert_legible(*of_verdicts(case, draw))


@pytest.mark.parametrize(("size", "name"), DRAWN)
def test_the_lowest_panel_of_every_column_has_its_ticks_and_label(size: str, name: str) -> None:
    figure, boxes = drawn(size, name)
    labels = {text.get_text() for text, _ in boxes}
    unit = "step" if size in ("no tokens known", "the untrained model alone") else "tokens"
    assert f"training {unit} (log scale)" in labels
    columns: dict[int, list[Axes]] = {}
    for axes in panels(figure):
        columns.setdefault(round(axes.get_position().x0 * 10), []).append(axes)
    for column in columns.values():
        lowest = min(column, key=lambda axes: axes.get_position().y0)
        ticks = [tick.label1 for tick in lowest.xaxis.get_major_ticks()]
        assert lowest.get_xlabel()
        assert ticks
        assert all(label.get_visible() and label.get_text() for label in ticks)


def test_axes_are_labelled_with_what_they_measure_and_in_which_unit() -> None:
    words = " ".join(text.get_text().replace("\n", " ") for text, _ in shown(strength(logbook(LOGARITHMIC))))
    assert "emergence index $E$ (Hedges' $g$ on families not used to choose the region)" in words
    assert "training loss (nats/token)" in words
    words = " ".join(text.get_text().replace("\n", " ") for text, _ in shown(layers(logbook(LOGARITHMIC))))
    assert "emergence index $E$ within the layer (mlp units, mean pooling)" in words
    assert "layer" in words


def test_the_axis_is_logarithmic_and_step_0_stands_apart() -> None:
    axis = TokenAxis.of(logbook([0, 10, 100, 1000], tokens=1))
    zero, *rest = axis.positions
    np.testing.assert_allclose(rest, [1, 2, 3])
    assert 0.2 < rest[0] - zero < 1
    panel = panels(strength(logbook([0, 10, 100, 1000], tokens=1)))[-1]
    assert [text.get_text() for text in panel.get_xticklabels()] == ["0", "10", "100", "1K"]
    np.testing.assert_allclose(panel.get_xticks(), axis.positions)


def test_cells_touch_and_each_holds_its_observation() -> None:
    axis = TokenAxis.of(logbook(LOGARITHMIC))
    assert len(axis.edges) == len(LOGARITHMIC) + 1
    assert (axis.edges[:-1] < axis.positions).all()
    assert (axis.positions < axis.edges[1:]).all()


def test_there_is_a_line_a_domain_with_the_numbers_of_the_logbook() -> None:
    source = logbook(LOGARITHMIC)
    left, right, *losses = panels(strength(source))
    for panel, pooling in ((left, "last"), (right, "mean")):
        lines = {line.get_label(): line for line in panel.lines if not str(line.get_label()).startswith("_")}
        assert list(lines) == DOMAINS[:4]
        for domain, line in lines.items():
            expected = source["contrast_index"].sel(space="mlp", pooling=pooling, domain=domain)
            np.testing.assert_array_equal(line.get_ydata(), expected)
    for panel in losses:
        np.testing.assert_array_equal(panel.lines[0].get_ydata(), source["train_loss"])


def test_names_are_drawn_as_they_are_and_never_as_formulas() -> None:
    for draw in (strength, onsets):
        words = {text.get_text(): text for text, _ in of_verdicts("hostile names", draw)[1]}
        for expected in (r"\$x_1^2\$", r"costs \$5", "_hidden", "a name", "100 % & <b>", r"\alpha"):
            found = [text for label, text in words.items() if label.startswith(expected)]
            assert found, expected
            assert not any(text._preprocess_math(text.get_text())[1] for text in found)  # type: ignore[attr-defined]


def test_a_legend_leaves_no_name_out() -> None:
    figure = of_verdicts("hostile names", strength)[0]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(names) == len(HOSTILE)
    assert {"_hidden", r"\$x_1^2\$"} < set(names)


def test_each_panel_of_the_layers_shows_its_domain_upwards() -> None:
    source = logbook([0, 10, 100], layers=5)
    for panel, domain in zip(panels(layers(source)), DOMAINS, strict=False):
        assert panel.get_title(loc="left") == domain
        expected = source["contrast_index_by_layer"].sel(space="mlp", pooling="mean", domain=domain)
        mesh = panel.collections[0].get_array()
        np.testing.assert_array_equal(mesh, expected.transpose("layer", "step"))
        assert panel.get_ylim() == (-0.5, 4.5)


def test_a_domain_has_its_colour_whatever_stands_beside_it() -> None:
    def colors(domains: list[str]) -> dict[str, str]:
        panel = panels(strength(logbook(LOGARITHMIC, domains=domains)))[0]
        return {str(line.get_label()): to_hex(line.get_color()) for line in panel.lines}  # type: ignore[arg-type]

    alone = colors(["social"])
    together = colors(DOMAINS)
    assert alone["social"] == together["social"] == "#009e73"
    assert together["language"] == "#0072b2"
    assert len({together[domain] for domain in DOMAINS}) == len(DOMAINS)


def test_what_is_missing_leaves_a_gap() -> None:
    source = logbook(LOGARITHMIC, missing=[10, 11])
    (line, *_) = [line for line in panels(strength(source))[0].lines if line.get_label() == "math"]
    assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [10, 11]
    mesh = panels(layers(source))[0].collections[0].get_array()
    assert np.flatnonzero(np.ma.getmaskarray(mesh).all(0)).tolist() == [10, 11]


def test_an_observation_between_two_gaps_is_still_seen() -> None:
    source = logbook(list(range(1, 1000)), missing=[n for n in range(900, 999) if n != 950])
    (line, *_) = [line for line in panels(strength(source))[0].lines if line.get_label() == "math"]
    assert 950 in line.get_markevery()  # type: ignore[operator]


def test_markers_of_a_thousand_observations_do_not_pile_up() -> None:
    axis = TokenAxis.of(logbook(list(range(0, 10000, 10))))
    marked = axis.marked(np.ones(1000))
    assert marked[0] == 0
    assert 30 < len(marked) < 70
    assert np.diff(axis.positions[marked]).min() >= 0.015 * np.ptp(axis.positions)
    few = TokenAxis.of(logbook([0, 10, 100]))
    assert few.marked(np.array([1.0, np.nan, 2.0])) == [0, 2]


@pytest.mark.parametrize(
    ("first", "last", "ticks"),
    [
        (1, 5000, [1, 10, 100, 1000]),
        (1, 10**12, [1, 10**3, 10**6, 10**9, 10**12]),
        (15, 900, [20, 50, 100, 200, 500]),
        (4_096_000, 7_372_800, [5_000_000, 6_000_000, 7_000_000]),
        (1200, 1440, [1200, 1300, 1400]),
        (1000, 1000, [1000]),
        (4_096_123, 4_096_123, [4_096_123]),
    ],
)
def test_ticks_are_round_numbers(first: int, last: int, ticks: list[int]) -> None:
    assert round_numbers(first, last) == ticks


def test_a_legend_of_long_names_takes_more_lines() -> None:
    assert legend_columns(DOMAINS[:4], 7) == 4
    assert legend_columns(DOMAINS[:4], 3.5) == 3
    assert legend_columns(["x" * 60] * 3, 7) == 1


def test_without_a_loss_there_is_no_panel_for_it() -> None:
    assert len(panels(strength(logbook(LOGARITHMIC, loss=False)))) == 2
    unrecorded = logbook(LOGARITHMIC)
    unrecorded["train_loss"][:] = np.nan
    assert len(panels(strength(unrecorded))) == 2


@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning")
def test_a_real_logbook_becomes_pictures_and_drawings_with_text(tmp_path: Path) -> None:
    watching = SpecializationMonitor(
        word_tokenizer(), tmp_path / "o.h5", "every 1", battery=small_battery(), twins=2, recorders=()
    )
    fit(tmp_path, [watching], steps=3)
    before = dict(mpl.rcParams)
    written = plot(open_logbook(watching.logbook_path), tmp_path / "deep" / "figures")
    assert {path.stem for path in written} == {"strength", "layers", "region_stability", "joint"}
    for path in written:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        else:
            assert ">training tokens (log scale)<" in path.read_text()
            assert ">alpha<" in path.read_text()
    assert dict(mpl.rcParams) == before
    plot(open_logbook(watching.logbook_path), tmp_path / "deep" / "figures")  # drawn again, over the older ones


def test_what_the_logbook_lacks_is_not_drawn(tmp_path: Path) -> None:
    written = plot(logbook([0, 10]).drop_vars("contrast_index_by_layer"), tmp_path)
    assert [path.name for path in written] == ["strength.png", "strength.svg", "joint.png", "joint.svg"]


def test_nothing_to_draw_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the logbook holds no observation yet, so there is nothing to draw"):
        plot(xr.Dataset(), tmp_path)
    with pytest.raises(ValueError, match=r"no figure \(strength: contrast_index was not recorded; .* it has train"):
        plot(logbook([0, 10])[["train_loss"]], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("mine")
    with pytest.raises(ValueError, match="figures is a file; give a folder for the figures"):
        plot(logbook([0, 10]), tmp_path / "figures")
    assert (tmp_path / "figures").read_text() == "mine"
