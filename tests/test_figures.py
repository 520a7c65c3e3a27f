"""The figures: what they show of a logbook, and that every size of it can be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from loop import fit, small_battery, word_tokenizer
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from scipy import stats
from verdicts import planted, step_up

from observatory import open_logbook
from observatory.callbacks import SpecializationMonitor
from observatory.review.emergence import emergence
from observatory.review.evidence import Criteria, evidence
from observatory.review.layers import layers
from observatory.review.onsets import onsets
from observatory.review.plot import plot
from observatory.review.rise import Sigmoid
from observatory.review.strength import strength
from observatory.review.style import legend_columns
from observatory.review.token_axis import TokenAxis, round_numbers

DOMAINS = ["language", "math", "physical", "social", "music", "chess", "law", "smell", "touch", "time"]
STEPS = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120]
THOUSAND = list(range(0, 10000, 10))
LOGARITHMIC = sorted({0, *(round(10 ** (k / 12)) for k in range(39))})
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
HOSTILE = ["$x_1^2$", "costs $5", "_hidden", "a name of\ntwo lines", "a long name " * 9, "100 % & <b>", "\\alpha"]


def rise(steps: Sequence[int], middle: float, height: float = 0.8) -> np.ndarray:
    values: np.ndarray = height / (1 + np.exp(-(np.log1p(steps) - np.log1p(middle)) / 0.4))
    return values


def rises(steps: Sequence[int], names: Sequence[str], height: float = 0.8) -> dict[str, np.ndarray]:
    return {name: rise(steps, 10 * 1.5**place, height) for place, name in enumerate(names)}


JUDGED: dict[str, Callable[[], xr.Dataset]] = {
    "four domains that emerge": lambda: planted(LOGARITHMIC, rises(LOGARITHMIC, DOMAINS[:4]), loss=True),
    "ten domains and gaps": lambda: planted(LOGARITHMIC, rises(LOGARITHMIC, DOMAINS), gaps=[700, 800]),
    "one domain": lambda: planted(LOGARITHMIC, rises(LOGARITHMIC, ["math"]), tokens=0),
    "hostile names": lambda: planted(LOGARITHMIC, rises(LOGARITHMIC, HOSTILE, 3.0)),
    "two observations": lambda: planted([0, 1000], rises([0, 1000], DOMAINS[:4])),
    "one observation": lambda: planted([1000], rises([1000], DOMAINS[:4])),
    "a thousand observations": lambda: planted(THOUSAND, rises(THOUSAND, DOMAINS[:2])),
    "nothing but gaps": lambda: planted([0, 10, 100], dict.fromkeys(DOMAINS[:4], [np.nan] * 3)),
    "diverged": lambda: planted(
        LOGARITHMIC, {"math": np.where(np.array(LOGARITHMIC) < 90, rise(LOGARITHMIC, 20), np.nan)}
    ),
    "lost and found": lambda: planted(STEPS, {"math": [0, 1, 1, 0, 0, 0, 1, 1, 1, 1], "social": [1] * 10}),
}
"""Logbooks with the nulls that a verdict takes."""


PLAIN = {
    *("as usual", "long names", "the untrained model alone", "a thousand observations", "hardly apart"),
    *("twelve decades", "no tokens known", "nothing but gaps"),
}
DRAWN = [(size, name) for size in SIZES for name in FIGURES if name == "layers" or size in PLAIN]


def panels(figure: Figure) -> list[Axes]:
    """Those of curves and of layers, without the strips between them."""
    return [axes for axes in figure.axes if axes.axison and axes.get_label() not in ("<colorbar>", "levels")]


def strips(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() == "levels"]


def named(panel: Axes, label: str) -> list[Line2D]:
    """The lines that a figure calls so; they are in no legend."""
    return [line for line in panel.lines if line.get_label() == label]


def said(figure: Figure) -> str:
    """The sentences under a figure, as one line."""
    return " ".join(legend.get_title().get_text() for legend in figure.legends).replace("\n", " ")


def shown(figure: Figure) -> Iterator[tuple[Text, Any]]:
    """Every text with the box that it is drawn in."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    for axes in figure.axes:
        if not axes.axison:
            continue
        ticks = [
            label
            for axis in (axes.xaxis, axes.yaxis)
            for tick in axis.get_major_ticks()
            if min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
            for label in (tick.label1, tick.label2)  # a colour bar has its own on the right
        ]
        for text in [axes.xaxis.label, axes.yaxis.label, axes._left_title, *ticks]:  # type: ignore[attr-defined]
            if text.get_visible() and text.get_text():
                yield text, text.get_window_extent(renderer)
        for text in axes.texts:
            yield text, text.get_window_extent(renderer)
    for legend in figure.legends:
        for text in [*legend.get_texts(), legend.get_title()]:
            if text.get_text():
                yield text, text.get_window_extent(renderer)


