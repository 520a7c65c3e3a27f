"""The product: the journal's observations as one netCDF-4 file, built in memory, and read back."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np

from observatory.observation import Array, Gap
from observatory.record.benchmarks import Benchmarks, or_nan
from observatory.record.header import Form, Header
from observatory.record.ledger import Ledger
from observatory.record.names import RECORDED, RECORDED_NAME, Attribute
from observatory.record.payload import LEVEL, is_large, split, unpack

FORMAT, FORMAT_VERSION = "observatory-logbook", "1.1"
PACKAGES = ("observatory", "torch", "transformers", "lightning", "numpy", "h5py")
PROVENANCE = "provenance_"

_EPOCH = "seconds since 1970-01-01"
_NO_LABELS = "This is a netCDF dimension but not a netCDF variable."
_OWN = frozenset(
    ("format", "format_version", "journal", "journal_end", "coordinates", *(f"{p}_version" for p in PACKAGES))
)


def is_own_attribute(name: str) -> bool:
    """Whether the file itself gives this root attribute."""
    return name in _OWN or name.startswith(PROVENANCE)


def image(ledger: Ledger, end: int, read: Callable[[int], bytes]) -> memoryview:
    """The bytes of the file. `read` gives one observation's payload: only one is in memory at a time."""
    import h5py  # type: ignore[import-untyped]

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update(_root_attributes(ledger.header, end))
        steps = ledger.steps()
        names = ledger.names()
        header = ledger.header.keeping(names)
        scales = {"step": _scale(file, "step", np.array(steps, np.int64))}
        for name, size in header.sizes().items():
            scales[name] = _scale(file, name, header.coordinates.get(name, size))
        sets = {
            "tokens": _column(file, scales, "tokens", len(steps), np.int64, units="1"),
            "time": _column(file, scales, "time", len(steps), np.float64, units=_EPOCH, calendar="standard"),
            "seconds": _column(file, scales, "seconds", len(steps), np.float64, units="s"),
        }
        _write_recorded(file, scales, ledger, [*header.variables, *header.coordinates])
        for name, form in header.variables.items():
            complete = all(name in row.names for row in ledger.rows.values())
            sets[name] = _variable(file, scales, name, form, len(steps), complete)
        # HDF5 takes a few calls with many rows far better than many calls with a few bytes.
        small = {
            name: np.full(dataset.shape, dataset.fillvalue, dataset.dtype)
            for name, dataset in sets.items()
            if dataset.chunks is None
        }
        for row, step in enumerate(steps):
            meta, arrays = split(read(ledger.rows[step].position))
            for name in ("tokens", "time", "seconds"):
                small[name][row] = meta[name]
            for name, packed in arrays.items():
                if name in small:
                    small[name][row] = unpack(packed)
                else:
                    sets[name].id.write_direct_chunk((row,) + (0,) * len(packed.shape), packed.stored)
        for name, values in small.items():
            sets[name][...] = values
        _write_gaps(file, [ledger.gaps[step] for step in sorted(ledger.gaps)])
        if ledger.benchmarks.scores:
            _write_benchmarks(file, ledger.benchmarks, tokens_per_step(steps, small["tokens"].tolist()))
    return buffer.getbuffer()


def _root_attributes(header: Header, end: int) -> dict[str, Attribute]:
    versions = {f"{package}_version": _version(package) for package in PACKAGES}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **versions,
        **{PROVENANCE + key: value for key, value in header.provenance.items()},
        **header.attributes,
        "journal": header.journal,
        "journal_end": end,
        "coordinates": "tokens time seconds",
    }


@cache  # reading it takes longer than writing a small file
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _scale(file: Any, name: str, labels: Array | int) -> Any:
    """A dimension; one without labels is a dataset that netCDF knows to hide."""
    if isinstance(labels, int):
        dataset = file.create_dataset(name, (labels,), ">f4")
        dataset.make_scale(f"{_NO_LABELS}{labels:10d}")
    else:
        dataset = _dataset(file, name, labels)
        dataset.make_scale(name)
    return dataset


def _dataset(file: Any, name: str, values: Array) -> Any:
    import h5py

    if values.dtype.kind == "U":
        return file.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
    return file.create_dataset(name, data=values)


def _column(file: Any, scales: Mapping[str, Any], name: str, length: int, dtype: Any, **attrs: str) -> Any:
    dataset = file.create_dataset(name, (length,), dtype)
    dataset.dims[0].attach_scale(scales["step"])
    dataset.attrs.update(attrs)
    return dataset


