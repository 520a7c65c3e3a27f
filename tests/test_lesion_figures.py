"""The figures of lesions and of competence: what they show, and that every size of them can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from lesion_cases import DOMAINS, planted_lesions
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm, to_hex
from matplotlib.figure import Figure
from pictures import assert_legible, named, said, shown
from planted_run import HOSTILE
from test_competence_review import competent

from observatory.review.effects.competence import competence
from observatory.review.effects.lesion_effects import MEASURES, lesion_effects
from observatory.review.figures.competence_curves import competence_figure
from observatory.review.figures.lesion_matrix import lesion_matrix
from observatory.review.figures.lesions_over_time import lesions_over_time
from observatory.review.figures.plot import plot
from observatory.review.figures.token_axis import TokenAxis

EIGHT = [*DOMAINS, "music", "chess", "law and order", "a domain with a long name"]
TWELVE = [0, 1, 3, 10, 30, 56, 100, 300, 560, 1000, 3000, 10000]
PLANTED = {("math", "math"): 0.5, ("language", "math"): 0.4, ("social", "social"): 0.3, ("physical", "social"): -0.3}
LESIONS: dict[str, Callable[[], xr.Dataset]] = {
    "four domains, one step": lambda: planted_lesions((1000,), PLANTED),
    "four domains, four steps": lambda: planted_lesions(
        (0, 10, 100, 1000), PLANTED, without={0: DOMAINS, 10: ["math", "social"], 100: ["math"]}
    ),
    "four domains, twelve steps": lambda: planted_lesions(TWELVE, PLANTED),
    "eight domains, one step": lambda: planted_lesions((1000,), PLANTED, EIGHT),
    "eight domains, twelve steps": lambda: planted_lesions(
        TWELVE, PLANTED, EIGHT, without={0: EIGHT, 1: EIGHT, 3: EIGHT[2:], 30: ["math"]}
    ),
    "no region ever": lambda: planted_lesions((0, 10, 100), without=dict.fromkeys((0, 10, 100), DOMAINS)),
    "nothing that counts": lambda: planted_lesions((1, 10), seed=1),
    "one mask": lambda: planted_lesions((1, 10), controls=1),
    "no tokens known": lambda: planted_lesions((0, 10), PLANTED, tokens=0),
    "hostile names": lambda: planted_lesions((1, 10, 100), domains=HOSTILE),
}
COMPETENT: dict[str, Callable[[], xr.Dataset]] = {
    "one step": lambda: competent([1.0]),
    "four steps": lambda: competent([0, 0.3, 0.8, 2]),
    "eight domains": lambda: competent(np.linspace(0, 2, 14).tolist(), EIGHT),
    "hostile names": lambda: competent([0.0, 1.0], HOSTILE),
    "no tokens known": lambda: competent([0.0, 1.0], tokens=0),
}


@pytest.mark.parametrize("draw", [lesion_matrix, lesions_over_time], ids=["matrix", "over time"])
@pytest.mark.parametrize("case", LESIONS)
def test_no_text_of_lesions_is_cut_off_or_lies_on_another(case: str, draw: Callable[[xr.Dataset], Figure]) -> None:
    figure = draw(LESIONS[case]())
    boxes = list(shown(figure))
    assert len(boxes) > 5
    assert_legible(figure, boxes)


@pytest.mark.parametrize("case", COMPETENT)
def test_no_text_of_competence_is_cut_off_or_lies_on_another(case: str) -> None:
    figure = competence_figure(COMPETENT[case]())
    assert_legible(figure, list(shown(figure)))


def matrices(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.images]


def test_a_matrix_has_the_effects_of_its_step_on_a_scale_centred_at_0() -> None:
    logbook = LESIONS["four domains, four steps"]()
    found = lesion_effects(logbook)
    panels = matrices(lesion_matrix(logbook))
    assert len(panels) == 6  # step 0 has no region
    for row, measure in enumerate(MEASURES):
        effects = found["effect"].sel(measure=measure, against="matched").transpose("step", "lesioned", "domain").values
        largest = np.nanmax(np.abs(effects))
        for panel, step in zip(panels[3 * row : 3 * row + 3], (1, 2, 3), strict=True):
            (image,) = panel.images
            np.testing.assert_allclose(np.ma.filled(image.get_array(), np.nan), effects[step])
            assert isinstance(image.norm, TwoSlopeNorm)
            assert (image.norm.vmin, image.norm.vcenter, image.norm.vmax) == pytest.approx((-largest, 0, largest))
            (marks,) = named(panel, "_counts")
            counts = found["counts"].sel(measure=measure).isel(step=step).transpose("lesioned", "domain").values
            expected = {(column, line) for line, column in zip(*np.nonzero(counts), strict=True)}
            assert set(zip(marks.get_xdata(), marks.get_ydata(), strict=True)) == expected
            gone = [domain for domain in range(4) if np.isnan(effects[step][domain]).all()]
            assert len(panel.patches) == len(gone)
    titles = [panel.get_title("left") for panel in panels[:3]]
    assert titles == ["20.5K tokens", "205K tokens", "2.05M tokens"]


@pytest.mark.parametrize(
    ("case", "titles"),
    [
        ("four domains, twelve steps", ["0 tokens", "20.5K tokens", "205K tokens", "1.15M tokens", "20.5M tokens"]),
        ("eight domains, twelve steps", ["6.14K tokens", "115K tokens", "1.15M tokens", "20.5M tokens"]),
    ],
)
def test_of_many_steps_as_many_are_drawn_as_fit_the_first_and_the_last_among_them(case: str, titles: list[str]) -> None:
    figure = lesion_matrix(LESIONS[case]())
    assert figure.get_figwidth() == 7
    assert [panel.get_title("left") for panel in matrices(figure)] == [*titles, *[""] * len(titles)]


def test_the_rows_are_the_regions_and_the_columns_who_feels_their_loss() -> None:
    figure = lesion_matrix(planted_lesions((1000,), {("language", "math"): 3.0}))
    panel = matrices(figure)[0]
    values = np.asarray(panel.images[0].get_array())
    assert np.unravel_index(values.argmax(), values.shape) == (0, 1)
    assert [text.get_text() for text in panel.get_yticklabels()] == list(DOMAINS)
    assert panel.get_ylabel() == "region of"
    assert [text.get_text() for text in matrices(figure)[1].get_xticklabels()] == list(DOMAINS)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no region ever", "No domain has a region with random masks to hold it against."),
        ("nothing that counts", "The lesion of no region can be told from those of random units."),
        ("four domains, one step", "Mean of random masks in the same layers less the region; red where"),
    ],
)
def test_the_figure_says_what_cannot_be_told(case: str, words: str) -> None:
    assert said(lesion_matrix(LESIONS[case]())).startswith(words)


def test_effects_over_time_have_their_intervals_and_the_band_of_random_masks() -> None:
    logbook = LESIONS["four domains, twelve steps"]()
    found, at = lesion_effects(logbook), TokenAxis.of(logbook).positions
    figure = lesions_over_time(logbook)
    for place, panel in enumerate(figure.axes):
        domain, measure = DOMAINS[place // 2], list(MEASURES)[place % 2]
        here = found.sel(measure=measure, against="matched", lesioned=domain)
        for name in ("own", "others"):
            (line,) = named(panel, f"_{name}")
            np.testing.assert_allclose(np.asarray(line.get_xdata(), float), at)
            np.testing.assert_allclose(np.asarray(line.get_ydata(), float), here[name])
        bands = {str(band.get_label()): band for band in panel.collections}
        half = here["of_masks"].sel(domain=domain).values
        for label, low, high in (
            ("_masks", -half, half),
            ("_own interval", here["own_low"].values, here["own_high"].values),
            ("_others interval", here["others_low"].values, here["others_high"].values),
        ):
            corners = np.asarray(bands[label].get_paths()[0].vertices)
            for x, least, most in zip(at, low, high, strict=True):
                drawn = corners[np.isclose(corners[:, 0], x), 1]
                np.testing.assert_allclose([drawn.min(), drawn.max()], [least, most])
        (marks,) = named(panel, "_counts")
        assert len(np.asarray(marks.get_xdata())) == int(here["counts"].sel(domain=domain).sum())
        assert panel.get_ylabel() == {"margin": "margin\n(nats)", "loss": "held-out loss\n(nats/token)"}[measure]
    assert int(found["counts"].sel(measure="margin", lesioned="math", domain="math").sum()) == 12
    colors = {line.get_color() for panel in figure.axes[2:4] for line in named(panel, "_own")}
    assert {to_hex(str(color)) for color in colors} == {"#d55e00"}


def test_a_step_that_stands_alone_has_bars() -> None:
    panel = lesions_over_time(LESIONS["four domains, four steps"]()).axes[2]  # math, at the last step alone
    bars = [band for band in panel.collections if hasattr(band, "get_segments") and len(band.get_segments())]
    assert len(bars) == 3


def test_a_domain_that_never_has_a_region_says_so_in_its_panel() -> None:
    figure = lesions_over_time(LESIONS["no region ever"]())
    assert {text.get_text() for panel in figure.axes for text in panel.texts} == {
        "can't say: it has no region at any step"
    }


def test_competence_is_drawn_with_its_intervals_chance_and_twins() -> None:
    logbook = COMPETENT["four steps"]()
    found, at = competence(logbook), TokenAxis.of(logbook).positions
    panels = competence_figure(logbook).axes
    for panel, measure in zip(panels, ("margin", "accuracy", "loss"), strict=True):
        lines = named(panel, "_domain")
        bands = [band for band in panel.collections if band.get_label() == "_interval"]
        for domain, line, band in zip(("language", "math"), lines, bands, strict=True):
            here = found.sel(domain=domain)
            np.testing.assert_allclose(np.asarray(line.get_ydata(), float), here[f"domain_{measure}"])
            corners = np.asarray(band.get_paths()[0].vertices)
            for x, low, high in zip(at, here[f"domain_{measure}_low"], here[f"domain_{measure}_high"], strict=True):
                drawn = corners[np.isclose(corners[:, 0], x), 1]
                np.testing.assert_allclose([drawn.min(), drawn.max()], [low, high])
        (twins,) = (patch for patch in panel.patches if patch.get_label() == "_twins")
        low, high = (
            float(found[f"domain_{measure}_twins_low"].min()),
            float(found[f"domain_{measure}_twins_high"].max()),
        )
        _, bottom, _, height = twins.get_bbox().bounds  # type: ignore[attr-defined]
        np.testing.assert_allclose([bottom, bottom + height], [max(low, 0) if measure == "accuracy" else low, high])
    assert [float(np.asarray(line.get_ydata())[0]) for panel in panels for line in named(panel, "_chance")] == [0, 0.25]


def test_logbooks_with_lesions_and_competence_are_drawn_in_full(tmp_path: Path) -> None:
    lesions, done = LESIONS["four domains, one step"](), competent([1.0], DOMAINS, tasks=2)
    done = done.assign_coords(step=[1000], tokens=("step", [2048000]))
    done = done.assign_coords(task=lesions["task"].values, family=lesions["family"].values)
    written = plot(lesions.assign(done.data_vars), tmp_path)
    assert {path.name for path in written} == {
        f"{name}{suffix}"
        for name in ("lesion_matrix", "lesions_over_time", "competence", "faithfulness")
        for suffix in (".png", ".svg")
    }
    with pytest.raises(ValueError, match=r"competence was not recorded.*no lesions were recorded"):
        plot(lesions[["lesions_template"]], tmp_path)
