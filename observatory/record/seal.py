"""The last bytes of a product: a checksum of all before them, since HDF5 has none, and some changed bytes kill it.

HDF5 takes no notice of what follows the end that it knows of. A program that changes the file through HDF5 cuts it off.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

CHECKED_BELOW = 256 * 2**20
"""Bytes; a larger file is read as it is used, and never whole."""
_MARK = b"\x89ObsSeal"
_seal = struct.Struct("<8sI")
_BLOCK = 1 << 20


def seal(image: memoryview) -> bytes:
    """What is written after it."""
    return _seal.pack(_MARK, zlib.crc32(image))


def broken(path: Path) -> bool:
    """Whether bytes have changed since; of a file without a seal, or a large one, that is not known."""
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size - _seal.size
        if not 0 <= left < CHECKED_BELOW:
            return False
        file.seek(left)
        mark, told = _seal.unpack(file.read())
        if mark != _MARK:
            return False
        file.seek(0)
        found = 0
        while left and (block := file.read(min(_BLOCK, left))):
            left -= len(block)
            found = zlib.crc32(block, found)
    return bool(found != told)
