"""A logbook whose writer is killed, cut off from power or out of disk has everything that it acknowledged."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
import xarray
from logbook_cases import assert_same, observation
from logbook_child import apply, expected, operations

from observatory.observation import Gap
from observatory.record.logbook import Logbook
from observatory.record.reader import open_logbook

Nursery = subprocess.Popen[str]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """A process with everything imported that forks a writer on request."""
    script = Path(__file__).with_name("logbook_child.py")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=script.parent
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: SIGKILL loses nothing that the kernel has, so fsync only costs time."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def run_child(
    nursery: Nursery,
    path: Path,
    operations: range,
    boundary: int = 0,
    torn: int = 0,
    killed_after: tuple[int, float] | None = None,
) -> list[str]:
    """What the child said until it was dead: killed so many seconds after so many acknowledgements, if asked."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(f"{path} {operations.start} {operations.stop} {boundary} {torn}\n")
    nursery.stdin.flush()
    said: list[str] = []
    for line in nursery.stdout:
        said.append(line.strip())
        if said[-1] == "dead":
            return said
        acknowledged = sum(words.startswith("did ") for words in said)
        if killed_after is not None and acknowledged == killed_after[0]:
            threading.Timer(killed_after[1], os.kill, (int(said[0].removeprefix("pid ")), signal.SIGKILL)).start()
            killed_after = None
    raise AssertionError("the nursery ended")


def assert_consistent(path: Path, said: list[str], acknowledged: int) -> int:
    """The logbook has all that was acknowledged and at most the one operation in flight; returns the next one."""
    done = max([acknowledged, *(int(words[4:]) + 1 for words in said if words.startswith("did "))])
    in_flight = any(words == f"try {done}" for words in said)
    if path.exists():
        with h5py.File(path) as file:
            assert file.attrs["format"] == "observatory-logbook"
    with Logbook(path) as logbook:
        rows = {}
        for step in logbook.steps:
            found = logbook.last(before=step + 1)
            assert found is not None
            rows[step] = int(found["probe_edition"])
            assert_same(found, observation(step, rows[step]))
        gaps = {gap.step: gap.reason for gap in logbook.gaps}
    with h5py.File(path) as file:
        assert file["step"][...].tolist() == list(rows)
        assert file["gap_step"][...].tolist() == list(gaps)
    if (rows, gaps) == expected(range(done)):
        return done
    assert in_flight
    assert (rows, gaps) == expected(range(done + 1))
    return done + 1


def test_thirty_kills_in_a_row_lose_nothing_that_was_acknowledged(nursery: Nursery, folder: Path) -> None:
    chance, path, number = random.Random(1), folder / "observations.h5", 0
    for _ in range(30):
        said = run_child(
            nursery, path, range(number, 10**6), killed_after=(chance.randrange(4), chance.uniform(0, 0.04))
        )
        if path.exists():
            xarray.open_dataset(path, engine="h5netcdf").close()
        number = assert_consistent(path, said, number)
    assert number > 30


def test_a_death_before_any_call_that_changes_a_file_loses_nothing(nursery: Nursery, folder: Path) -> None:
    for boundary in range(1, 1000):
        path = folder / f"{boundary}.h5"
        said = run_child(nursery, path, range(6), boundary)
        number = assert_consistent(path, said, 0)
        if "closed" in said:
            break
    assert boundary > 40, "so many calls at least lie between opening and closing"
    assert number == 6


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_power_cut_that_leaves_some_pages_of_a_write_loses_nothing(nursery: Nursery, folder: Path, seed: int) -> None:
    for boundary in range(1, 1000):
        path = folder / f"{boundary}.h5"
        said = run_child(nursery, path, range(6), boundary, torn=1000 * seed + boundary)
        number = assert_consistent(path, said, 0)
        if "closed" in said:
            break
    assert boundary > 7
    assert number == 6


def test_a_death_while_the_journal_is_made_again_loses_nothing(nursery: Nursery, folder: Path) -> None:
    original = folder / "original.h5"
    with Logbook(original) as logbook:
        apply(logbook, 0)
    for boundary in range(1, 1000):
        path = folder / f"{boundary}.h5"
        shutil.copy(original, path)
        said = run_child(nursery, path, range(1, 3), boundary)
        number = assert_consistent(path, said, 1)
        if "closed" in said:
            break
    assert boundary > 20
    assert number == 3


def test_every_record_is_synced_before_it_is_acknowledged_and_every_file_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No kill shows a missing fsync: only the order of the calls does."""
    calls: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def note(target: Any, *others: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else str(target)
            calls.append(f"{name} {path.removeprefix(str(tmp_path)) or 'folder'}")
            return call(target, *others)

        return note

    with Logbook(tmp_path / "a.h5") as logbook:
        for name in ("pwrite", "fsync", "replace"):
            monkeypatch.setattr(os, name, noted(name))
        logbook.record(observation(0))
        monkeypatch.undo()
    assert calls == [
        "pwrite /a.h5.journal",
        "fsync /a.h5.journal",
        "fsync /a.h5.publishing",
        "replace /a.h5.publishing",
        "fsync folder",
    ]


def test_a_full_disk_is_an_error_that_changes_nothing_and_passes(tmp_path: Path) -> None:
    """A limit on file sizes gives real OSErrors in the middle of a write, as a full disk does."""
    path = tmp_path / "observations.h5"
    with Logbook(path) as logbook:
        logbook.record(observation(0))
        journal = Path(f"{path}.journal")
        size, old = journal.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, old[1]))
        try:
            for step in (1, 2):
                with pytest.raises(OSError, match="File too large"):
                    logbook.record(observation(step))
                assert journal.stat().st_size == size
            logbook.gap(Gap(1, "disk full"))  # small enough to fit: the logbook is still in order
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert open_logbook(path)["step"].values.tolist() == [0]
        logbook.record(observation(2))
        assert_same(logbook.last(), observation(2))
    dataset = open_logbook(path)
    assert dataset["step"].values.tolist() == [0, 2]
    assert dataset["gap_step"].values.tolist() == [1]


def test_a_disk_too_full_to_publish_keeps_the_old_file_and_every_observation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "observations.h5"
    logbook = Logbook(path)
    logbook.record(observation(0))
    before = path.read_bytes()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal_room = Path(f"{path}.journal").stat().st_size + 6000
    assert journal_room < len(before)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal_room, old[1]))
    try:
        logbook.record(observation(1))
        assert path.read_bytes() == before
        with pytest.raises(OSError, match="File too large") as caught:
            logbook.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "the observations are safe in its journal" in caplog.text
    assert any("opening it again publishes" in note for note in caught.value.__notes__)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"observations.h5{end}" for end in ("", ".journal", ".lock")]
    Logbook(path).close()
    assert open_logbook(path)["step"].values.tolist() == [0, 1]


def test_readers_find_a_whole_file_at_every_moment_of_a_run(nursery: Nursery, tmp_path: Path) -> None:
    path, seen = tmp_path / "observations.h5", []
    with Logbook(path) as logbook:
        apply(logbook, 0)
    run = threading.Thread(target=run_child, args=(nursery, path, range(1, 40)))
    run.start()
    while run.is_alive():
        with h5py.File(path) as file:
            seen.append(len(file["step"]))
        dataset = open_logbook(path)
        steps, editions = dataset["step"].values, dataset["probe_edition"].values
        for step, edition in zip(steps.tolist(), editions.tolist(), strict=True):
            assert operations(edition)[1] == step
    run.join()
    assert len(set(seen)) > 3, "the file grew while it was read"
