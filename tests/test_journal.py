"""The journal believes nothing that a checksum does not confirm, and cuts nothing that is not its own."""

from __future__ import annotations

import logging
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observatory.record.journal import MAGIC, MARK, Frame, Journal

FRAMES = [Frame(b"HEAD", b"{}"), Frame(b"OBSV", bytes(range(256))), Frame(b"OBSV", b""), Frame(b"GAP ", b"why" * 20)]


def made(folder: Path, frames: list[Frame] = FRAMES) -> Path:
    path = folder / "a.journal"
    Journal.create(path, frames)
    return path


def replayed(path: Path, settle: bool = True) -> list[Frame]:
    journal = Journal(path)
    try:
        frames = [frame for _, frame in journal.replay()]
        if settle:
            journal.settle()
        return frames
    finally:
        journal.close()


def test_what_was_written_is_read_back_at_the_positions_that_were_given(tmp_path: Path) -> None:
    path = made(tmp_path, FRAMES[:1])
    journal = Journal(path)
    list(journal.replay())
    positions = journal.append(FRAMES[1:])
    assert [journal.read(position) for position in positions] == [frame.payload for frame in FRAMES[1:]]
    journal.close()
    assert replayed(path) == FRAMES


def test_a_tail_torn_at_any_byte_is_cut_and_nothing_before_it(tmp_path: Path) -> None:
    path = made(tmp_path)
    whole, kept = path.read_bytes(), len(made(tmp_path, FRAMES[:-1]).read_bytes())
    for length in range(kept, len(whole)):
        path.write_bytes(whole[:length])
        assert replayed(path) == FRAMES[:-1]
        assert path.read_bytes() == whole[:kept]
    assert list(tmp_path.iterdir()) == [path], "a torn append leaves nothing worth keeping"


@given(st.integers(0, len(FRAMES[-1].encoded()) * 8 - 1))
@settings(max_examples=40, deadline=None)
def test_a_flipped_bit_in_the_last_frame_costs_that_frame_alone(
    tmp_path_factory: pytest.TempPathFactory, bit: int
) -> None:
    path = made(tmp_path_factory.mktemp("flip"))
    data = bytearray(path.read_bytes())
    data[-1 - bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    assert replayed(path) == FRAMES[:-1]


def test_damage_in_the_middle_keeps_a_copy_of_what_is_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = made(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.index(bytes(range(256)))
    data[place] ^= 1
    path.write_bytes(data)
    assert replayed(path) == FRAMES[:1]
    (kept,) = tmp_path.glob("*.damaged-*")
    assert path.read_bytes() + kept.read_bytes() == bytes(data)
    assert f"{path} is damaged at byte" in caplog.text


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 2**40, 257], ids=["all ones", "negative", "absurd", "one more"])
def test_a_length_beyond_the_file_is_not_believed_even_with_a_valid_checksum(tmp_path: Path, length: int) -> None:
    path = made(tmp_path, FRAMES[:1])
    fields = struct.pack("<4s4sQI", MARK, b"OBSV", length, 0)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(fields + struct.pack("<I", zlib.crc32(fields)) + bytes(256))
    assert replayed(path) == FRAMES[:1]
    assert path.stat().st_size == size


@pytest.mark.parametrize("tail", [bytes(4096), b"\xff" * 100, MARK, MARK * 50], ids=["zeros", "ones", "mark", "marks"])
def test_a_tail_of_anything_is_cut(tmp_path: Path, tail: bytes) -> None:
    path = made(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert replayed(path) == FRAMES
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(100), MAGIC[:8], b"x" + MAGIC[1:], bytes(64)],
    ids=["empty", "text", "HDF5", "a piece of ours", "almost ours", "zeros"],
)
def test_a_foreign_file_is_refused_and_not_cut(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a logbook's journal; move it away or choose another file"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_journal_of_a_newer_version_is_refused_and_not_cut(tmp_path: Path) -> None:
    path = made(tmp_path)
    newer = MAGIC[:-1] + b"\x02" + path.read_bytes()[len(MAGIC) :]
    path.write_bytes(newer)
    with pytest.raises(ValueError, match="newer version of observatory; update"):
        Journal(path)
    assert path.read_bytes() == newer


def test_an_append_that_fails_and_cannot_be_cut_back_is_cut_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path, FRAMES[:1])
    journal = Journal(path)
    list(journal.replay())

    def refuse(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", refuse)
        broken.setattr(os, "ftruncate", refuse)
        with pytest.raises(OSError, match="the disk is gone") as caught:
            journal.append(FRAMES[1:2])
    assert "cutting" in caught.value.__notes__[0]
    journal.append(FRAMES[3:])
    journal.close()
    assert replayed(path) == [FRAMES[0], FRAMES[3]]


@pytest.mark.parametrize("remove", [True, False], ids=["deleted", "replaced"])
def test_an_append_to_a_journal_that_has_vanished_is_an_error(tmp_path: Path, remove: bool) -> None:
    path = made(tmp_path, FRAMES[:1])
    journal = Journal(path)
    list(journal.replay())
    path.unlink()
    if not remove:
        made(tmp_path)
    with pytest.raises(FileNotFoundError, match="while it was open; nothing was recorded"):
        journal.append(FRAMES[1:])
    journal.close()


def test_settling_a_whole_journal_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert replayed(made(tmp_path)) == FRAMES
    assert not caplog.records