def _variable(file: Any, scales: Mapping[str, Any], name: str, form: Form, length: int, complete: bool) -> Any:
    dtype = np.dtype(np.uint8) if form.dtype == bool else form.dtype
    storage: dict[str, Any] = {}
    if length and is_large(form.dtype, form.shape):
        storage = {"chunks": (1, *form.shape), "shuffle": True, "compression": "gzip", "compression_opts": LEVEL}
    dataset = file.create_dataset(name, (length, *form.shape), dtype, fillvalue=fill_value(dtype), **storage)
    for axis, dim in enumerate(("step", *form.dims)):
        dataset.dims[axis].attach_scale(scales[dim])
    dataset.attrs.update(form.attrs)
    if not complete:
        dataset.attrs.create("_FillValue", fill_value(dtype), dtype=dtype)
    if form.dtype == bool:
        dataset.attrs["original_dtype"] = "bool"
        if complete:
            dataset.attrs["dtype"] = "bool"  # by which xarray gives booleans; a missing one has no boolean
    return dataset


def fill_value(dtype: np.dtype[Any]) -> Any:
    """What stands where a variable was not measured: NaN, the smallest signed or the largest unsigned number."""
    if dtype.kind == "f":
        return dtype.type(np.nan)
    limits = np.iinfo(dtype)
    return dtype.type(limits.min if dtype.kind == "i" else limits.max)


def _write_recorded(file: Any, scales: dict[str, Any], ledger: Ledger, names: list[str]) -> None:
    """Which observation has which variable and labels: a fill value alone could be a measured value."""
    scales[RECORDED_NAME] = _scale(file, RECORDED_NAME, np.array(names, dtype=str))
    steps = ledger.steps()
    table = np.array([[name in ledger.rows[step].names for name in names] for step in steps], np.uint8)
    dataset = file.create_dataset(RECORDED, data=table.reshape(len(steps), len(names)))
    dataset.dims[0].attach_scale(scales["step"])
    dataset.dims[1].attach_scale(scales[RECORDED_NAME])
    dataset.attrs["long_name"] = "1 where the observation at this step has the variable or the axis"


def _write_gaps(file: Any, gaps: list[Gap]) -> None:
    scale = _scale(file, "gap", len(gaps))
    columns = {
        "gap_step": np.array([gap.step for gap in gaps], np.int64),
        "gap_reason": np.array([gap.reason for gap in gaps], dtype=str),
        "gap_tokens": np.array([gap.tokens for gap in gaps], np.int64),
        "gap_time": np.array([gap.time for gap in gaps], np.float64),
    }
    for name, values in columns.items():
        _dataset(file, name, values).dims[0].attach_scale(scale)
    file["gap_time"].attrs.update(units=_EPOCH, calendar="standard")


def _write_benchmarks(file: Any, benchmarks: Benchmarks, rate: int | None) -> None:
    """On axes of their own: checkpoints evaluated elsewhere are seldom just the observed steps."""
    steps = sorted({score.step for score in benchmarks.scores})
    labels = sorted({score.benchmark for score in benchmarks.scores})
    rows, columns = ({key: place for place, key in enumerate(axis)} for axis in (steps, labels))
    tables = {name: np.full((len(steps), len(labels)), np.nan) for name in ("benchmark_score", "benchmark_error")}
    for score in benchmarks.scores:
        place = rows[score.step], columns[score.benchmark]
        tables["benchmark_score"][place] = score.score
        tables["benchmark_error"][place] = or_nan(score.error)
    scales = [
        _scale(file, "benchmark_step", np.array(steps, np.int64)),
        _scale(file, "benchmark", np.array(labels, dtype=str)),
    ]
    for name, table in tables.items():
        dataset = _dataset(file, name, table)
        for axis, scale in enumerate(scales):
            dataset.dims[axis].attach_scale(scale)
    file["benchmark_score"].attrs.update(long_name="score reported elsewhere", model=benchmarks.model)
    file["benchmark_error"].attrs["long_name"] = "standard error reported with the score"
    if rate is not None and steps[-1] * rate < 2**63:
        dataset = _dataset(file, "benchmark_tokens", np.array(steps, np.int64) * rate)
        dataset.dims[0].attach_scale(scales[0])
        dataset.attrs.update(units="1", long_name=f"tokens up to the step, at the {rate} a step of the observations")
        file.attrs["coordinates"] += " benchmark_tokens"


def tokens_per_step(steps: Sequence[int], tokens: Sequence[int]) -> int | None:
    """The same whole number at every observed step after 0, and nothing at 0; None where it is not so."""
    later = {divmod(seen, step) if step else (0, seen) for step, seen in zip(steps, tokens, strict=True)} - {(0, 0)}
    rate, rest = later.pop() if len(later) == 1 else (0, 0)
    return rate if rate > 0 and rest == 0 else None
