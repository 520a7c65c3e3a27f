"""The journal's frames again, out of a product that has lost its journal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from observatory.observation import Array, Gap, Observation, Variable
from observatory.record.benchmarks import Benchmarks, BenchmarkScore, or_none
from observatory.record.header import Form, Header, Stamp
from observatory.record.journal import Frame
from observatory.record.ledger import benchmarks_frame, gap_frame, header_frame, observation_frame
from observatory.record.names import RECORDED, RECORDED_NAME, is_own_variable_attribute
from observatory.record.product import PROVENANCE, is_own_attribute
from observatory.record.sound import reading, refuse_unsound


def frames(path: Path, journal: str, made_from: Stamp) -> Iterator[Frame]:
    """A header, the observations, the gaps and the benchmarks; one observation is in memory at a time."""
    import h5py  # type: ignore[import-untyped]

    refuse_unsound(path)
    with reading(path), h5py.File(path, "r", locking=False) as file:
        header = _header(file, journal, made_from)
        yield header_frame(header)
        names = file[RECORDED_NAME].asstr()[...].tolist()
        for row in range(len(file["step"])):
            there = {name for name, here in zip(names, file[RECORDED][row], strict=True) if here}
            yield observation_frame(_observation(file, header, row, there))
        yield from (gap_frame(gap) for gap in _gaps(file))
        if "benchmark_score" in file and "benchmark_score" not in names:  # version 1.0 let an instrument call it so
            yield benchmarks_frame(_benchmarks(file))


def _header(file: Any, journal: str, made_from: Stamp) -> Header:
    root = {key: _plain(value) for key, value in file.attrs.items()}
    coordinates, variables = {}, {}
    for name in file[RECORDED_NAME].asstr()[...].tolist():
        dataset = file[name]
        if dataset.is_scale:
            coordinates[name] = _labels(dataset)
            continue
        dims = tuple(dim[0].name.removeprefix("/") for dim in dataset.dims)[1:]
        dtype = np.dtype(bool) if "original_dtype" in dataset.attrs else dataset.dtype
        attrs = {key: _plain(value) for key, value in dataset.attrs.items() if not is_own_variable_attribute(key)}
        variables[name] = Form(dims, dataset.shape[1:], dtype, attrs)
    return Header(
        journal=journal,
        made_from=made_from,
        attributes={key: value for key, value in root.items() if not is_own_attribute(key)},
        provenance={key.removeprefix(PROVENANCE): value for key, value in root.items() if key.startswith(PROVENANCE)},
        coordinates=coordinates,
        variables=variables,
    )


def _observation(file: Any, header: Header, row: int, there: set[str]) -> Observation:
    return Observation(
        step=int(file["step"][row]),
        tokens=int(file["tokens"][row]),
        time=float(file["time"][row]),
        seconds=float(file["seconds"][row]),
        variables={
            name: Variable(form.dims, np.asarray(file[name][row]).astype(form.dtype))
            for name, form in header.variables.items()
            if name in there
        },
        coordinates={name: labels for name, labels in header.coordinates.items() if name in there},
    )


def _gaps(file: Any) -> list[Gap]:
    columns = (
        file["gap_step"][...].tolist(),
        file["gap_reason"].asstr()[...].tolist(),
        file["gap_tokens"][...].tolist(),
        file["gap_time"][...].tolist(),
    )
    return [Gap(step, reason, tokens, time) for step, reason, tokens, time in zip(*columns, strict=True)]


def _benchmarks(file: Any) -> Benchmarks:
    labels = file["benchmark"].asstr()[...].tolist()
    rows = zip(
        file["benchmark_step"][...].tolist(),
        file["benchmark_score"][...].tolist(),
        file["benchmark_error"][...].tolist(),
        strict=True,
    )
    scores = (
        BenchmarkScore(step, label, score, or_none(error))
        for step, row, errors in rows
        for label, score, error in zip(labels, row, errors, strict=True)
        if not math.isnan(score)
    )
    return Benchmarks(tuple(scores), file["benchmark_score"].attrs["model"])


def _labels(dataset: Any) -> Array:
    if dataset.dtype.kind == "O":
        return np.array(dataset.asstr()[...].tolist(), dtype=str)
    return np.asarray(dataset[...])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
