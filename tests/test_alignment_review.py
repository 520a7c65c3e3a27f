"""Alignment in a logbook: its curve among others, whether it precedes performance, and its figure."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from alignment_planted import planted_alignment
from pictures import assert_legible, named, said, shown
from planted_run import DOMAINS, planted_run
from recorded import recorded

from observatory.cli import main
from observatory.review.effects.alignment import alignment_curve, no_alignment
from observatory.review.effects.leads import leads, no_leads
from observatory.review.effects.precedence import performances, precedences
from observatory.review.effects.series import series
from observatory.review.figures.alignment import alignment_figure, chance_of_rank
from observatory.review.figures.plot import FIGURES
from observatory.review.figures.style import SHEETS

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
STEPS = [0, 1, 3, 6, 10, 18, 30, 56, 100, 180, 300, 560, 1000, 1800, 3000]
LAYERS = 4


@cache
def run() -> xr.Dataset:
    return planted_alignment(STEPS, DOMAINS[:2])


def test_replicates_have_the_recorded_error_and_are_of_the_same_stimuli_at_every_step() -> None:
    values, replicates = alignment_curve(run(), "alignment/early/predictivity")
    here = run().sel(outside="early/predictivity")
    np.testing.assert_array_equal(values, here["alignment_mean"])
    known = here["alignment_error"].values > 1e-3
    np.testing.assert_allclose(replicates.std(0)[known], here["alignment_error"].values[known], rtol=0.1)
    np.testing.assert_allclose(replicates.mean(0), values, atol=3e-3)
    late = replicates[:, -6:] - values[-6:]
    assert np.corrcoef(late.T).min() > 0.7  # what is common to all steps says nothing of when it rose
    found = series(run(), "alignment/early/predictivity")
    assert found.replicates is not None
    np.testing.assert_array_equal(found.replicates, replicates)


def test_what_comes_first_is_confirmed_what_comes_later_denied_and_what_moves_not_is_not_told() -> None:
    assert performances(run()) == ["margin", "loss", "benchmark_0/acc", "train_loss"]
    told = {(one.lead.first.split("/")[1], one.lead.second): one for one in precedences(run())}
    assert len(told) == 8
    for second in ("margin of all tasks", "benchmark_0/acc"):
        assert told["early", second].answer == "confirmed"
        assert told["late", second].answer == "denied"
    sentence = told["early", "margin of all tasks"].sentence
    assert sentence.startswith(
        "alignment/early/predictivity precedes margin of all tasks: confirmed; the latter is half-way"
    )
    half = told["early", "margin of all tasks"].lead.halfway
    assert half is not None
    assert half.ratio == pytest.approx(101 / 13, rel=0.25)
    flat = run().copy(deep=True)
    flat["alignment_mean"][:] = 0.2
    flat["alignment_left_out"][:] = 0.2
    assert {one.answer for one in precedences(flat)} == {"can't say"}
    assert "because alignment/late/rsa is constant" in precedences(flat)[-1].sentence
    same = planted_alignment(STEPS, DOMAINS[:2], middles={"same/rsa": 100.0})
    assert precedences(same)[0].answer == "open"


@pytest.mark.parametrize("measure", ["margin", "loss"])
def test_what_is_of_all_domains_is_the_mean_over_them(measure: str) -> None:
    own = [series(run(), f"{measure}/{domain}") for domain in DOMAINS[:2]]
    found = series(run(), measure)
    np.testing.assert_allclose(found.values, np.mean([one.values for one in own], 0))
    assert found.replicates is not None
    np.testing.assert_allclose(found.replicates, np.mean([one.replicates for one in own], 0))


def test_regions_are_set_beside_alignment_and_so_is_every_curve_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = leads(run())[0].found
    assert {"early/predictivity", "late/rsa"} <= set(beside)
    assert beside["late/rsa"].halfway is not None
    assert beside["late/rsa"].halfway.lag > 1
    alone = run()[[str(n) for n in run().data_vars if str(n).startswith(("contrast", "alignment"))]]
    assert no_leads(alone) is None
    path = recorded(tmp_path / "o.h5", run())
    main(["lead", str(path), "alignment/early/predictivity", "performance"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("alignment/early/predictivity precedes margin of all tasks: confirmed")
    assert lines[1].startswith("  half of the way: margin of all tasks at")
    main(["lead", str(path), "alignment/late/rsa", "math"])
    assert "math (mlp, mean) comes first" in capsys.readouterr().out.replace("(mlp, last)", "(mlp, mean)")
    with pytest.raises(SystemExit, match="alignment/early/predictivity, alignment/late/rsa"):
        main(["lead", str(path), "alignment/absent", "performance"])


def test_the_figure_shows_layers_ceilings_twins_and_which_regions_stand_out() -> None:
    figure = alignment_figure(run())
    layers, regions, second, _ = figure.axes
    assert [axes.get_title("left") for axes in (layers, second)] == ["early/predictivity", "late/rsa"]
    assert len(named(layers, "_layer")) == LAYERS
    (top,) = named(layers, "_ceiling")
    assert set(np.asarray(top.get_ydata()).tolist()) == {0.7}
    (band,) = [one for one in second.patches if one.get_label() == "_ceiling"]
    np.testing.assert_allclose(band.get_extents().transformed(second.transData.inverted()).intervaly, [0.6, 0.8])
    assert any(one.get_label() == "_twins" for one in layers.patches)
    np.testing.assert_allclose(
        np.asarray(named(layers, "_mean")[0].get_ydata()), run()["alignment_mean"].sel(outside="early/predictivity")
    )
    marks = named(regions, "_mark")  # of each region those that stand out, then those that do not
    assert [len(np.asarray(one.get_xdata())) for one in marks] == [len(STEPS), 0, 0, len(STEPS)]
    lines = named(regions, "_region")
    np.testing.assert_allclose(np.asarray(lines[0].get_ydata()), 0.2, atol=0.03)
    assert "alignment/early/predictivity precedes margin of all tasks: confirmed" in said(figure)


@pytest.mark.parametrize("sheet", SHEETS)
def test_its_texts_are_legible_on_every_sheet_and_without_regions(sheet: str) -> None:
    figure = alignment_figure(run(), sheet=SHEETS[sheet])
    assert_legible(figure, list(shown(figure)))
    bare = run().drop_vars(["alignment_region", "alignment_matched", "alignment_score_twins"])
    bare["alignment_ceiling"][:] = np.nan
    figure = alignment_figure(bare, sheet=SHEETS[sheet])
    assert len(figure.axes) == 2
    assert_legible(figure, list(shown(figure)))


def test_the_rank_among_random_masks_is_told_on_either_side() -> None:
    masks = np.tile(np.arange(19.0), (3, 1))
    np.testing.assert_allclose(chance_of_rank(np.array([99.0, -1.0, 9.0]), masks), [0.05, 0.05, 0.55])


def test_why_there_is_nothing_to_draw_is_said_and_steps_without_it_are_left_out() -> None:
    without = planted_run(STEPS, DOMAINS[:2])
    assert "observe with the instrument alignment" in (no_alignment(without) or "")
    assert FIGURES["alignment"].lacking(run()) is None
    some = run().copy(deep=True)
    own = [name for name in some.data_vars if str(name).startswith("alignment")]
    for name in own:
        some[name][1::2] = np.nan
    assert len(np.asarray(named(alignment_figure(some).axes[0], "_mean")[0].get_xdata())) == (len(STEPS) + 1) // 2
    assert precedences(some)[0].answer == "confirmed"
    for name in own:
        some[name][:] = np.nan
    assert no_alignment(some) == "alignment_mean is missing at every step"