@cache
def drawn(size: str, name: str) -> tuple[Figure, list[tuple[Text, Any]]]:
    figure = FIGURES[name](logbook(**SIZES[size]))
    return figure, list(shown(figure))


@cache
def judged(case: str) -> xr.Dataset:
    return JUDGED[case]()


@cache
def of_verdicts(case: str, draw: Callable[[xr.Dataset], Figure]) -> tuple[Figure, list[tuple[Text, Any]]]:
    figure = draw(judged(case))
    return figure, list(shown(figure))


def across(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xdata())


def assert_legible(figure: Figure, boxes: Sequence[tuple[Text, Any]]) -> None:
    for text, box in boxes:
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= figure.bbox.x1 + 1, text
        assert box.y1 <= figure.bbox.y1 + 1, text
    for (one, here), (other, there) in combinations(boxes, 2):
        assert not here.overlaps(there), (one, other)


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


def test_the_interval_of_e_chance_and_the_floor_are_those_of_the_evidence() -> None:
    source = judged("four domains that emerge")
    found = evidence(source, Criteria()).sel(space="mlp")
    left, right, *_ = panels(strength(source))
    for panel, pooling in ((left, "last"), (right, "mean")):
        bands = [patch for patch in panel.collections if patch.get_label() == "_interval"]
        floors, chances = named(panel, "_floor"), [line for line in named(panel, "_chance") if line.get_marker() != "_"]
        for domain, band, chance, floor in zip(DOMAINS[:4], bands, chances, floors, strict=True):
            here = found.sel(pooling=pooling, domain=domain)
            corners = band.get_paths()[0].vertices
            assert isinstance(corners, np.ndarray)
            at = TokenAxis.of(source).positions
            for x, low, high in zip(at, here["low"].values, here["high"].values, strict=True):
                drawn_here = corners[np.isclose(corners[:, 0], x), 1]
                np.testing.assert_allclose([drawn_here.min(), drawn_here.max()], [low, high])
            np.testing.assert_allclose(chance.get_ydata(), here["chance"])
            np.testing.assert_allclose(floor.get_ydata(), [here["floor"]] * 2)


def test_the_grey_band_holds_95_percent_of_the_twins() -> None:
    twins = judged("four domains that emerge")["contrast_index_twins"].isel(step=0).sel(space="mlp", pooling="mean")
    half = stats.t(7).ppf(0.975) * twins.std("twin", ddof=1) * np.sqrt(1 + 1 / 8)
    band = next(
        p for p in panels(of_verdicts("four domains that emerge", strength)[0])[1].patches if p.get_label() == "_twins"
    )
    assert isinstance(band, Rectangle)
    expected = [(twins.mean("twin") - half).min(), (twins.mean("twin") + half).max()]
    np.testing.assert_allclose([band.get_y(), band.get_y() + band.get_height()], expected)


