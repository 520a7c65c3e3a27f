"""The table at the end of a run."""

from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from observatory.review.summary import summary

SPACES, POOLINGS, DOMAINS = ["residual", "mlp"], ["last", "mean"], ["language", "math", "social"]
NAMES = {"contrast_index": 0.0, "contrast_specificity": 3.0, "contrast_generality": 6.0}


def logbook(steps: list[int]) -> xr.Dataset:
    """Every number differs from every other."""
    shape = (len(steps), 2, 2, 3)
    values = np.arange(np.prod(shape)).reshape(shape) / 50 - 0.4
    dims = ("step", "space", "pooling", "domain")
    coordinates = {"step": steps, "space": SPACES, "pooling": POOLINGS, "domain": DOMAINS}
    return xr.Dataset({name: (dims, values + more) for name, more in NAMES.items()}, coordinates)


def rows(source: xr.Dataset, space: str = "mlp") -> list[tuple[str, ...]]:
    table = summary(source, space)
    return list(zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True))


@pytest.mark.parametrize("space", SPACES)
def test_its_numbers_are_those_of_the_logbook(space: str) -> None:
    source = logbook([0, 10, 200])
    found = rows(source, space)
    assert [row[:2] for row in found] == [(domain, pooling) for domain in DOMAINS for pooling in POOLINGS]
    for domain, pooling, *cells in found:
        place = {"space": space, "pooling": pooling, "domain": domain}
        expected = [
            source["contrast_index"].sel(step=0, **place),
            source["contrast_index"].sel(step=200, **place),
            source["contrast_specificity"].sel(step=200, **place),
            source["contrast_generality"].sel(step=200, **place),
        ]
        assert cells == [f"{float(value):+.2f}" for value in expected]


def test_it_says_what_it_is_of() -> None:
    drawn = io.StringIO()
    Console(file=drawn, width=100).print(summary(logbook([0, 10, 200])))
    for words in ("mlp units", "at step 0 and step 200", "E at start", "E at end", "specific", "general"):
        assert words in drawn.getvalue()


def test_what_is_missing_is_a_dash() -> None:
    source = logbook([0, 10])
    source["contrast_specificity"][1, 1, 0, 1] = np.nan
    missing = [row for row in rows(source) if "-" in row]
    assert [row[:2] for row in missing] == [("math", "last")]
    assert missing[0][4] == "-"


def test_a_single_observation_is_both_start_and_end() -> None:
    for row in rows(logbook([7])):
        assert row[2] == row[3]


def test_no_observation_is_said_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="the logbook holds no observation yet, so there is nothing to sum up"):
        summary(xr.Dataset())
