"""The figure of leads and lags: what it shows of planted ones, and that it says what cannot be said."""

from __future__ import annotations

from functools import cache
from math import log

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pictures import named, said
from planted_run import DOMAINS, TEN, planted_run

from observatory.review.effects.lead import lead
from observatory.review.effects.leads import leads, no_leads
from observatory.review.effects.series import series
from observatory.review.figures.lead_lag import lead_lag

STEPS = [0, 1, 3, 6, 10, 18, 30, 56, 100, 180, 300, 560, 1000, 1800, 3000]
BESIDE = {"margin of tasks": "margin/{}", "held-out loss": "loss/{}", "training loss": "train_loss"}


@cache
def run() -> xr.Dataset:
    return planted_run(STEPS, DOMAINS[:2])


@cache
def figure() -> Figure:
    return lead_lag(run())


def forest(of: Figure) -> Axes:
    return next(axes for axes in of.axes if axes.get_xlabel().startswith("steps of the other"))


def test_each_row_has_the_lag_and_the_interval_of_the_command() -> None:
    panel = forest(figure())
    rows = [text.get_text() for text in panel.get_yticklabels()]
    assert rows == [
        *("language", "margin of tasks", "held-out loss", "training loss", "benchmark_0/acc"),
        *("math", "margin of tasks", "held-out loss", "training loss", "benchmark_0/acc"),
    ]
    chances = [text.get_text() for axes in figure().axes if axes.get_title("right") for text in axes.get_yticklabels()]
    for place, domain in enumerate(DOMAINS[:2]):
        for row, name in enumerate([*BESIDE.values(), "benchmark_0/acc"], start=1 + 5 * place):
            found = lead(series(run(), domain), series(run(), name.format(domain)))
            for label, estimate in (("_halfway", found.halfway), ("_shift", found.shift)):
                assert estimate is not None
                assert estimate.interval is not None
                (mark,) = [m for m in named(panel, label) if round(float(np.asarray(m.get_ydata())[0])) == row]
                np.testing.assert_allclose(np.asarray(mark.get_xdata()), [estimate.lag / log(10)])
                (bar,) = [
                    b for b in named(panel, f"{label} interval") if round(float(np.asarray(b.get_ydata())[0])) == row
                ]
                np.testing.assert_allclose(np.asarray(bar.get_xdata()), np.array(estimate.interval) / log(10))
            assert found.halfway is not None
            assert chances[row].startswith(f"{found.halfway.before:.2f} | ")


def test_the_region_is_first_where_it_was_planted_first() -> None:
    """The regions rise at steps 10 and 15, margins at 100."""
    panel = forest(figure())
    marks = {
        round(float(np.asarray(m.get_ydata())[0])): float(np.asarray(m.get_xdata())[0])
        for m in named(panel, "_halfway")
    }
    assert marks[1] == pytest.approx(np.log10(101 / 11), abs=0.2)
    assert marks[6] == pytest.approx(np.log10(101 / 16), abs=0.2)


def test_curves_go_from_0_to_1_and_falling_ones_are_turned() -> None:
    first, second, *_ = figure().axes
    assert [axes.get_title("left").split("\n")[0] for axes in (first, second)] == ["language", "math"]
    assert first.get_title("left").split("\n")[1] in ("selective", "specific", "general")
    for panel in (first, second):
        for name in ("region", "margin of tasks", "held-out loss", "training loss", "benchmark_0/acc"):
            values = np.asarray(named(panel, name)[0].get_ydata(), dtype=float)
            known = values[np.isfinite(values)]
            assert abs(known[0]) < 0.2, name
            assert abs(known[-1] - 1) < 0.2, name
            assert any(band.get_label() == f"_{name} interval" for band in panel.collections)
        assert named(panel, "_missed")
        assert named(panel, "_doubted")


def test_what_cannot_be_said_has_its_reason_and_no_mark() -> None:
    flat = run().copy(deep=True)
    flat["competence_log_probability"][:] = np.random.default_rng(0).normal(
        size=flat["competence_log_probability"].shape
    )
    panel = forest(lead_lag(flat))
    texts = [text.get_text() for text in panel.texts]
    assert any(text.startswith("can't say: margin/") for text in texts)
    assert "margin/math has no net change: from" in said(lead_lag(flat))
    assert len(named(panel, "_halfway")) == 6
    few = planted_run(TEN[:4], DOMAINS[:2])
    assert not named(forest(lead_lag(few)), "_halfway")


def test_a_lag_beyond_the_axis_or_the_shifts_tried_has_an_arrow() -> None:
    early = run().copy(deep=True)
    early["train_loss"][1:] = 2.0 + 1e-3 * np.random.default_rng(0).normal(size=len(STEPS) - 1)
    early["train_loss"][0:3] = 9.0
    beyond = named(forest(lead_lag(early)), "_beyond")
    found = [one.found["training loss"].shift for one in leads(early)]
    at_bound = [one for one in found if one is not None and one.at_bound]
    assert len(beyond) >= len(at_bound)


def test_why_there_is_nothing_beside_regions_is_said() -> None:
    alone = run()[[name for name in run().data_vars if str(name).startswith("contrast")]]
    assert "neither competence nor a training loss was recorded" in (no_leads(alone) or "")
    with pytest.raises(ValueError, match="regions can be set beside nothing: contrast_index was not recorded"):
        leads(run()[["train_loss"]])