def test_markers_are_full_where_the_readout_passes_and_open_elsewhere() -> None:
    panel = panels(strength(planted(STEPS, {"math": step_up(STEPS, 100, until=1000)}, tokens=0)))[0]
    (full,) = named(panel, "_passes")
    np.testing.assert_allclose(across(full), np.log10([160, 320, 640]))
    (line,) = named(panel, "math")
    assert line.get_markerfacecolor() == "white"


def test_strips_show_each_level_from_when_it_holds_to_when_it_is_lost() -> None:
    source = planted(
        STEPS,
        {"math": step_up(STEPS, 100, until=1000), "social": step_up(STEPS, 640), "language": np.zeros(10)},
        specific=["math"],
        general=[],
        tokens=0,
    )
    for strip in strips(strength(source)):
        bars = [(line.get_ydata()[0], *np.round(10 ** across(line)), line.get_linestyle()) for line in strip.lines]
        math = [(0, 160, 640, "-"), (0, 80, 160, ":"), (0, 640, 1280, ":")]
        social = [(1, 640, 5120, "-"), (1, 320, 640, ":")]
        assert bars == [*math, *math, *social]  # math is selective, and over it specific
        thin, thick = strip.lines[0].get_linewidth(), strip.lines[3].get_linewidth()
        assert thick > thin
        assert [(text.get_text(), text.get_position()[1]) for text in strip.texts] == [("not emerged", 2)]


def test_a_strip_ends_where_nothing_is_known_any_more() -> None:
    strip = strips(of_verdicts("diverged", strength)[0])[0]
    last = max(step for step in LOGARITHMIC if step < 90) * 2048
    assert max(max(across(line)) for line in strip.lines) == pytest.approx(np.log10(last))


@pytest.mark.parametrize("height", [0.8, 3.0])
def test_large_indices_are_drawn_on_an_axis_that_keeps_small_ones_apart(height: float) -> None:
    panel = panels(strength(planted(STEPS, rises(STEPS, ["math"], height))))[0]
    assert panel.get_yscale() == ("symlog" if height > 1 else "linear")
    assert ("linear up to 0.2" in panel.get_ylabel()) == (height > 1)
    low, floor = panel.transData.transform([(0, 0.0), (0, 0.2)])[:, 1]
    assert floor - low > 0.12 * panel.bbox.height


