"""Reading a logbook, finished or running, as an xarray Dataset."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from observatory.record.identity import identify
from observatory.record.recovery import journal_path
from observatory.record.sound import reading, refuse_contradictions

if TYPE_CHECKING:
    import os

    import xarray

LOADED_BELOW = 256 * 2**20
"""Bytes of a file that is read at once."""


def open_logbook(path: str | os.PathLike[str]) -> xarray.Dataset:
    """What a logbook holds, also while a training run is still writing it.

    A file under 256 MiB is loaded; a larger one is read as it is used, and then the Dataset should be closed.
    Either way it stays as it was when it was opened: a writer puts a new file in its place and never changes
    the one being read. Open it again to see later steps.
    """
    import xarray

    path = Path(path)
    if not path.exists() and journal_path(path).exists():
        raise FileNotFoundError(
            errno.ENOENT, "only its journal is there; observatory.Logbook(path).close() makes the file", str(path)
        )
    identify(path)
    with reading(path), ExitStack() as opened:
        dataset = opened.enter_context(xarray.open_dataset(path, engine="h5netcdf", phony_dims="access"))
        refuse_contradictions(dataset, path)
        if path.stat().st_size < LOADED_BELOW:
            return dataset.load()
        opened.pop_all()
    return dataset
