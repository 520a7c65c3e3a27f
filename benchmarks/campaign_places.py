"""Disks that are full, folders that are read-only or vanish, other writers, and readers while it is written."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from campaign_kills import Say, Tally, live, opened
from logbook_cases import assert_same, observation

from observatory import Logbook, open_logbook
from observatory.cli import main


@dataclass
class Counts:
    """What was tried, what was refused, and what was kept all the same."""

    tried: int = 0
    refused: int = 0
    """With an OSError, and in one sentence."""
    kept: int = 0
    """Acknowledged observations that were found again, or whole files that were read."""
    faults: list[str] = field(default_factory=list)

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(what)


def can_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextmanager
def small_disk(folder: Path, kilobytes: int, options: str = "") -> Iterator[Path]:
    """A file system of so many kilobytes; it needs root."""
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k{options}", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def full_disks(folder: Path, chance: random.Random, times: int) -> Counts:
    """Filled at a random point, by the logbook itself or by another file, then freed again."""
    counts = Counts()
    for number in range(times if can_mount() else 0):
        size = chance.randrange(64, 1500, 4)
        with small_disk(folder, size) as disk:
            _fill_and_free(disk, chance, counts, f"disk {number} of {size} KiB")
    return counts


def _fill_and_free(disk: Path, chance: random.Random, counts: Counts, name: str) -> None:
    path, ballast = disk / "observations.h5", disk / "ballast"
    ballast.write_bytes(bytes(chance.randrange(0, 48 * 1024)))
    known: list[int] = []
    try:
        logbook = Logbook(path)
    except OSError:
        counts.refused += 1
        return
    units = chance.choice((512, 8192, 32768))
    for step in range(40):
        counts.tried += 1
        try:
            logbook.record(observation(step, units=units))
            known.append(step)
        except OSError as error:
            counts.refused += 1
            counts.check("\n" not in str(error), f"{name}: {error}")
            if ballast.exists() and chance.random() < 0.1:
                ballast.unlink()  # somebody has made room
        if path.exists() and step % 10 == 0:
            seen = open_logbook(path)["step"].values.tolist()
            counts.check(seen == known[: len(seen)], f"{name}: the file has {seen} of {known}")
    try:
        logbook.close()
    except OSError:
        counts.refused += 1
    for file in disk.glob("ballast"):
        file.unlink()
    roomy = disk.parent / "roomy"
    shutil.copytree(disk, roomy)  # the journal is all that is needed
    with Logbook(roomy / path.name) as logbook:
        counts.check(list(logbook.steps) == known, f"{name}: {logbook.steps} of {known}")
        for step in logbook.steps:
            assert_same(logbook.last(before=step + 1), observation(step, units=units))
        counts.kept += len(logbook.steps)
    shutil.rmtree(roomy)


@contextmanager
def turned_read_only(folder: Path) -> Iterator[None]:
    """Whatever is opened from now on; an open file can be written on, as the kernel has it."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def read_only_folders(folder: Path, chance: random.Random, times: int) -> Counts:
    """A folder that turns read-only under the writer: the journal takes what the file cannot, and commands refuse."""
    counts = Counts()
    for number in range(times if can_mount() else 0):
        home = folder / f"home-{number}"
        home.mkdir()
        path, before = home / "observations.h5", chance.randrange(1, 8)
        logbook = Logbook(path)
        for step in range(before):
            logbook.record(observation(step))
        with turned_read_only(home):
            for step in range(20, 23):
                counts.tried += 1
                logbook.record(observation(step))
            seen = open_logbook(path)["step"].values.tolist()
            counts.check(seen == list(range(before)), f"read-only {number}: the file has {seen}")
            try:
                logbook.close()
                counts.faults.append(f"read-only {number}: closed as if all were well")
            except OSError as error:
                counts.refused += 1
                counts.check("\n" not in str(error), f"read-only {number}: {error}")
            result = folder / "step1.json"
            result.write_text('{"results": {"piqa": {"acc": 0.5}}}')
            _refused_by_command(["import", str(path), str(result)], counts)
            _refused_by_command(["report", str(path), "--out", str(home / "r.html")], counts)
            _refused_by_command(["plot", str(path), "--out", str(home / "figures")], counts)
        with Logbook(path) as logbook:
            counts.check(logbook.steps == (*range(before), 20, 21, 22), f"read-only {number}: {logbook.steps}")
            counts.kept += len(logbook.steps)
    return counts


def _refused_by_command(arguments: list[str], counts: Counts) -> None:
    counts.tried += 1
    try:
        main(arguments)
        counts.faults.append(f"{arguments} went through")
    except SystemExit as ended:
        counts.refused += 1
        told = str(ended.code)
        counts.check(told.startswith("observatory: ") and "\n" not in told, f"{arguments}: {told}")


