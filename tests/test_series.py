"""Any two curves of a run beside one another: regions, the loss, imported benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from recorded import recorded
from scipy.special import expit
from verdicts import planted

from observatory import Logbook, open_logbook
from observatory.cli import main
from observatory.observation import Array
from observatory.record.benchmarks import Benchmarks
from observatory.record.benchmarks import BenchmarkScore as Score
from observatory.review.effects.change import Series
from observatory.review.effects.lead import Lead, lead
from observatory.review.effects.lead_text import lead_text
from observatory.review.effects.series import series

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
STEPS = sorted({0, *(round(10 ** (k / 5)) for k in range(21))})


def rise(middle: float, steps: list[int] = STEPS) -> Array:
    curve: Array = expit((np.log1p(steps) - middle) / 0.4)
    return curve


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`early` rises at 3 and `late` at 6, the loss falls at 4 and wsc at 5, where piqa rises, in log(1 + step)."""
    logbook = planted(STEPS, {"early": 0.8 * rise(3), "late": 0.8 * rise(6), "lost": np.full(len(STEPS), np.nan)})
    logbook["train_loss"] = ("step", 10 - 7 * rise(4))
    path = recorded(tmp_path_factory.mktemp("run") / "o.h5", logbook)
    later = STEPS[3:]
    scores = [
        *(Score(step, "piqa/acc", 0.5 + 0.3 * y, 0.01) for step, y in zip(later, rise(5, later), strict=True)),
        *(Score(step, "wsc/acc", 0.6 - 0.2 * y, None) for step, y in zip(later, rise(5, later), strict=True)),
        Score(10, "few/acc", 0.5, 0.1),
    ]
    with Logbook(path) as book:
        book.add_benchmarks(Benchmarks(tuple(scores), model="m"))
    return path


@pytest.fixture(scope="module")
def logbook(file: Path) -> xr.Dataset:
    return open_logbook(file)


def test_a_domain_is_its_index_with_its_resamples(logbook: xr.Dataset) -> None:
    found = series(logbook, "early")
    assert found.name == "early (mlp, last)"
    np.testing.assert_array_equal(found.steps, STEPS)
    here = logbook.sel(domain="early", space="mlp", pooling="last")
    np.testing.assert_allclose(found.values, here["contrast_index"])
    draws = here["contrast_index_resampled"].values
    assert found.replicates is not None
    expected = draws.T - draws.mean(1) + here["contrast_index"].values
    np.testing.assert_allclose(found.replicates, expected)


def test_a_benchmark_has_its_errors_where_it_reports_them(logbook: xr.Dataset) -> None:
    piqa, wsc = series(logbook, "piqa/acc"), series(logbook, "wsc/acc")
    np.testing.assert_array_equal(piqa.steps, STEPS[3:])
    np.testing.assert_allclose(piqa.values, 0.5 + 0.3 * rise(5, STEPS[3:]))
    assert piqa.errors is not None
    assert piqa.errors.tolist() == [0.01] * len(STEPS[3:])
    assert wsc.errors is None


def test_a_number_a_step_is_a_series_too(logbook: xr.Dataset) -> None:
    found = series(logbook, "train_loss")
    np.testing.assert_allclose(found.values, 10 - 7 * rise(4))
    assert found.replicates is None


def test_the_noise_of_a_number_a_step_is_judged_by_its_neighbours(logbook: xr.Dataset) -> None:
    """So that a region and the loss, of whose noise nothing is recorded, can be told apart with an interval."""
    logbook = logbook.copy(deep=True)
    noise = 0.2 * np.random.default_rng(0).standard_normal(len(logbook["step"]))
    logbook["train_loss"] = ("step", 5.0 + noise)
    errors = series(logbook, "train_loss").errors
    assert errors is not None
    assert 0.1 < errors.min() <= np.median(errors) < 0.35
    logbook["train_loss"][2:] = np.nan  # two observations have no neighbour on both sides
    assert series(logbook, "train_loss").errors is None


