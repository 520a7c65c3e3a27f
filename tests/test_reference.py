"""Other runs as a band behind one's own: what it holds, what is refused, and that one's own stays in sight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from recorded import BATTERY, recorded
from scipy import stats
from verdicts import planted

from observatory.cli import main
from observatory.review.figures.reference import Reference
from observatory.review.figures.strength import strength
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.evidence import Criteria, evidence

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
STEPS = [0, 1, 3, 10, 30, 100, 300, 1000, 3000]


def run(height: float, steps: list[int] = STEPS, **settings: int) -> xr.Dataset:
    rise = 1 / (1 + np.exp(-(np.log1p(steps) - np.log1p(100)) / 0.4))
    return planted(steps, {"math": height * rise, "social": 0.5 * height * rise}, **settings)


@pytest.fixture(scope="module")
def references() -> dict[str, xr.Dataset]:
    return {f"seed{number}": run(height) for number, height in enumerate((0.6, 0.7, 0.9, 1.0))}


def test_the_band_of_several_is_where_one_more_of_them_would_lie(references: dict[str, xr.Dataset]) -> None:
    """Student's t for a new value beside four."""
    band = Reference.of(run(1), references).bands("mlp", "last")["social"]
    ends = [float(one["contrast_index"].sel(domain="social").values[-1, 0, 0]) for one in references.values()]
    half = stats.t.ppf(0.975, 3) * np.std(ends, ddof=1) * np.sqrt(1 + 1 / 4)
    assert (band.low[-1], band.middle[-1], band.high[-1]) == pytest.approx(
        (np.mean(ends) - half, np.mean(ends), np.mean(ends) + half)
    )
    assert band.counts.tolist() == [2048 * step for step in STEPS]
    assert band.runs == 4
    short = {"seed0": references["seed0"], "seed1": references["seed1"].isel(step=slice(5))}
    assert (
        np.isnan(Reference.of(run(1), short).bands("mlp", "last")["math"].middle).tolist() == [False] * 5 + [True] * 4
    )


def test_the_band_of_one_is_that_of_its_stimuli(references: dict[str, xr.Dataset]) -> None:
    one = references["seed0"]
    band = Reference.of(run(1), {"seed0": one}).bands("heads", "mean")["math"]
    found = evidence(one, Criteria()).sel(domain="math", space="heads", pooling="mean")
    assert band.middle == pytest.approx(found["index"].values)
    assert (band.low, band.high) == (pytest.approx(found["low"].values), pytest.approx(found["high"].values))
    assert Reference.of(run(1), {"seed0": one}).bands("nowhere", "mean") == {}


def test_other_batteries_and_other_units_are_refused() -> None:
    own, other = run(1).assign_attrs(provenance_battery="aaa"), run(1).assign_attrs(provenance_battery="bbb")
    with pytest.raises(ValueError, match="this run has aaa, and theirs has bbb"):
        Reference.of(own, {"theirs": other})
    with pytest.raises(ValueError, match=r"this run counts tokens and theirs steps.*tokens_per_step"):
        Reference.of(run(1), {"theirs": run(1, tokens=0)})
    with pytest.raises(ValueError, match="one logbook or more; got none"):
        Reference.of(run(1), {})
    assert Reference.of(run(1, tokens=0), {"theirs": run(1, tokens=0)}).bands("mlp", "last")["math"].counts[-1] == 3000


def test_it_is_drawn_on_the_tokens_of_ones_own_run_and_hides_nothing(references: dict[str, xr.Dataset]) -> None:
    """The references saw four times the tokens in a step; at one's own last tokens they were where they were then."""
    own = run(0.1, STEPS[:-1])
    slower = {name: one.assign_coords(tokens=4 * one["tokens"]) for name, one in references.items()}
    figure = strength(own, reference=Reference.of(own, slower))
    axis = TokenAxis.of(own)
    alone = strength(own)
    for panel, before in zip(figure.axes[:2], alone.axes[:2], strict=True):
        middles = [line for line in panel.lines if line.get_label() == "_reference"]
        assert len(middles) == 2
        at = np.asarray(middles[0].get_xdata())
        assert at == pytest.approx(axis.at(4 * 2048 * np.array(STEPS)))
        low, high = panel.get_ylim()
        inside = np.asarray(middles[0].get_ydata())[at <= axis.limits[1]]
        assert low <= before.get_ylim()[0] < before.get_ylim()[1] <= high
        assert inside.max() <= high < 1.2
        assert panel.get_xlim() == before.get_xlim()
        assert all(middle.get_zorder() < 2 for middle in middles)
    told = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert {"reference, mean of 4 runs", "one more of them, 95%"} <= told
    one = strength(own, reference=Reference.of(own, {"one": run(1)}))
    assert "reference, 95% over stimuli" in {text.get_text() for text in one.legends[1].get_texts()}


def test_the_command_takes_one_reference_or_several(tmp_path: Path) -> None:
    own, one, two = (recorded(tmp_path / f"{name}.h5", run(1, STEPS[:3])) for name in ("own", "one", "two"))
    for given, words, others in (
        (str(one), "reference run", "mean of"),
        (f"[{one}, {two}]", "mean of 2 runs", "reference run"),
    ):
        main(["plot", str(own), "--out", str(tmp_path / "figures"), "--reference", given])
        drawn = (tmp_path / "figures" / "strength.svg").read_text()
        assert words in drawn
        assert others not in drawn
    other = recorded(tmp_path / "other.h5", run(1), {**BATTERY, "battery": "c" * 12})
    with pytest.raises(SystemExit, match="comparable only on one battery"):
        main(["plot", str(own), "--out", str(tmp_path / "x"), "--reference", str(other)])
