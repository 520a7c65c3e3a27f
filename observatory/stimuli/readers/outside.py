"""Representations from outside: one NPZ or HDF5 file of named arrays, or a CSV, or a folder of CSVs.

The arrays are `stimuli`, perhaps `group`, exactly one of responses, dissimilarities, ratings and triplets, and with
triplets perhaps `odd`, where the odd one is not the last of its row. What is called otherwise is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import BadZipFile
from zlib import error as BadDeflate

import numpy as np

from observatory.observation import Array
from observatory.stimuli.outside import KINDS, Outside, outside
from observatory.stimuli.readers.outside_csv import csv_file, csv_folder

Arrays = Mapping[str, Array]
_NAMES = ("stimuli", "group", *KINDS, "odd")


def read_outside(source: str | Path, name: str | None = None) -> Outside:
    """Called as its file or folder unless named otherwise."""
    path = Path(source)
    if path.is_dir():
        return _outside(name or path.name, path, csv_folder(path))
    if not path.is_file():
        raise ValueError(f"there is no file or folder at {path}; give one as docs/instruments.md describes")
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"{path} is none of {', '.join(_FORMATS)}, nor a folder of CSV files; save it as one of them")
    return _outside(name or path.stem, path, _FORMATS[path.suffix.lower()](path))


def _outside(name: str, where: Path, arrays: Arrays) -> Outside:
    unknown = [key for key in arrays if key not in _NAMES]
    if unknown:
        raise ValueError(f"{where} holds {unknown[0]!r}, which is not known; there are {', '.join(_NAMES)}")
    if "stimuli" not in arrays:
        raise ValueError(f"{where} has no stimuli; it holds {', '.join(arrays) or 'nothing'}")
    kinds = [kind for kind in KINDS if kind in arrays]
    if len(kinds) != 1:
        raise ValueError(
            f"{where} holds {' and '.join(kinds) or 'no data'}; give exactly one of {', '.join(KINDS)} in a file"
        )
    (kind,) = kinds
    values = arrays[kind]
    if "odd" in arrays:
        values = _odd_last(where, kind, values, arrays["odd"])
    groups = None if "group" not in arrays else _texts(where, "group", arrays["group"])
    return outside(name, _texts(where, "stimuli", arrays["stimuli"]), groups, kind, values)


def _texts(where: Path, name: str, values: Array) -> list[str]:
    if values.ndim != 1:
        raise ValueError(f"{name} of {where} is a list with one entry a stimulus; got shape {values.shape}")
    if values.dtype.kind not in ("U" if name == "stimuli" else "Uiu"):
        raise ValueError(f"{name} of {where} are {values.dtype} values and should be texts; save them as dtype str")
    return [str(one) for one in values]


def _odd_last(where: Path, kind: str, triplets: Array, odd: Array) -> Array:
    """Each row with the one that `odd` names moved to its end."""
    if kind != "triplets" or triplets.ndim != 2 or triplets.shape[1] != 3 or odd.shape != triplets.shape[:1]:
        raise ValueError(
            f"odd of {where} names one stimulus for each of its triplets; got shape {odd.shape} beside {kind} of shape "
            f"{triplets.shape}"
        )
    here = triplets == odd[:, None]
    wrong = np.flatnonzero(here.sum(1) != 1)
    if wrong.size:
        raise ValueError(f"odd of {where} names none or several of the three in row {int(wrong[0])}")
    return np.concatenate([triplets[~here].reshape(-1, 2), odd[:, None]], axis=1)


def _npz(path: Path) -> Arrays:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
    except (ValueError, OSError, EOFError, KeyError, TypeError, BadZipFile, BadDeflate) as error:
        raise ValueError(
            f"{path} cannot be read as an NPZ file of plain arrays ({error}); texts are saved as "
            f"np.array(texts, dtype=str), and nothing that needs pickle is read"
        ) from error
    return {name: np.char.decode(one, "utf-8") if one.dtype.kind == "S" else one for name, one in arrays.items()}


def _hdf5(path: Path) -> Arrays:
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path, "r") as opened:
            found = {}
            for name in opened:
                plain = isinstance(opened.get(name, getlink=True), h5py.HardLink)
                if not plain or not isinstance(opened[name], h5py.Dataset):
                    raise ValueError(f"{name!r} is not a dataset of the file itself")
                dataset = opened[name]
                text = h5py.check_string_dtype(dataset.dtype) is not None
                found[name] = np.array(dataset.asstr()[...], dtype=str) if text else np.asarray(dataset[...])
            return found
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as an HDF5 file of datasets ({error})") from error


_FORMATS: Mapping[str, Callable[[Path], Arrays]] = {".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5, ".csv": csv_file}