def vanished_folders(folder: Path, chance: random.Random, times: int) -> Counts:
    """Deleted, moved away or put anew under an open writer."""
    counts = Counts()
    for number in range(times):
        home = folder / f"home-{number}"
        home.mkdir()
        logbook, before = Logbook(home / "observations.h5"), chance.randrange(5)
        for step in range(before):
            logbook.record(observation(step))
        way = ("deleted", "moved", "anew", "file alone", "product alone")[number % 5]
        if way in ("deleted", "anew"):
            shutil.rmtree(home)
        elif way == "moved":
            home.rename(folder / f"moved-{number}")
        elif way == "file alone":
            (home / "observations.h5.journal").unlink()
        else:
            (home / "observations.h5").unlink()
        if way == "anew":
            home.mkdir()
        counts.tried += 1
        try:
            logbook.record(observation(9))
            counts.check(way == "product alone", f"{way}: recorded into nothing")
            logbook.close()
            counts.check(open_logbook(home / "observations.h5").sizes["step"] == before + 1, f"{way}: lost")
            counts.kept += before + 1
        except OSError as error:
            counts.refused += 1
            counts.check("\n" not in str(error) and way != "product alone", f"{way}: {error}")
            logbook.close()
        if way == "moved":
            with Logbook(folder / f"moved-{number}" / "observations.h5") as logbook:
                counts.check(logbook.steps == tuple(range(before)), f"{way}: {logbook.steps}")
                counts.kept += before
    return counts


def second_writers(folder: Path, chance: random.Random, times: int) -> Counts:
    """Two processes want one logbook: whoever comes second is refused, and the first loses nothing."""
    counts = Counts()
    for number in range(times):
        path = folder / f"{number}.h5"
        with Logbook(path) as logbook:
            logbook.record(observation(0))
            counts.tried += 1
            said = live(lambda say: _try_to_write(path, say)).said  # noqa: B023 (called at once)
            counts.refused += any("another writer has this logbook open" in words for words in said)
            counts.check("wrote" not in said, f"writer {number}: {said}")
            logbook.record(observation(1))
        time.sleep(chance.uniform(0, 0.002))
        counts.check(live(lambda say: _try_to_write(path, say)).said == ["wrote"], f"writer {number}: not let in")  # noqa: B023
        counts.kept += open_logbook(path).sizes["step"]
        counts.check(open_logbook(path)["step"].values.tolist() == [0, 1, 7], f"writer {number}: rows are lost")
    return counts


def _try_to_write(path: Path, say: Say) -> None:
    try:
        with Logbook(path) as logbook:
            logbook.record(observation(7))
    except BlockingIOError as error:
        say(str(error))
        return
    say("wrote")


def without_locks(folder: Path, chance: random.Random, times: int) -> Counts:
    """File systems that cannot lock, as NFS without its daemon: a warning, and everything is kept."""
    counts, flock = Counts(), fcntl.flock
    for number in range(times):
        code = chance.choice((errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS))

        def refuse(*_: object, code: int = code) -> None:
            raise OSError(code, os.strerror(code))

        path = folder / f"{number}.h5"
        fcntl.flock = refuse
        try:
            counts.tried += 1
            with Logbook(path) as logbook:
                logbook.record(observation(0))
            with Logbook(path) as logbook:
                logbook.record(observation(1))
                assert_same(logbook.last(before=1), observation(0))
        finally:
            fcntl.flock = flock
        counts.kept += open_logbook(path).sizes["step"]
        counts.check(open_logbook(path).sizes["step"] == 2, f"{path.name}: rows are lost")
    return counts


def readers_while_writing(folder: Path, chance: random.Random, times: int) -> Counts:
    """A writer without pause and three ways of reading: what is read is whole, and never older than what was read."""
    counts, path, tally, seen = Counts(), folder / "observations.h5", Tally(), 0
    Logbook(path).close()

    def write(say: Say) -> None:
        with Logbook(path) as logbook:
            for step in range(400):
                logbook.record(observation(step, units=2048))
        say("closed")

    pid = os.fork()
    if pid == 0:
        try:
            write(lambda _: None)
        finally:
            os._exit(0)
    while counts.tried < 4 * times and os.waitpid(pid, os.WNOHANG) == (0, 0):
        counts.tried += 1
        dataset = opened(path, tally)
        assert dataset is not None
        steps = dataset["step"].values.tolist()
        counts.check(len(steps) >= seen, f"{len(steps)} rows after {seen}")
        seen = len(steps)
        if steps:
            last = chance.choice(steps)
            read = dataset["contrast_score"].sel(step=last).values
            counts.check((read == observation(last, units=2048)["contrast_score"]).all(), f"step {last} is not whole")
        counts.kept += 1
    counts.check(seen > 0, "nothing was there to be read")
    if counts.tried == 4 * times:  # or it has ended by itself, and been waited for
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return counts


PLACES: dict[str, Callable[[Path, random.Random, int], Counts]] = {
    "full disk": full_disks,
    "read-only folder": read_only_folders,
    "vanished folder": vanished_folders,
    "second writer": second_writers,
    "no locks": without_locks,
    "readers while writing": readers_while_writing,
}
