"""Representations from outside: one content whatever the format, and every fault a sentence."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import pytest

from observatory.observation import Array
from observatory.stimuli.outside import Outside
from observatory.stimuli.readers import read_outside

COUNT = 12
TEXTS = [f'text {number}, "quoted" é' for number in range(COUNT)]
GROUPS = [f"g{number // 2}" for number in range(COUNT)]


def apart(subjects: int = 2) -> Array:
    points = np.random.default_rng(1).normal(size=(subjects, COUNT, 3))
    distances: Array = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    return distances


def data() -> dict[str, Array]:
    draw = np.random.default_rng(0)
    triplets = np.stack([draw.choice(COUNT, 3, replace=False) for _ in range(20)])
    responses = draw.normal(size=(COUNT, 4, 3))
    responses[2, 1, 0] = np.nan
    return {
        "responses": responses,
        "dissimilarities": apart(),
        "ratings": draw.integers(1, 8, size=(COUNT, 2)).astype(float),
        "triplets": triplets,
    }


def npz(folder: Path, arrays: Mapping[str, Any]) -> Path:
    np.savez(folder / "brain.npz", **arrays)
    return folder / "brain.npz"


def hdf5(folder: Path, arrays: Mapping[str, Any]) -> Path:
    with h5py.File(folder / "brain.h5", "w") as opened:
        for name, values in arrays.items():
            opened[name] = [str(one) for one in values] if np.asarray(values).dtype.kind == "U" else values
    return folder / "brain.h5"


def table(path: Path, header: list[str], rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(header)
        writer.writerows([["" if cell != cell else cell for cell in row] for row in rows])


def folder_of_csv(folder: Path, arrays: Mapping[str, Any]) -> Path:
    home = folder / "brain"
    home.mkdir()
    table(home / "stimuli.csv", ["stimulus", "group"], zip(arrays["stimuli"], arrays["group"], strict=True))
    if "responses" in arrays:
        for number, part in enumerate(np.moveaxis(arrays["responses"], 2, 0)):
            table(home / f"responses_{number + 9}.csv", [f"v{one}" for one in range(4)], part.tolist())
    if "dissimilarities" in arrays:
        for number, part in enumerate(arrays["dissimilarities"]):
            table(home / f"dissimilarities_{number}.csv", [f"t{one}" for one in range(COUNT)], part.tolist())
    if "ratings" in arrays:
        table(home / "ratings.csv", ["a", "b"], arrays["ratings"].tolist())
    if "triplets" in arrays:
        named = [[c, a, b, c] for a, b, c in arrays["triplets"].tolist()]
        table(home / "triplets.csv", ["first", "second", "third", "odd"], named)
    return home


FORMATS: dict[str, Callable[[Path, Mapping[str, Any]], Path]] = {"npz": npz, "hdf5": hdf5, "csv": folder_of_csv}


@pytest.mark.parametrize("kind", data())
def test_what_is_read_is_what_was_written_in_every_format(kind: str, tmp_path: Path) -> None:
    values = data()[kind]
    arrays = {"stimuli": np.array(TEXTS), "group": np.array(GROUPS), kind: values}
    read = [read_outside(write(tmp_path, arrays)) for write in FORMATS.values()]
    canonical = {"ratings": values[..., None]}.get(kind, values)
    for one in read:
        assert (one.name, one.kind, list(one.stimuli), list(one.groups)) == ("brain", kind, TEXTS, GROUPS)
        np.testing.assert_array_equal(one.values, canonical)
    assert len({one.hash for one in read}) == 1


def test_another_number_text_or_group_is_another_hash(tmp_path: Path) -> None:
    arrays = {"stimuli": np.array(TEXTS), "group": np.array(GROUPS), "ratings": data()["ratings"]}
    hashes = {read_outside(npz(tmp_path, arrays)).hash}
    for name, place, other in (("ratings", (0, 0), 99.0), ("stimuli", 0, "another"), ("group", 0, "g9")):
        changed = {key: values.copy() for key, values in arrays.items()}
        changed[name][place] = other
        hashes.add(read_outside(npz(tmp_path, changed)).hash)
    del arrays["group"]
    hashes.add(read_outside(npz(tmp_path, arrays), "renamed").hash)
    assert len(hashes) == 5


def test_one_csv_holds_norms_and_their_stimuli(tmp_path: Path) -> None:
    ratings = data()["ratings"]
    rows = [[group, text, *row] for group, text, row in zip(GROUPS, TEXTS, ratings.tolist(), strict=True)]
    table(tmp_path / "norms.csv", ["group", "stimulus", "rating:concrete", "rating:valence"], rows)
    arrays = {"stimuli": np.array(TEXTS), "group": np.array(GROUPS), "ratings": ratings}
    assert read_outside(tmp_path / "norms.csv").hash == read_outside(npz(tmp_path, arrays)).hash


def test_the_odd_one_may_be_named_in_arrays_too(tmp_path: Path) -> None:
    rows = data()["triplets"]
    arrays = {"stimuli": np.array(TEXTS), "triplets": np.roll(rows, 1, axis=1), "odd": rows[:, 2]}
    np.testing.assert_array_equal(read_outside(npz(tmp_path, arrays)).values, rows)


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.pop(name)  # type: ignore[no-any-return]


def put(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.__setitem__(name, value(arrays[name]) if callable(value) else value)


def at(place: Any, value: float, dtype: type = float) -> Callable[[Array], Array]:
    def changed(values: Array) -> Array:
        copy = values.astype(dtype)
        copy[place] = value
        return copy

    return changed


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        raise AssertionError("pickle was asked")


FAULTS: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "no texts": ("responses", without("stimuli"), "has no stimuli; it holds group, responses"),
    "no data": ("responses", without("responses"), "holds no data; give exactly one of responses, dissim"),
    "two kinds": ("responses", put("ratings", data()["ratings"]), "holds responses and ratings; give exactly one"),
    "an unknown array": ("responses", put("voxels", np.ones(3)), "holds 'voxels', which is not known; there are"),
    "few": ("responses", put("stimuli", np.array(TEXTS[:3])), "has 3 stimuli; 10 or more say something"),
    "twice": ("responses", put("stimuli", np.array([*TEXTS[:-1], TEXTS[0]])), "stimuli 0 and 11 of brain are both"),
    "empty": ("responses", put("stimuli", np.array([" ", *TEXTS[1:]])), "stimulus 0 of brain is empty"),
    "numbers": ("responses", put("stimuli", np.arange(COUNT)), "stimuli of .* are int64 values and should be texts"),
    "few groups": ("responses", put("group", np.array(["a", "b"] * 6)), "has 2 groups .* and cross-validation needs 3"),
    "unequal": ("responses", put("group", np.array(GROUPS[1:])), "has 12 stimuli and 11 groups"),
    "shape": ("responses", put("responses", lambda x: x[1:]), r"of 12 stimuli; got shape \(11, 4, 3\)"),
    "no value": ("responses", put("responses", at((3, 1), np.nan)), "no value for stimulus 3 in channel 1, in any"),
    "infinite": ("responses", put("responses", at((3, 1, 0), np.inf)), "hold infinite values"),
    "constant": ("responses", put("responses", at((slice(None), 2), 5.0)), "same for every stimulus in channel 2"),
    "words": ("ratings", put("ratings", np.full((COUNT, 2), "high")), "ratings of brain are <U4 values; give numbers"),
    "lopsided": ("dissimilarities", put("dissimilarities", at((1, 0, 1), 9.0)), "not symmetric in matrix 1"),
    "diagonal": ("dissimilarities", put("dissimilarities", lambda x: 1 - x), "not 0 on the diagonal of matrix 0"),
    "hole": ("dissimilarities", put("dissimilarities", at((0, 0, 1), np.nan)), "hold values that are missing"),
    "square": ("dissimilarities", put("dissimilarities", lambda x: x[:, 1:]), r"got shape \(2, 11, 12\)"),
    "flat": ("dissimilarities", put("dissimilarities", 1 - np.eye(COUNT)), "same for all pairs in matrix 0"),
    "beyond": ("triplets", put("triplets", at((0, 0), COUNT, int)), "whole numbers from 0 to 11; got others"),
    "between": ("triplets", put("triplets", at((0, 0), 0.5)), "whole numbers from 0 to 11; got others"),
    "repeated": ("triplets", put("triplets", lambda x: np.vstack([x[:4], [1, 2, 1]])), "stimulus twice in row 4"),
    "pairs": ("triplets", put("triplets", lambda x: x[:, :2]), r"got shape \(20, 2\)"),
    "no odd": ("triplets", put("odd", np.full(20, 99)), "odd of .* names none or several of the three in row 0"),
    "objects": ("responses", put("stimuli", np.array([Evil] * COUNT)), "nothing that needs pickle is read"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_content_is_one_sentence(fault: str, tmp_path: Path) -> None:
    kind, breaks, words = FAULTS[fault]
    arrays: dict[str, Any] = {"stimuli": np.array(TEXTS), "group": np.array(GROUPS), kind: data()[kind]}
    breaks(arrays)
    with pytest.raises(ValueError, match=words):
        read_outside(npz(tmp_path, arrays))


def one_array() -> bytes:
    """What follows the magic word in a file of np.save."""
    with BytesIO() as held:
        np.save(held, np.ones(3))
        return held.getvalue()[6:]


FILES: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("absent.npz", b"", "there is no file or folder at"),
    "another kind": ("brain.pkl", b"x", "is none of .npz, .h5, .hdf5, .csv, nor a folder"),
    "no zip": ("brain.npz", b"PK\x03\x04 cut short", "cannot be read as an NPZ file of plain arrays"),
    "one array": ("brain.npz", b"\x93NUMPY" + one_array(), "cannot be read as an NPZ file of plain arrays"),
    "pickle": ("brain.npz", b"\x80\x04N.", "cannot be read as an NPZ file of plain arrays"),
    "no hdf5": ("brain.h5", b"\x89HDF\r\n\x1a\n cut", "cannot be read as an HDF5 file"),
    "latin": ("brain.csv", b"stimulus,rating:a\n\xe9,1\n", "cannot be read as a CSV in UTF-8"),
    "header alone": ("brain.csv", b"stimulus,rating:a\n", "has no rows below its header"),
    "ragged": ("brain.csv", b"stimulus,rating:a\nx,1,2\n", "line 2, has 3 cells under a header of 2"),
    "word": ("brain.csv", b"stimulus,rating:a\nx,NA\n", "line 2, holds 'NA' where a number should be"),
    "unnamed": ("brain.csv", b"stimulus,a\nx,1\n", "all begin with response: or all with rating:"),
    "no text": ("brain.csv", b"word,rating:a\nx,1\n", "has no column stimulus; it has word, rating:a"),
    "same column": ("brain.csv", b"stimulus,rating:a,rating:a\nx,1,1\n", "has a column twice in its header"),
}


@pytest.mark.parametrize("fault", FILES)
def test_every_fault_of_a_file_is_one_sentence(fault: str, tmp_path: Path) -> None:
    name, content, words = FILES[fault]
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_outside(tmp_path / name)


def test_faults_of_a_folder_and_links_to_other_files_are_told(tmp_path: Path) -> None:
    home = folder_of_csv(tmp_path, {"stimuli": TEXTS, "group": GROUPS, "responses": data()["responses"]})
    table(home / "responses_2.csv", ["v0", "v1"], [[1, 2]] * COUNT)
    with pytest.raises(ValueError, match=r"responses_9.csv has 12 rows and 4 columns and .*responses_2.csv 12 and 2"):
        read_outside(home)
    (home / "stimuli.csv").unlink()
    with pytest.raises(ValueError, match=r"has no stimuli.csv"):
        read_outside(home)
    with h5py.File(tmp_path / "link.h5", "w") as opened:
        opened["stimuli"] = h5py.ExternalLink("/etc/other.h5", "/stimuli")
    with pytest.raises(ValueError, match="'stimuli' is not a dataset of the file itself"):
        read_outside(tmp_path / "link.h5")


def test_repeats_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    values = data()["responses"]
    home = folder_of_csv(tmp_path, {"stimuli": TEXTS, "group": GROUPS, "responses": values})  # 9, 10, 11
    read: Outside = read_outside(home)
    np.testing.assert_array_equal(read.values, values)