def test_missing_observations_are_marked() -> None:
    source = planted(STEPS, rises(STEPS, ["math"]), gaps=[50, 10000], tokens=0)
    for figure in (strength(source), onsets(source)):
        (crosses,) = named(panels(figure)[0], "_missed")
        np.testing.assert_allclose(across(crosses), np.log10([50, 10000]))
        assert panels(figure)[0].get_xlim()[1] > 4
        assert "observation missing" in {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_checkpoints_that_the_doctor_doubts_are_marked_and_told() -> None:
    """A note is not a doubt, and a step that was not measured has no mark."""
    source = planted(STEPS, rises(STEPS, ["math"]), tokens=0)
    step = int(source["step"].values[-2])
    source.attrs["doctor"] = json.dumps(
        [
            {"kind": "norm", "steps": [step, 7], "text": "step 7 is odd", "severity": "warning"},
            {"kind": "precision", "steps": [int(source["step"].values[-1])], "text": "half", "severity": "note"},
        ]
    )
    for figure in (strength(source), onsets(source)):
        (marks,) = named(panels(figure)[0], "_doubted")
        np.testing.assert_allclose(across(marks), np.log10([step]))
        key = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
        assert "checkpoint doubted by the doctor" in key
    assert "the doctor of checkpoints says, warning: step 7 is odd" in emergence(source).notes
    source.attrs["doctor"] = "not JSON"
    assert not named(panels(strength(source))[0], "_doubted")


def test_without_nulls_the_curves_stand_alone_and_the_figure_says_why() -> None:
    whole = judged("four domains that emerge")
    figure = strength(whole.drop_vars("contrast_index_twins"))
    assert "No verdict can be given: no re-initialised twins were measured" in said(figure)
    assert not strips(figure)
    assert not named(panels(figure)[0], "_floor")
    np.testing.assert_array_equal(
        named(panels(figure)[0], "math")[0].get_ydata(),
        whole["contrast_index"].sel(space="mlp", pooling="last", domain="math"),
    )


def test_one_observation_says_that_it_is_one() -> None:
    for figure in (of_verdicts("one observation", strength)[0], of_verdicts("one observation", onsets)[0]):
        assert "can't say; there is one observation" in said(figure)


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


def test_the_order_is_drawn_from_the_first_to_the_last_with_what_the_verdict_says() -> None:
    curves = {"late": rise(STEPS, 700), "never": np.zeros(10), "early": rise(STEPS, 60)}
    source = planted(STEPS, curves, general=["early"], tokens=1000)
    told, figure = emergence(source), onsets(source)
    panel, beside = panels(figure)
    assert [text.get_text() for text in panel.get_yticklabels()] == ["early", "late", "never"]
    assert [text.get_text().split("\n")[0] for text in beside.get_yticklabels()] == [
        "general",
        "specific",
        "not emerged",
    ]
    assert "P(early < late) = 1.00" in said(figure)
    assert "never: not emerged; not selective" in said(figure)
    for row, name in enumerate(["early", "late"]):
        onset, (episode,) = told.onsets[name], told.verdicts[list(curves).index(name)].episodes["selective"]
        assert episode.after is not None
        bar, interval, mark = (named(panel, label)[row] for label in ("_censoring", "_crossing interval", "_crossing"))
        np.testing.assert_allclose(across(bar), np.log10([episode.after * 1000, episode.by * 1000]))
        np.testing.assert_allclose(across(interval), np.log10([told.tokens_at(s) for s in onset.crossing_interval[:2]]))
        np.testing.assert_allclose(across(mark), [np.log10(told.tokens_at(onset.crossing))])
        assert isinstance(onset.rise.shape, Sigmoid)
        middle, spread = named(panel, "_middle")[row], named(panel, "_middle interval")[row]
        np.testing.assert_allclose(across(middle), np.log10(told.tokens_at(onset.rise.shape.midpoint)))
        np.testing.assert_allclose(across(spread), np.log10([told.tokens_at(s) for s in onset.midpoint_interval[:2]]))
        assert {round(float(np.asarray(line.get_ydata())[0])) for line in (bar, interval, mark, middle)} == {row}


def test_a_region_that_is_lost_and_found_has_a_cross_and_two_bars_and_one_from_the_start_an_arrow() -> None:
    panel = panels(of_verdicts("lost and found", onsets)[0])[0]
    (lost,) = named(panel, "_lost")
    assert float(across(lost)[0]) == pytest.approx(np.log10(80 * 2048))
    (arrow,) = named(panel, "_from the start")
    rows = [text.get_text() for text in panel.get_yticklabels()]
    assert round(float(np.asarray(arrow.get_ydata())[0])) == rows.index("social")
    ends = [10 ** across(bar)[1] / 2048 for bar in named(panel, "_censoring")]
    np.testing.assert_allclose(sorted(ends), [10, 20, 640])


def test_an_onset_that_some_resamples_never_reach_ends_in_an_arrow_and_says_their_share() -> None:
    source, lenient = planted(STEPS, {"math": step_up(STEPS, 100)}), Criteria(alpha=0.3)
    source["contrast_index_resampled"][..., :4] = 0.0  # of 81
    panel, beside = panels(onsets(source, lenient))
    assert emergence(source, lenient).onsets["math"].crossing_interval.share_never == 4 / 81
    assert "never in 4.9% of resamples" in beside.get_yticklabels()[0].get_text()
    (arrow,), (interval,) = named(panel, "_never"), named(panel, "_crossing interval")
    assert across(arrow)[0] == across(interval)[1] == panel.get_xlim()[1]


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
    assert {path.stem for path in written} == {"strength", "layers", "region_stability"}
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
    assert [path.name for path in written] == ["strength.png", "strength.svg"]


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
