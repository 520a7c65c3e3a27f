"""The file opens with every netCDF reader and says the same in each."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from logbook_cases import DOMAINS, observation

from observatory.observation import Gap, Observation, Variable
from observatory.record import reader
from observatory.record.logbook import Logbook
from observatory.record.payload import pack, unpack
from observatory.record.product import FORMAT_VERSION
from observatory.record.reader import open_logbook

SPARSE = {
    "probe_accuracy": Variable(("fold",), np.array([0.5, 0.75]), {"units": "1"}),
    "probe_count": Variable((), np.int16(12)),
    "probe_mask": Variable(("layer", "unit"), np.eye(3, 512, dtype=bool)),
}
HALF = {"contrast_half": Variable(("layer", "unit"), np.linspace(-1, 1, 3 * 512, dtype=np.float16).reshape(3, 512))}


@pytest.fixture(scope="module")
def open_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A logbook whose writer is still there."""
    path = tmp_path_factory.mktemp("run") / "observations.h5"
    with Logbook(path, {"seed": 3, "model_config": {"hidden_size": 8}}) as logbook:
        logbook.record(observation(0, flag=Variable((), np.True_)))
        logbook.record(observation(10, flag=Variable((), np.False_), **SPARSE))
        logbook.gap(Gap(20, "out of memory", 5, 1.7e9))
        yield path


ENGINES = [
    "h5netcdf",
    pytest.param(
        "netcdf4", marks=pytest.mark.skipif(not importlib.util.find_spec("netCDF4"), reason="netCDF4 is not installed")
    ),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_xarray_reads_values_coordinates_and_gaps_while_the_writer_is_open(open_run: Path, engine: str) -> None:
    with xarray.open_dataset(open_run, engine=engine) as dataset:
        assert dataset["step"].dtype == np.int64
        assert dataset["step"].values.tolist() == [0, 10]
        assert dataset["tokens"].values.tolist() == [0, 40960]
        moment = np.datetime64("2023-11-14T22:13:20.125")
        assert abs(dataset["time"].values[0] - moment) < np.timedelta64(1, "us")
        assert dataset["seconds"].values.tolist() == [0.25, 0.25]
        assert {"step", "tokens", "time", "seconds", "domain", "layer", "pooling", "space"} <= set(dataset.coords)
        index = dataset["contrast_index"]
        assert index.dims == ("step", "space", "pooling", "domain")
        assert index.dtype == np.float32
        assert index.attrs == {"long_name": "emergence index", "units": "1"}
        assert index.sel(step=10, space="mlp", pooling="mean", domain="social").item() == 16
        np.testing.assert_array_equal(dataset["contrast_score"][1], observation(10)["contrast_score"])
        assert dataset["gap_step"].values.tolist() == [20]
        assert dataset["gap_reason"].values.tolist() == ["out of memory"]
        assert dataset["flag"].dtype == bool
        assert dataset["flag"].values.tolist() == [True, False]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_variable_that_a_step_lacks_is_missing_there_and_nowhere_else(open_run: Path, engine: str) -> None:
    with xarray.open_dataset(open_run, engine=engine) as dataset:
        np.testing.assert_array_equal(dataset["probe_accuracy"], [[np.nan, np.nan], [0.5, 0.75]])
        np.testing.assert_array_equal(dataset["probe_count"], [np.nan, 12])
        assert np.isnan(dataset["probe_mask"][0]).all()
        np.testing.assert_array_equal(dataset["probe_mask"][1], np.eye(3, 512))
        recorded = dataset["recorded"].sel(recorded_name="probe_mask")
        assert recorded.values.tolist() == [0, 1]


def test_h5py_finds_scales_fill_values_and_provenance(open_run: Path) -> None:
    with h5py.File(open_run) as file:
        assert dict(file.attrs) | {
            "format": "observatory-logbook",
            "format_version": FORMAT_VERSION,
            "provenance_battery": "b" * 12,
            "seed": 3,
            "model_config": '{"hidden_size": 8}',
            "numpy_version": np.__version__,
        } == dict(file.attrs)
        assert [dim[0].name for dim in file["contrast_index"].dims] == ["/step", "/space", "/pooling", "/domain"]
        assert file["domain"].asstr()[...].tolist() == list(DOMAINS)
        assert file["probe_count"][...].tolist() == [-(2**15), 12]
        assert file["probe_count"].attrs["_FillValue"] == -(2**15)
        assert file["probe_mask"][0, 0, 0] == file["probe_mask"].attrs["_FillValue"] == 255
        assert file["probe_mask"].attrs["original_dtype"] == "bool"
        assert "_FillValue" not in file["contrast_index"].attrs
        score = file["contrast_score"]
        assert (score.chunks, score.shuffle, score.compression) == ((1, 3, 512), True, "gzip")
        assert file["contrast_index"].chunks is None


def test_pandas_gets_a_table_by_step_and_domain(open_run: Path) -> None:
    table = open_logbook(open_run)["contrast_index"].sel(space="mlp", pooling="last").to_series()
    assert table.loc[(10, "mathematics")] == 11


def test_half_precision_is_kept_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with Logbook(path) as logbook:
        logbook.record(observation(0, **HALF))
    dataset = open_logbook(path)
    assert dataset["contrast_half"].dtype == np.float16
    np.testing.assert_array_equal(dataset["contrast_half"][0], HALF["contrast_half"].values)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i8", "?"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 7000), (0, 4), (2, 1, 4097)])
def test_a_packed_array_is_unpacked_as_it_was(dtype: str, shape: tuple[int, ...]) -> None:
    values = (np.random.default_rng(0).standard_normal(shape) * 50).astype(dtype)
    found = unpack(pack(np.asarray(values)))
    assert (found.dtype, found.shape) == (values.dtype, values.shape)
    np.testing.assert_array_equal(found, values)
    assert found.flags.writeable


def test_arrays_of_either_byte_order_or_stride_are_kept(tmp_path: Path) -> None:
    values = np.arange(5000, dtype=">f8")[::-2]
    with Logbook(tmp_path / "a.h5") as logbook:
        logbook.record(Observation(0, {"x": Variable(("unit",), values)}, {}))
        last = logbook.last()
        assert last is not None
        np.testing.assert_array_equal(last["x"], values)
    np.testing.assert_array_equal(open_logbook(tmp_path / "a.h5")["x"][0], values)


HOSTILE = [
    "",
    " ",
    "a/b",
    "../..",
    "\n\t",
    "'; DROP TABLE",
    "日本語",
    "e\u0301",
    "\u202e",
    "NaN",
    "x" * 70_000,
    "%s{0}",
]


def test_hostile_texts_are_labels_and_attributes_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    variable = Variable(("item",), np.arange(len(HOSTILE)), {"note": HOSTILE[-2], "empty": ""})
    with Logbook(path, {f"note {i}": text for i, text in enumerate(HOSTILE)}) as logbook:
        logbook.record(Observation(0, {"x ()[]": variable}, {"item": np.array(HOSTILE, dtype=object)}))
    dataset = open_logbook(path)
    assert dataset["item"].values.tolist() == HOSTILE
    assert [dataset.attrs[f"note {i}"] for i in range(len(HOSTILE))] == HOSTILE
    assert dataset["x ()[]"].attrs["note"] == HOSTILE[-2]
    path.with_name("a.h5.journal").unlink()
    with Logbook(path) as logbook:
        last = logbook.last()
        assert last is not None
        assert last.coordinates["item"].tolist() == HOSTILE


# Reading


def test_an_open_dataset_stays_as_it_was_while_the_file_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    with Logbook(path) as logbook:
        logbook.record(observation(0))
        monkeypatch.setattr(reader, "LOADED_BELOW", 0)
        with open_logbook(path) as lazy:
            logbook.record(observation(0, edition=1))
            assert lazy["probe_edition"].values.tolist() == [0]
        monkeypatch.undo()
        assert open_logbook(path)["probe_edition"].values.tolist() == [1]


def test_reading_what_is_not_there_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(FileNotFoundError, match="there is no logbook"):
        open_logbook(path)
    with pytest.raises(IsADirectoryError, match="a logbook is a file, and this is a folder"):
        open_logbook(tmp_path)
    with Logbook(path) as logbook:
        logbook.record(observation(0))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"only its journal is there; observatory\.Logbook\(path\)\.close\(\)"):
        open_logbook(path)


