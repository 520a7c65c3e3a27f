"""What the figures of verdicts, strength and onsets, show of a logbook."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from pictures import LOGARITHMIC, STEPS, across, judged, named, of_verdicts, panels, said, strips
from planted_run import DOMAINS, rise, rises
from scipy import stats
from verdicts import planted, step_up

from observatory.review.figures.onsets import onsets
from observatory.review.figures.strength import strength
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.emergence import emergence
from observatory.review.judge.evidence import Criteria, evidence
from observatory.review.judge.rise import Sigmoid


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
