"""Does a file hold what it says that it holds? What is read further on need not ask again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from observatory.record.identity import DamagedLogbook
from observatory.record.names import COORDINATES, GAPS, RECORDED, RECORDED_NAME, repeated_label

if TYPE_CHECKING:
    import xarray

_OWN: Mapping[str, tuple[tuple[str, ...], str]] = {
    **{name: (("step",), "iu" if name in ("step", "tokens") else "fM") for name in COORDINATES},
    RECORDED: (("step", RECORDED_NAME), "iu"),
    RECORDED_NAME: ((RECORDED_NAME,), "OUT"),
    **{name: (("gap",), kinds) for name, kinds in zip(GAPS[1:], ("iu", "OUT", "iu", "fM"), strict=True)},
}
"""The file's own variables: their axes, and of which kinds of numpy's their values may be."""
_IMPORTED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "benchmark_step": (("benchmark_step",), "iu"),
    "benchmark": (("benchmark",), "OUT"),
    **dict.fromkeys(("benchmark_score", "benchmark_error"), (("benchmark_step", "benchmark"), "f")),
}
"""The same of imported results, where there are some."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever comes of damaged bytes is one error: they fail in every way there is."""
    try:
        yield
    except (DamagedLogbook, FileNotFoundError, PermissionError):
        raise
    except MemoryError as error:
        raise DamagedLogbook(f"{path} says that it holds more than there is memory; it is damaged") from error
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DamagedLogbook(f"{path} is damaged, or was changed by another program ({words})") from error


def refuse_contradictions(dataset: xarray.Dataset, path: Path) -> None:
    """A DamagedLogbook with the first thing that is not as the specification has it."""
    if reason := next(_contradictions(dataset), None):
        raise DamagedLogbook(f"{path} is damaged, or was changed by another program: {reason}")


def refuse_unsound(path: Path) -> None:
    """Before anything is made of it."""
    import xarray

    with reading(path), xarray.open_dataset(path, engine="h5netcdf", phony_dims="access") as dataset:
        refuse_contradictions(dataset, path)


def _contradictions(dataset: xarray.Dataset) -> Iterator[str]:
    yield from _misshapen(dataset, _OWN)
    steps = dataset["step"].values
    if len(steps) and (steps[0] < 0 or (np.diff(steps) <= 0).any()):
        yield "its steps do not ascend from 0 on"
    names = [str(name) for name in dataset[RECORDED_NAME].values.tolist()]
    for name in names:
        if name not in dataset.variables:
            yield f"it lacks {name!r}, which it says was recorded"
            continue
        found = dataset[name]
        if found.dims[:1] not in (("step",), (name,)) or len(set(found.dims)) < found.ndim:
            yield f"{name!r} is {_form(found)}, and was recorded by step"
        elif found.dtype.kind not in ("biufmM" if found.dims[0] == "step" else "iufOUT"):
            yield f"{name!r} holds {found.dtype}, and neither numbers nor labels"
        elif found.dims == (name,) and found.dtype.kind in "OUT" and (repeated := repeated_label(found.values)):
            yield f"{name!r} has the label {repeated} twice"
    if not _IMPORTED.keys() & names and _IMPORTED.keys() & set(dataset.variables):
        yield from _misshapen(dataset, _IMPORTED)


def _misshapen(dataset: xarray.Dataset, forms: Mapping[str, tuple[tuple[str, ...], str]]) -> Iterator[str]:
    for name, (dims, kinds) in forms.items():
        if name not in dataset.variables:
            yield f"it lacks {name!r}"
        elif dataset[name].dims != dims or dataset[name].dtype.kind not in kinds:
            yield f"{name!r} is {_form(dataset[name])}"


def _form(found: xarray.DataArray) -> str:
    return f"{found.dtype} along ({', '.join(map(str, found.dims))})"
