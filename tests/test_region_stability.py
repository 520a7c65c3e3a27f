"""How much of a region stays: the figure beside a count by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from pictures import named, panels
from planted_run import DOMAINS, TEN, planted_run

from observatory.review.figures.region_stability import kept, no_regions, region_stability
from observatory.review.judge.evidence import Criteria, evidence


@cache
def run() -> xr.Dataset:
    return planted_run(TEN)


def by_hand(one: set[int], other: set[int], units: int) -> float:
    """Jaccard above what two random sets of these sizes share."""
    chance = len(one) * len(other) / units
    expected = chance / (len(one) + len(other) - chance)
    return (len(one & other) / len(one | other) - expected) / (1 - expected)


def test_both_panels_show_what_a_count_by_hand_gives() -> None:
    masks = run()["contrast_region_mlp"].sel(pooling="mean").values.reshape(len(TEN), 4, 80)
    sets = [[set(np.flatnonzero(mask).tolist()) for mask in step] for step in masks]
    before, final = panels(region_stability(run()))
    for place, domain in enumerate(DOMAINS[:4]):
        own = [step[place] for step in sets]
        expected = [np.nan, *(by_hand(a, b, 80) for a, b in zip(own[1:], own[:-1], strict=True))]
        np.testing.assert_allclose(named(before, domain)[0].get_ydata(), expected)
        expected = [*(by_hand(a, own[-1], 80) for a in own[:-1]), np.nan]
        np.testing.assert_allclose(named(final, domain)[0].get_ydata(), expected)


def test_it_says_what_chance_gives_and_marks_the_steps_at_which_there_is_a_region() -> None:
    figure = region_stability(run())
    found = evidence(run(), Criteria())
    p = found["level_p"].sel(level="selective", space="mlp", pooling="mean", domain="math")
    for panel in panels(figure):
        assert np.asarray(named(panel, "_chance")[0].get_ydata()).tolist() == [0, 0]
        assert named(panel, "_missed")
        assert named(panel, "_doubted")
    (line,) = named(panels(figure)[1], "math")
    at = np.asarray(line.get_xdata())[(p <= found.attrs["alpha_of_readout"]).values]
    full = named(panels(figure)[1], "_passes")[1]
    np.testing.assert_allclose(np.asarray(full.get_xdata()), at[:-1])  # the last is not compared with itself


def test_what_cannot_be_compared_is_said() -> None:
    assert no_regions(run().isel(step=[0])) == "regions were looked for at one step alone"
    with pytest.raises(ValueError, match="contrast_region_heads was not recorded"):
        region_stability(run(), space="heads")
    assert set(kept(run(), "mlp", "last")) == {"observation before", "last observation"}