PAIRS = {
    ("early", "late"): (3.0, (False, False), "comes first"),
    ("early", "train_loss"): (1.0, (False, True), "early (mlp, last) comes first"),
    ("train_loss", "early"): (-1.0, (True, False), "early (mlp, last) comes first"),
    ("early", "piqa/acc"): (2.0, (False, False), "early (mlp, last) comes first"),
    ("train_loss", "wsc/acc"): (1.0, (True, True), "no interval"),
    ("piqa/acc", "wsc/acc"): (0.0, (False, True), "no interval"),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_planted_lead_is_found_and_the_direction_of_each_is_told(
    pair: tuple[str, str], logbook: xr.Dataset
) -> None:
    """A benchmark that gets worse used to be turned without a word, as if it had risen."""
    lag, falling, words = PAIRS[pair]
    found = lead(series(logbook, pair[0]), series(logbook, pair[1]))
    assert found.halfway is not None
    assert found.halfway.lag == pytest.approx(lag, abs=0.15)
    assert found.falling == falling
    told = lead_text(found)
    assert words in told
    for name, falls in zip((found.first, found.second), falling, strict=True):
        assert (f"{name} (falling)" in told) == falls
    assert f"steps of {found.first}{' (falling)' if falling[0] else ''}" in told


def test_the_command_says_it_in_a_line_each(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["lead", str(file), "early", "wsc/acc"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("half of the way: wsc/acc (falling) at ")
    assert lines[0].endswith(" times the steps of early (mlp, last) (no interval)")
    assert lines[1].startswith("best shift: wsc/acc (falling) at ")
    assert lines[2] == "can't say more: there is no interval, because wsc/acc has neither replicates nor errors"


def test_unknown_names_list_what_there_is(file: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["lead", str(file), "early", "earley"])
    told = str(caught.value)
    assert told.startswith("observatory: no curve 'earley' in this logbook; there are early, late, lost, ")
    for name in ("piqa/acc", "wsc/acc", "few/acc", "train_loss"):
        assert name in told
    assert "contrast_index" not in told


def test_a_domain_of_which_nothing_can_be_said_has_no_curve(file: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["lead", str(file), "early", "lost"])
    assert str(caught.value).startswith(
        "observatory: lost has no curve to compare: the index is missing at every observation"
    )


def test_a_logbook_without_twins_says_what_is_missing(logbook: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="early has no curve to compare: no re-initialised twins were measured"):
        series(logbook.drop_vars("contrast_index_twins"), "early")


def test_a_series_that_is_too_short_gives_a_reason_and_no_direction(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["lead", str(file), "few/acc", "train_loss"])
    assert capsys.readouterr().out == "can't say: few/acc has 1 finite observations, and a lead needs 6\n"


def test_benchmarks_alone_can_be_compared(tmp_path: Path) -> None:
    path = tmp_path / "b.h5"
    scores = [
        Score(step, name, y, 0.01) for name, m in (("a", 3), ("b", 5)) for step, y in zip(STEPS, rise(m), strict=True)
    ]
    with Logbook(path) as book:
        book.add_benchmarks(Benchmarks(tuple(scores), model="m"))
    opened = open_logbook(path)
    found = lead(series(opened, "a"), series(opened, "b"))
    assert found.halfway is not None
    assert found.halfway.lag == pytest.approx(2, abs=0.1)
    with pytest.raises(ValueError, match="no curve 'c' in this logbook; there are a, b"):
        series(opened, "c")


def test_of_series_that_say_nothing_the_direction_is_left_open() -> None:
    flat = Series("flat", np.array(STEPS), np.zeros(len(STEPS)))
    falls = Series("falls", np.array(STEPS), -rise(4))
    assert lead(falls, flat) == Lead("falls", "flat", None, None, "flat is constant")
