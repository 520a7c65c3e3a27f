"""Is this file a logbook that we can read? One sentence where it is not."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from observatory.record.header import Stamp
from observatory.record.product import FORMAT, FORMAT_VERSION
from observatory.record.seal import broken

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class DamagedLogbook(ValueError):
    """An HDF5 file that cannot be relied upon: cut short, or overwritten in part."""


def identify(path: Path) -> Stamp:
    """The stamp of the logbook at `path`; an error with the reason where there is none."""
    import h5py  # type: ignore[import-untyped]

    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a logbook is a file, and this is a folder", str(path))
    try:
        with open(path, "rb") as file:
            signature = file.read(len(_SIGNATURE))
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "there is no logbook", str(path)) from None
    if signature != _SIGNATURE:
        raise ValueError(f"{path} is not a logbook: it is not an HDF5 file")
    if broken(path):
        raise DamagedLogbook(f"{path} is damaged: its bytes are not those that were written, as its checksum shows")
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = {key: str(file.attrs.get(key)) for key in ("format", "format_version", "journal", "journal_end")}
    except Exception as error:  # damaged bytes fail in every way there is
        raise DamagedLogbook(f"{path} is damaged, probably cut short while it was copied: {error}") from error
    version = re.match(r"\d+", found["format_version"])
    if found["format"] != FORMAT or version is None or not found["journal_end"].isdecimal():
        raise ValueError(f"{path} is an HDF5 file, but not a logbook: it does not say {FORMAT!r} as its format")
    if int(version[0]) > int(FORMAT_VERSION.partition(".")[0]):
        raise ValueError(
            f"{path} has logbook format {found['format_version']} and this observatory reads up to "
            f"{FORMAT_VERSION}; update it"
        )
    return Stamp(found["journal"], int(found["journal_end"]))


def identify_or_none(path: Path) -> Stamp | None:
    """None where there is nothing to lose: no file, or an empty one."""
    if not os.path.lexists(path) or (path.is_file() and path.stat().st_size == 0):
        return None
    return identify(path)
