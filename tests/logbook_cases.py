"""Observations whose values follow from their step and edition, so that a reader can tell what it has before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from observatory.observation import Array, Observation, Variable

DOMAINS = ("language", "mathematics", "social", "physical")
SPACES, POOLINGS = ("mlp", "residual"), ("last", "mean")
COORDINATES: dict[str, Array] = {
    "space": np.array(SPACES),
    "pooling": np.array(POOLINGS),
    "domain": np.array(DOMAINS),
    "layer": np.arange(3),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "observations.h5"


def journal_of(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


def observation(step: int, edition: int = 0, units: int = 512, **others: Variable) -> Observation:
    """A small index, a large map and a scalar; `edition` tells two recordings of one step apart."""
    base = np.float32(step + edition / 1000)
    index = base + np.arange(16, dtype=np.float32).reshape(2, 2, 4)
    return Observation(
        step=step,
        tokens=step * 4096,
        time=1.7e9 + step + 0.125,
        seconds=0.25,
        variables={
            "contrast_index": Variable(
                ("space", "pooling", "domain"), index, {"long_name": "emergence index", "units": "1"}
            ),
            "contrast_score": Variable(
                ("layer", "unit"), base + np.arange(3 * units, dtype=np.float32).reshape(3, units)
            ),
            "probe_edition": Variable((), np.int32(edition)),
            **others,
        },
        coordinates=COORDINATES,
        provenance={"battery": "b" * 12, "model": "m" * 12, "settings": "s" * 12},
    )


def assert_same(found: Observation | None, expected: Observation) -> None:
    """Equal in everything a reader can see, types included."""
    assert found is not None
    for name in ("step", "tokens", "time", "seconds", "provenance"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.variables.keys() == expected.variables.keys()
    for name, variable in expected.variables.items():
        assert found.variables[name].dims == variable.dims
        assert dict(found.variables[name].attrs) == dict(variable.attrs)
        assert found[name].dtype == variable.values.dtype
        np.testing.assert_array_equal(found[name], variable.values)
    assert found.coordinates.keys() == expected.coordinates.keys()
    for name, labels in expected.coordinates.items():
        assert found.coordinates[name].tolist() == labels.tolist()
