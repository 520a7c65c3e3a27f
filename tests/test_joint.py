"""Everything on one time axis: what instruments say of themselves, when each thing changed, and the figure of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pictures import named, said
from planted_run import DOMAINS, TEN, planted_run, rise
from recorded import recorded
from scipy.special import expit
from verdicts import planted

from observatory import emergence, open_logbook
from observatory.cli import main
from observatory.observation import Array
from observatory.review.effects.change import Series, halfway
from observatory.review.effects.headlines import headlines
from observatory.review.effects.lead import lead
from observatory.review.effects.milestones import Milestone, milestones, no_milestones, precedences
from observatory.review.effects.series import series
from observatory.review.figures.joint import joint
from observatory.review.figures.style import looks
from observatory.review.figures.token_axis import TokenAxis

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
STEPS = sorted({0, *(round(10 ** (k / 8)) for k in range(33))})


def number(values: Array, **attrs: str) -> tuple[tuple[str, ...], Array, dict[str, str]]:
    return ("step",), np.asarray(values), attrs


def noise(size: float, seed: int) -> Array:
    drawn: Array = size * np.random.default_rng(seed).standard_normal(len(STEPS))
    return drawn


@pytest.fixture(scope="module")
def book() -> xr.Dataset:
    """Regions at steps 10, 15, 22 and 34, and instruments of other people that change at 30 and at 300."""
    run = planted_run(STEPS)
    seldom = np.where(np.arange(len(STEPS)) % 3 == 0, 5 + 3 * rise(STEPS, 30, 1.0) + noise(0.01, 0), np.nan)
    return run.assign(
        mine_of_all_early=number(seldom, headline=" early \n one "),
        mine_of_all_late=number(2 - 1.5 * rise(STEPS, 300, 1.0), headline="late one", error="late_error"),
        mine_of_all_late_error=number(np.full(len(STEPS), 0.05)),
        still_number=number(noise(1.0, 2), headline="still one"),
        gone_number=number(np.full(len(STEPS), np.nan), headline="gone"),
        plain_number=number(rise(STEPS, 50)),
        layered_number=(("step", "layer"), np.zeros((len(STEPS), 4)), {"headline": "no number a step"}),
    )


@pytest.fixture(scope="module")
def found(book: xr.Dataset) -> dict[str, Milestone]:
    return {one.name: one for one in milestones(book)}


# What instruments say of themselves


def test_a_headline_is_any_number_a_step_that_says_so_at_the_steps_at_which_it_was_measured(book: xr.Dataset) -> None:
    early, late, still = headlines(book)
    assert [early.name, late.name, still.name] == ["mine_of_all_early", "mine_of_all_late", "still_number"]
    assert [early.label, late.label] == ["early one", "late one"]
    np.testing.assert_array_equal(early.curve.steps, STEPS[::3])
    np.testing.assert_array_equal(early.curve.values, book["mine_of_all_early"].values[::3])
    assert early.curve.errors is not None
    assert 0 < np.median(early.curve.errors) < 0.3
    np.testing.assert_array_equal(late.curve.errors, np.full(len(STEPS), 0.05))


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf])
def test_an_error_that_is_none_gives_way_to_what_neighbours_tell(wrong: float, book: xr.Dataset) -> None:
    errors = np.full(len(STEPS), 0.05)
    errors[4] = wrong
    _, late, _ = headlines(book.assign(mine_of_all_late_error=number(errors)))
    assert late.curve.errors is not None
    assert (late.curve.errors != 0.05).all()


def test_noise_that_comes_late_is_not_taken_for_a_change_and_intervals_hold_the_truth() -> None:
    """One noise for a whole run called two thirds of such curves changed, and its intervals held the truth half the
    time."""
    x = np.log1p(STEPS)
    changed, held, trials = 0, 0, 60
    for trial in range(trials):
        draw = np.random.default_rng(trial)
        flicker = np.where(x > np.median(x), 1.0, 0.0) * draw.standard_normal(x.size)
        curve = expit((x - draw.uniform(3, 6)) / 0.5)
        noisy = curve + 0.1 * (0.02 + 2 * curve) * draw.standard_normal(x.size)
        told = xr.Dataset({"a_flicker": number(flicker), "a_curve": number(noisy)}, coords={"step": STEPS})
        changed += not isinstance(halfway(series(told, "a_flicker"), 100), str)
        true = halfway(Series("truth", np.array(STEPS), curve, errors=np.zeros(x.size)), 40)
        estimate = halfway(series(told, "a_curve"), 100)
        assert not isinstance(true, str)
        assert not isinstance(estimate, str)
        assert estimate.interval is not None
        held += estimate.interval[0] <= true.step <= estimate.interval[1]
    assert changed <= 0.15 * trials
    assert held >= 0.88 * trials


# When


def test_each_thing_stands_where_it_was_planted_the_earliest_first(
    book: xr.Dataset, found: dict[str, Milestone]
) -> None:
    early, late = found["mine_of_all_early"], found["mine_of_all_late"]
    assert early.step == pytest.approx(30, rel=0.25)
    assert late.step == pytest.approx(300, rel=0.1)
    assert late.halfway is not None
    assert late.halfway.interval is not None
    assert late.halfway.interval[0] < 300 < late.halfway.interval[1]
    assert (late.halfway.start, late.halfway.end) == pytest.approx((2, 0.5), abs=0.05)
    judged = emergence(book)
    for domain in DOMAINS[:4]:
        assert found[domain].step == judged.onsets[domain].crossing
    steps = [one.step for one in found.values()]
    assert steps == sorted(steps)
    assert set(found) >= {"train_loss", "benchmark_0/acc", "margin/math", "loss/math", "still_number"}
    assert "plain_number" not in found
    assert "has no net change" in found["still_number"].reason
    assert found["still_number"].halfway is None


def test_what_is_compared_is_half_of_the_way_and_is_what_the_command_tells(
    book: xr.Dataset, found: dict[str, Milestone], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chances = precedences(list(found.values()))
    for first, second in (("mine_of_all_late", "math"), ("train_loss", "mine_of_all_early"), ("math", "language")):
        told = lead(series(book, first), series(book, second)).halfway
        one, other = found[first].halfway, found[second].halfway
        assert told is not None
        assert one is not None
        assert other is not None
        assert told.before is not None
        assert told.ratio == pytest.approx((1 + other.step) / (1 + one.step))
        assert chances[first, second].before + chances[first, second].tie / 2 == pytest.approx(told.before, abs=0.05)
    assert ("still_number", "math") not in chances
    source = book[["mine_of_all_early", "mine_of_all_late", "mine_of_all_late_error"]]
    path = recorded(tmp_path / "o.h5", source)
    main(["lead", str(path), "mine_of_all_early", "mine_of_all_late"])
    assert "mine_of_all_early comes first" in capsys.readouterr().out


def test_a_logbook_with_one_kind_alone_has_no_joint_figure(book: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="nothing to set on one time axis: no instrument but one"):
        milestones(book[["contrast_index"]])
    assert no_milestones(book[["train_loss"]])
    assert no_milestones(book[["gone_number"]])
    assert no_milestones(book[["mine_of_all_late", "mine_of_all_late_error"]]) is None
    assert no_milestones(book) is None


# The figure


def test_marks_and_intervals_stand_where_the_times_are(book: xr.Dataset, found: dict[str, Milestone]) -> None:
    figure, axis = joint(book), TokenAxis.of(book)
    panel = figure.axes[0]
    drawn = [one for one in found.values() if one.verdict is not None or one.halfway is not None]
    assert [text.get_text() for text in panel.get_yticklabels()] == [one.label for one in drawn]
    halves = {line.get_xdata()[0] for line in named(panel, "_halfway")}
    assert halves == {float(axis.at_step(one.halfway.step)) for one in drawn if one.halfway is not None}
    onsets = [line.get_xdata()[0] for line in named(panel, "_onset")]
    assert onsets == [float(axis.at_step(found[name].step)) for name in DOMAINS[:4]]
    late = found["mine_of_all_late"].halfway
    assert late is not None
    ends = axis.at_step(late.interval)
    assert any(np.array_equal(line.get_xdata(), ends) for line in named(panel, "_halfway interval"))
    assert "No net change that noise might not make: still one." in said(figure)
    right = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert right[[one.name for one in drawn].index("mine_of_all_late")] == f"{late.start:.3g} → {late.end:.3g}"


def test_a_domain_has_the_mark_that_it_has_in_every_figure_whichever_is_first(book: xr.Dataset) -> None:
    turned = book.isel(domain=slice(None, None, -1))
    marks = [line.get_marker() for line in named(joint(turned).axes[0], "_onset")]
    assert marks == [look.marker for look in looks(DOMAINS[3::-1]).values()][::-1]


def test_the_ground_is_how_far_each_has_gone(book: xr.Dataset, found: dict[str, Milestone]) -> None:
    panel = joint(book).axes[0]
    drawn = [one for one in found.values() if one.halfway is not None]
    grounds = [mesh.get_array().ravel() for mesh in panel.collections if mesh.get_label() == "_ground"]
    late = grounds[drawn.index(found["mine_of_all_late"])]
    np.testing.assert_allclose(late, rise(STEPS, 300, 1.0), atol=0.05)


def test_a_region_that_has_not_emerged_is_an_arrow_and_one_from_the_start_another() -> None:
    values = {"never": np.zeros(len(TEN)), "always": np.ones(len(TEN))}
    run = planted(TEN, values, loss=True)
    panel = joint(run).axes[0]
    assert len(named(panel, "_not yet")) == 1
    assert len(named(panel, "_from the start")) == 1
    assert not named(panel, "_onset")


def test_many_rows_are_cut_to_what_can_be_read_and_two_observations_are_told_of() -> None:
    many = planted_run(TEN, DOMAINS)
    more = {f"x{n}_y": number(rise(TEN, 20 + n), headline=f"instrument {n}") for n in range(40)}
    figure = joint(many.assign(more))
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(labels) == 32
    assert set(DOMAINS) < set(labels)
    assert "more have a time; `observatory lead` knows them" in said(figure)
    few = joint(planted_run([0, 1000]))
    assert "No time: margin/language has 2 finite observations" in said(few)


def test_a_file_of_headlines_alone_is_enough(tmp_path: Path, book: xr.Dataset) -> None:
    source = book[["mine_of_all_early", "mine_of_all_late", "mine_of_all_late_error"]]
    opened = open_logbook(recorded(tmp_path / "o.h5", source))
    assert [one.label for one in headlines(opened)] == ["early one", "late one"]  # attributes are kept
    assert len(named(joint(opened).axes[0], "_halfway")) == 2


def test_a_replicate_that_ends_where_it_began_divides_nothing_by_nothing() -> None:
    """Its regression may lie below half of its way by rounding, everywhere."""
    draw = np.random.default_rng(69)
    count = int(draw.integers(6, 14))
    draw.random(count)
    level = draw.choice([0, 0.1, 0.3, 0.7], count) * draw.random()
    rows = np.tile(np.linspace(0, 1, count), (60, 1))
    rows[7] = level
    found = halfway(Series("one", np.arange(count), rows[0], replicates=rows), 200)
    assert not isinstance(found, str)
    assert np.isfinite(found.draws).all()
