"""Places that cannot hold a logbook, and files that have lost what belongs to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from logbook_cases import assert_same, journal_of, observation
from logbook_cases import path as path

from observatory.observation import Gap, Variable
from observatory.record.logbook import Logbook
from observatory.record.reader import open_logbook


def test_a_place_that_cannot_hold_a_logbook_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such folder for the logbook; create it"):
        Logbook(tmp_path / "missing" / "a.h5")
    with pytest.raises(IsADirectoryError, match="a logbook is a file, and this is a folder"):
        Logbook(tmp_path)
    with pytest.raises((PermissionError, FileNotFoundError)):
        Logbook("/proc/a.h5")
    assert list(tmp_path.iterdir()) == []


def foreign_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = 1


def other_format(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "another", "format_version": "1.0", "journal": "x", "journal_end": 1})


@pytest.mark.parametrize(
    "make", [foreign_hdf5, other_format, lambda path: path.write_text("my notes")], ids=["HDF5", "other format", "text"]
)
@pytest.mark.parametrize("use", [Logbook, open_logbook])
def test_a_foreign_file_is_refused_and_untouched(
    path: Path, make: Callable[[Path], object], use: Callable[[Path], object]
) -> None:
    make(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"{path} is (an HDF5 file, but )?not a logbook"):
        use(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_is_a_place_like_any_other(path: Path) -> None:
    path.touch()
    Logbook(path).close()
    assert open_logbook(path).sizes["step"] == 0


def test_a_folder_that_vanishes_is_an_error_at_the_next_record(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    logbook = Logbook(folder / "a.h5")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    with pytest.raises(
        FileNotFoundError, match=r"journal was moved or deleted while it was open; nothing was recorded"
    ):
        logbook.record(observation(0))
    logbook.close()


# The file without its journal


def test_a_moved_file_without_its_journal_goes_on_and_loses_nothing(path: Path) -> None:
    sparse = {
        "probe_flag": Variable(("layer", "unit"), np.arange(3 * 512).reshape(3, 512) % 2 == 0),
        "probe_rank": Variable((), np.uint8(255), {"long_name": "as large as its fill value"}),
        "probe_half": Variable(("layer",), np.array([np.nan, 1, -np.inf], np.float16)),
    }
    kept = [observation(0), observation(1, **sparse), observation(2)]
    gap = Gap(9, "why", tokens=4, time=1.5)
    with Logbook(path, {"seed": 7, "note": "ø"}) as logbook:
        for each in kept:
            logbook.record(each)
        logbook.gap(gap)
    moved = path.parent / "elsewhere" / "b.h5"
    moved.parent.mkdir()
    path.rename(moved)
    before = open_logbook(moved)
    with Logbook(moved) as logbook:
        assert logbook.gaps == (gap,)
        for each in kept:
            assert_same(logbook.last(before=each.step + 1), each)
    after = open_logbook(moved)
    ours = ("journal", "journal_end")
    assert {k: v for k, v in after.attrs.items() if k not in ours} == {
        k: v for k, v in before.attrs.items() if k not in ours
    }
    assert after.drop_attrs().identical(before.drop_attrs())


def test_a_journal_that_lost_frames_which_the_file_has_is_made_again_from_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Logbook(path) as logbook:
        for step in range(3):
            logbook.record(observation(step))
    data = bytearray(journal_of(path).read_bytes())
    data[len(data) // 2] ^= 1
    journal_of(path).write_bytes(data)
    with Logbook(path) as logbook:
        assert logbook.steps == (0, 1, 2)
        logbook.record(observation(3))
    assert "was damaged: it is made again from observations.h5" in caplog.text
    (kept,) = path.parent.glob("*.damaged-*")
    assert kept.read_bytes() == bytes(data)
    with Logbook(path) as logbook:
        assert logbook.steps == (0, 1, 2, 3)


def test_a_damaged_journal_that_no_file_can_mend_gives_what_comes_before_the_damage_and_keeps_the_rest(
    path: Path,
) -> None:
    with Logbook(path) as logbook:
        for step in (0, 1):
            logbook.record(observation(step))
        good = journal_of(path).stat().st_size
        for step in (2, 3):
            logbook.record(observation(step))
    path.unlink()
    data = bytearray(journal_of(path).read_bytes())
    data[good + 100] ^= 1
    journal_of(path).write_bytes(data)
    with Logbook(path) as logbook:
        assert logbook.steps == (0, 1)
        logbook.record(observation(2, edition=1))
    (kept,) = path.parent.glob("*.damaged-*")
    assert kept.read_bytes() == bytes(data)[good:]
    assert open_logbook(path)["probe_edition"].values.tolist() == [0, 0, 1]


def test_a_journal_made_again_is_not_mistaken_for_one_that_lost_frames(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal made from a file is shorter than the one the file was made from: its length proves nothing."""
    with Logbook(path) as logbook:
        for step in (0, 1, 1, 1, 1):
            logbook.record(observation(step))
    journal_of(path).unlink()
    with monkeypatch.context() as unpublished:
        unpublished.setattr(Logbook, "publish", lambda self: None)
        with Logbook(path) as logbook:
            logbook.record(observation(2))
    with Logbook(path) as logbook:
        assert logbook.steps == (0, 1, 2)


def test_a_damaged_file_is_made_again_from_its_journal(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Logbook(path) as logbook:
        logbook.record(observation(0))
    path.write_bytes(path.read_bytes()[:5000])
    Logbook(path).close()
    assert "it is made again from its journal" in caplog.text
    assert open_logbook(path).sizes["step"] == 1


def test_a_damaged_file_without_a_journal_is_refused_and_untouched(path: Path) -> None:
    with Logbook(path) as logbook:
        logbook.record(observation(0))
    journal_of(path).unlink()
    cut = path.read_bytes()[:5000]
    path.write_bytes(cut)
    with pytest.raises(ValueError, match="is damaged, probably cut short while it was copied"):
        Logbook(path)
    assert path.read_bytes() == cut


def test_a_file_beside_the_journal_of_another_logbook_is_refused_and_untouched(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        with Logbook(tmp_path / name) as logbook:
            logbook.record(observation(0))
    (tmp_path / "b.h5").replace(tmp_path / "a.h5")
    before = (tmp_path / "a.h5").read_bytes()
    with pytest.raises(ValueError, match=r"a\.h5\.journal belongs to another logbook than .*a\.h5; move one"):
        Logbook(tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_bytes() == before