def test_a_file_cut_short_at_any_length_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with Logbook(path) as logbook:
        logbook.record(observation(0))
    whole = path.read_bytes()
    for length in [*range(0, 100, 9), *range(100, len(whole) - 12, 997), len(whole) - 13]:  # 12 are the checksum
        path.write_bytes(whole[:length])
        with pytest.raises(
            ValueError, match=r"is damaged, probably cut short|is not a logbook: it is not an HDF5 file"
        ):
            open_logbook(path)


@pytest.mark.parametrize("version", ["2.0", "13"])
def test_a_newer_format_is_refused_by_reader_and_writer(tmp_path: Path, version: str) -> None:
    path = tmp_path / "a.h5"
    Logbook(path).close()
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = version
    for use in (open_logbook, Logbook):
        with pytest.raises(
            ValueError, match=f"has logbook format {version} and this observatory reads up to {FORMAT_VERSION}; update"
        ):
            use(path)


def test_a_newer_minor_version_with_more_in_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with Logbook(path) as logbook:
        logbook.record(replace(observation(0), variables={}))
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = "1.7"
        file["something_new"] = 5
    assert open_logbook(path)["something_new"].item() == 5


LOADED = "import sys, observatory.record.logbook; print([m for m in ('h5py', 'xarray', 'torch') if m in sys.modules])"


@pytest.mark.parametrize(
    ("script", "loaded"), [(LOADED, "[]"), ("import h5py, xarray; " + LOADED, "['h5py', 'xarray']")]
)
def test_importing_the_logbook_loads_no_heavy_library(script: str, loaded: str) -> None:
    """The second case shows that the first can fail."""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == loaded
