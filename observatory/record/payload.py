"""A frame's payload: one JSON object, then the bytes of the arrays that it names. Nothing in it is executable."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from observatory.observation import Array

LARGE = 4096
"""Arrays of this many bytes or more are shuffled and deflated; below it, compression saves nothing."""
LEVEL = 1
"""On shuffled float scores levels 1 to 4 come to within 1% of each other's size (benchmarks/logbook.py)."""

_length = struct.Struct("<I")


class Packed(NamedTuple):
    """An array as it is stored: in the journal, and byte for byte as one chunk of the HDF5 product."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    stored: bytes | memoryview


def is_large(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    return dtype.itemsize * math.prod(shape) >= LARGE


def pack(values: Array) -> Packed:
    """The bytes that HDF5's shuffle and deflate filters would make, so that publishing needs no compression."""
    dtype = values.dtype.newbyteorder("<")
    raw = values.astype(dtype, copy=False).tobytes()
    if not is_large(dtype, values.shape):
        return Packed(dtype, values.shape, raw)
    shuffled = np.frombuffer(raw, np.uint8).reshape(-1, dtype.itemsize).T.tobytes()
    return Packed(dtype, values.shape, zlib.compress(shuffled, LEVEL))


def unpack(packed: Packed) -> Array:
    dtype, shape, stored = packed
    if not is_large(dtype, shape):
        return np.frombuffer(stored, dtype).reshape(shape).copy()
    planes = np.frombuffer(zlib.decompress(stored), np.uint8).reshape(dtype.itemsize, -1)
    return planes.T.copy().view(dtype).reshape(shape)


def join(meta: Mapping[str, Any], arrays: Mapping[str, Packed] | None = None) -> bytes:
    """The payload that says `meta` and carries `arrays`."""
    arrays = arrays or {}
    table = [(name, packed.dtype.str, packed.shape, len(packed.stored)) for name, packed in arrays.items()]
    head = json.dumps({"meta": meta, "arrays": table}, ensure_ascii=False).encode()
    return b"".join((_length.pack(len(head)), head, *(packed.stored for packed in arrays.values())))


def split(payload: bytes) -> tuple[dict[str, Any], dict[str, Packed]]:
    """What `join` was given. The arrays stay packed until somebody wants them."""
    (length,) = _length.unpack_from(payload)
    position = _length.size + length
    head = json.loads(payload[_length.size : position])
    view, arrays = memoryview(payload), {}
    for name, dtype, shape, size in head["arrays"]:
        arrays[name] = Packed(np.dtype(dtype), tuple(shape), view[position : position + size])
        position += size
    return head["meta"], arrays
