"""The figure of other settings: each point is what a judgement by that setting says."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from circuits_planted import planted_circuits
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pictures import named, panels, said, strips
from planted_run import rise
from verdicts import planted

from observatory import open_logbook
from observatory.review.figures.robustness import no_robustness, robustness
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.emergence import emergence
from observatory.review.judge.evidence import Criteria
from observatory.review.sharing.circuits import circuits
from observatory.review.sharing.sharing_verdict import BY_DOMAIN, sharing_verdict

STEPS = [0, 10, 20, 40, 80, 160, 320, 640, 1280]


@cache
def run() -> xr.Dataset:
    """One that reaches 0.8, and one that reaches 0.3 and so not every floor."""
    return planted(STEPS, {"math": rise(STEPS, 60), "social": rise(STEPS, 60, 0.35)}, general=["math"])


@cache
def figure() -> Figure:
    return robustness(run())


def titled(of: Figure, title: str) -> Axes:
    return next(axes for axes in of.axes if axes.get_title("left") == title)


@pytest.mark.parametrize("delta", [0.0, 0.1, 0.2, 0.5, 0.8])
def test_each_onset_is_that_of_emergence_with_this_delta(delta: float) -> None:
    panel, told = titled(figure(), "onset, by delta"), emergence(run(), Criteria(delta=delta))
    at = TokenAxis.of(run())
    for domain in ("math", "social"):
        (line,) = named(panel, domain)
        place = np.asarray(line.get_xdata()).tolist().index(delta)
        found = np.asarray(line.get_ydata())[place]
        full = {
            float(x)
            for mark in named(panel, "_emerged")
            if mark.get_color() == line.get_color()
            for x in np.asarray(mark.get_xdata())
        }
        verdict = next(one for one in told.verdicts if one.domain == domain)
        assert (delta in full) == (verdict.level != "none")
        if domain in told.onsets and np.isfinite(told.onsets[domain].crossing):
            np.testing.assert_allclose(found, float(at.at_step(told.onsets[domain].crossing)))
        elif delta == 0.8:
            assert np.isnan(found)


def test_bars_are_as_thick_as_the_level_as_far_as_it_holds() -> None:
    strip, other = strips(figure())
    levels = {"math": "_general", "social": "_specific"}
    for row, (domain, label) in enumerate(levels.items()):
        (bar,) = [line for line in named(strip, label) if np.asarray(line.get_ydata())[0] == row]
        low, high = np.asarray(bar.get_xdata())
        for delta in (0.0, 0.1, 0.2, 0.3, 0.6, 1.0):
            level = next(v for v in emergence(run(), Criteria(delta=delta)).verdicts if v.domain == domain).level
            assert (low <= delta <= high) == (f"_{level}" == label), (domain, delta)
    unknown = np.concatenate([np.asarray(line.get_xdata()) for line in named(other, "_can't say")])
    assert np.log10(0.001) in unknown
    assert "alpha = 0.02: math, social: can't say; 161 draws" in said(figure())


def test_the_chosen_setting_is_marked() -> None:
    custom = robustness(run(), Criteria(alpha=0.07, delta=0.25))
    for title, value in (("onset, by delta", 0.25), ("onset, by alpha", np.log10(0.07))):
        (line,) = named(titled(custom, title), "_chosen")
        assert np.asarray(line.get_xdata()).tolist() == [value, value]
        assert value in np.asarray(named(titled(custom, title), "math")[0].get_xdata())


def test_an_onset_that_cannot_be_dated_better_has_the_bar_of_its_observations() -> None:
    panel, axis = titled(figure(), "onset, by delta"), TokenAxis.of(run())
    (episode,) = emergence(run()).verdicts[0].episodes["selective"]
    ends = [np.asarray(bar.get_ydata(), dtype=float).tolist() for bar in named(panel, "_censoring")]
    assert episode.after is not None
    expected = axis.at_step([episode.after, episode.by]).tolist()
    assert any(np.allclose(pair, expected) for pair in ends)


def test_what_circuits_share_is_shown_at_every_share_that_was_recorded(tmp_path: Path) -> None:
    book = open_logbook(planted_circuits(tmp_path / "o.h5", [0, 100, 1000], [0, 0.2, 0.5]))
    drawn = robustness(book)
    last = circuits(book).steps[-1]
    panel = titled(drawn, "domain index, by share")
    (line,) = named(panel, "index")
    np.testing.assert_allclose(np.asarray(line.get_xdata()), np.log10([0.002, 0.01, 0.05]))
    found = [last.by_share[share] for share in sorted(last.by_share)]
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [one.effects["index"].value for one in found])
    holds = [sharing_verdict(one, 0.05).said == BY_DOMAIN for one in found]
    (full,) = named(panel, "_holds")
    assert len(np.asarray(full.get_xdata())) == sum(holds) > 0
    assert [text.get_text() for text in panel.get_xticklabels()] == ["0.2%", "1%", "5%"]
    assert not strips(drawn)  # without nulls there is no verdict on regions


def test_circuits_that_allow_no_verdict_say_why(tmp_path: Path) -> None:
    book = open_logbook(planted_circuits(tmp_path / "o.h5", [0, 100], done={0: [], 100: []}))
    drawn = robustness(book)
    assert "Circuits at the last step: can't say; 0 tasks are done" in said(drawn)
    assert {text.get_text() for panel in panels(drawn) for text in panel.texts} == {"can't say"}


def test_a_logbook_with_nothing_to_judge_says_so() -> None:
    bare = run().drop_vars("contrast_index_twins")
    assert "no re-initialised twins were measured" in (no_robustness(bare) or "")
    with pytest.raises(ValueError, match="there is nothing to judge by other settings"):
        robustness(bare)
