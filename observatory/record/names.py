"""Which names, texts and types a logbook can hold, and what is said to the rest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from observatory.observation import Array, Observation, Variable

Attribute = str | int | float

COORDINATES = ("step", "tokens", "time", "seconds")
GAPS = ("gap", "gap_step", "gap_reason", "gap_tokens", "gap_time")
RECORDED, RECORDED_NAME = "recorded", "recorded_name"
BENCHMARKS = ("benchmark", "benchmark_step", "benchmark_score", "benchmark_error", "benchmark_tokens")
RESERVED = frozenset((*COORDINATES, *GAPS, RECORDED, RECORDED_NAME, *BENCHMARKS))
"""Names of the file's own variables and dimensions."""

# What HDF5, netCDF and CF give a meaning of their own; a user's value there would change how others read.
_RESERVED_ATTRIBUTES = frozenset(
    {
        *("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS"),
        *("missing_value", "scale_factor", "add_offset", "calendar", "coordinates", "dtype", "original_dtype"),
    }
)
_NUMBERS = "biuf"


def admitted(observation: Observation) -> Observation:
    """The observation as the file can hold it, or a ValueError that says what it cannot hold."""
    labels = {name: _labels(name, values) for name, values in observation.coordinates.items()}
    variables = {name: _variable(name, variable) for name, variable in observation.variables.items()}
    if both := labels.keys() & variables.keys():
        raise ValueError(f"{min(both)!r} names both a variable and an axis; rename one")
    for name, variable in variables.items():
        if repeated := {dim for dim in variable.dims if variable.dims.count(dim) > 1}:
            raise ValueError(f"variable {name!r} has the axis {min(repeated)!r} twice; rename one")
    return replace(
        observation,
        step=step(observation.step),
        tokens=int(observation.tokens),
        time=moment(observation.time),
        seconds=float(observation.seconds),
        variables=variables,
        coordinates=labels,
        provenance={text(key): text(value) for key, value in observation.provenance.items()},
    )


def step(value: int) -> int:
    if not 0 <= (whole := int(value)) < 2**63:
        raise ValueError(f"a step is a whole number from 0 on, got {value}")
    return whole


def moment(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"a time is in seconds since 1970, got {value}")
    return float(value)


def reason(value: str) -> str:
    """An error's own words, whatever they are: a gap must not fail because of how its reason is spelled."""
    return str(value).encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def name(value: str) -> str:
    """A name that HDF5, netCDF-4 and xarray all accept."""
    text(value)
    if not value or value in RESERVED or "/" in value or not (value[0].isalnum() or value[0] == "_"):
        raise ValueError(
            f"{value!r} cannot name a variable or an axis of a logbook: names start with a letter, a digit or "
            f"'_', have no '/', and are none of {', '.join(sorted(RESERVED))}"
        )
    if not value.isprintable() or value != value.strip():
        raise ValueError(f"{value!r} cannot name a variable or an axis: it has invisible characters")
    return value


def text(value: str) -> str:
    """Text that HDF5's strings can carry: UTF-8 without a NUL."""
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {value!r} of type {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{value!r} is not valid Unicode, so no file can hold it as text") from error
    if "\0" in value:
        raise ValueError(f"{value!r} has a NUL character, which text in HDF5 cannot hold")
    return value


def label(value: str) -> str:
    """Text from elsewhere that stands in tables and legends: a `/` is fine, what cannot be seen is not."""
    if not text(value) or not value.isprintable() or value != value.strip():
        raise ValueError(f"{value!r} cannot be a label: it is empty or has invisible characters")
    return value


def attributes(given: Mapping[str, object]) -> dict[str, Attribute]:
    """Texts and numbers as they are, anything else as JSON text."""
    kept: dict[str, Attribute] = {}
    for key, value in given.items():
        if is_own_variable_attribute(key) or not key or "/" in text(key):
            raise ValueError(f"an attribute cannot be called {key!r}: that name means something to netCDF")
        kept[key] = _attribute(key, value)
    return kept


def is_own_variable_attribute(key: str) -> bool:
    """Whether an attribute of a variable is the file's and not the user's."""
    return key in _RESERVED_ATTRIBUTES or key.startswith("_")


def _attribute(key: str, value: object) -> Attribute:
    if isinstance(value, np.generic):
        value = value.item()
    whole = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if whole or isinstance(value, float):
        return value  # type: ignore[return-value]
    if isinstance(value, str):
        return text(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"attribute {key!r} is neither text, a number nor JSON: {error}") from error


def _variable(title: str, variable: Variable) -> Variable:
    name(title)
    for dim in variable.dims:
        name(dim)
    values = variable.values
    if values.dtype.kind not in _NUMBERS or values.dtype.itemsize > 8:
        raise ValueError(
            f"variable {title!r} is of type {values.dtype}; a logbook holds numbers of up to 64 bits and booleans"
        )
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return Variable(variable.dims, native, attributes(variable.attrs))


def repeated_label(labels: Array) -> str:
    """One that occurs twice, as it is written in Python; nothing where all differ."""
    seen: set[object] = set()
    for label in labels.tolist():
        if label in seen:
            return repr(label)
        seen.add(label)
    return ""


def _labels(title: str, values: Array) -> Array:
    name(title)
    labels = np.asarray(values)
    if labels.ndim != 1:
        raise ValueError(f"the labels of axis {title!r} must be a list, got an array of shape {labels.shape}")
    if labels.dtype.kind in "iuf" and labels.dtype.itemsize <= 8:
        return labels
    if labels.dtype.kind in "OUT":
        if repeated := repeated_label(labels):
            raise ValueError(f"the labels of axis {title!r} do not tell things apart: {repeated} occurs twice")
        return np.array([text(label) for label in labels.tolist()], dtype=str)
    raise ValueError(f"the labels of axis {title!r} are of type {labels.dtype}; they can be text or numbers")
