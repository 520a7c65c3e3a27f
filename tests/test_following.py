"""`observatory watch`: what it shows of a logbook, and real runs followed in a real terminal until they end."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from io import StringIO
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from following_child import STEPS
from recorded import recorded
from rich.console import Console
from verdicts import planted, step_up

from observatory import Logbook, open_logbook
from observatory.cli import main
from observatory.observation import Gap, Observation, Variable
from observatory.record.writer import Writer, writer_of
from observatory.review.following.followed import Followed, followed
from observatory.review.following.pace import Next, next_observation
from observatory.review.following.screen import view, waiting
from observatory.review.following.sparkline import round_top, sparkline
from observatory.review.following.watching import follow
from observatory.review.judge.emergence import emergence
from observatory.schedules import logarithmic

pytestmark = pytest.mark.filterwarnings(
    "ignore:\\s*(By default only one Jsonargparse|.* was deprecated in v):DeprecationWarning"
)
CHILD = Path(__file__).with_name("following_child.py")
RUNNING = Writer("running", 4711, "here")


# Curves in a line


def test_a_block_stands_for_an_eighth_of_the_scale() -> None:
    assert sparkline(np.arange(0, 2, 0.25) + 0.125, 2.0, 99) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.array([-3, 0, 0.12, 0.13, nan, 0.99, 1, 7]), 1.0, 99) == "▁▁▁▂ ███"


def test_more_values_than_columns_are_means_of_neighbours_that_say_something() -> None:
    assert sparkline(np.array([0, 1, 1, nan, nan, nan, 0.2, 0.4]), 1.0, 4) == "▅█ ▃"


@pytest.mark.parametrize(
    ("largest", "top"), [(0.0, 0.5), (0.5, 0.5), (0.51, 1), (1, 1), (1.2, 2), (2.0, 2), (3, 5), (7, 10), (40, 50)]
)
def test_the_scale_ends_at_a_round_number_above_all(largest: float, top: float) -> None:
    assert round_top(np.array([nan, -9, largest])) == top


# When there is more to see


def coming(attributes: Mapping[str, Any], steps: list[int], took: float = 2.0, pace: float = 0.5, **last: int) -> Next:
    """A run with so many seconds a step between observations that take so long."""
    times = 1000 + np.cumsum([took + pace * gap for gap in np.diff([0, *steps])])
    return next_observation(
        attributes, np.array(steps), times, np.full(len(steps), took), last.get("last", max(steps, default=-1))
    )


def test_the_next_observation_is_where_the_schedule_says_and_as_far_as_the_pace_says() -> None:
    """The steps so far take 0.5 s each, and an observation 2 s."""
    due = logarithmic(6)
    steps = [step for step in range(300) if due(step)]
    found = coming({"schedule": "logarithmic 6", "max_steps": 1000}, steps)
    expected = min(step for step in range(300, 1001) if due(step))
    assert found.step == expected
    assert found.time == pytest.approx(1000 + 2 * len(steps) + 0.5 * steps[-1] + 0.5 * (expected - steps[-1]) + 2)


def test_a_run_that_stood_still_for_a_night_does_not_change_the_pace() -> None:
    steps, took = np.array([0, 10, 20, 30, 40, 50]), np.full(6, 1.0)
    times = 100 + steps * 0.1 + np.arange(1, 7)
    times[3:] += 30_000
    found = next_observation({"schedule": "every 10"}, steps, times, took, 50)
    assert found.time == pytest.approx(times[-1] + 1 + 1)


def test_the_end_of_the_run_is_observed_and_nothing_after() -> None:
    assert coming({"schedule": "every 100", "max_steps": 250}, [0, 100, 200]).step == 250
    assert coming({"schedule": "every 100", "max_steps": 250}, [0, 100, 250]) == Next(reason="this was the last one")


def test_a_step_that_was_missed_is_not_awaited() -> None:
    assert coming({"schedule": "every 100"}, [0, 100, 200], last=300).step == 400


def test_what_is_not_known_is_said() -> None:
    assert coming({}, [0, 1]).reason == "the logbook holds no schedule"
    assert coming({"max_overhead": 0.01}, [0, 1]).reason == "it comes when its share of the time allows"
    assert coming({"schedule": "at 0 5"}, [0, 5]).reason == "the schedule has no further step"
    once = coming({"schedule": "at 0 5"}, [0])
    assert (once.step, once.time, once.reason) == (5, None, "the pace is known from two observations on")


# Who writes


def test_a_writer_is_running_until_it_closes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    assert writer_of(path).state == "closed"
    with Logbook(path):
        assert writer_of(path) == Writer("running", os.getpid(), os.uname().nodename)
        assert not writer_of(path).ended
        (tmp_path / "link.h5").symlink_to(path)
        assert writer_of(tmp_path / "link.h5").state == "running"
    assert writer_of(path) == Writer("closed")
    assert writer_of(path).ended


def test_asking_turns_no_writer_away(tmp_path: Path) -> None:
    """To try the lock, if only for a moment, would refuse a run that begins just then."""
    path = tmp_path / "a.h5"
    Logbook(path).close()
    asking = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from observatory.record.writer import writer_of\n"
            f"print('asking', flush=True)\nwhile True: writer_of(Path({str(path)!r}))",
        ],
        stdout=subprocess.PIPE,
    )
    assert asking.stdout is not None
    asking.stdout.readline()
    try:
        for _ in range(100):
            Logbook(path).close()
    finally:
        asking.kill()
        asking.communicate()


def test_a_writer_elsewhere_cannot_be_told_to_run(tmp_path: Path) -> None:
    lock = tmp_path / "a.h5.lock"
    lock.write_text(json.dumps({"pid": 1, "host": "far-away", "since": "long"}))
    assert writer_of(tmp_path / "a.h5") == Writer("elsewhere", 1, "far-away")
    lock.write_text("{not JSON")
    assert writer_of(tmp_path / "a.h5") == Writer("elsewhere")


# What is shown


def shown(seen: Followed, writer: Writer = RUNNING, now: float = 0.0, width: int = 80) -> str:
    console = Console(width=width, file=StringIO())
    console.print(view(seen, writer, now or seen.last_time + 12, width))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    steps = [0, 1, 3, 10, 30, 100, 300]
    curves = {
        "math": step_up(steps, 10, height=1.8),
        "social": step_up(steps, 3, 30),
        "a domain with a long name": np.where(np.array(steps) == 30, nan, 0.0),
    }
    path = recorded(tmp_path_factory.mktemp("run") / "run.h5", planted(steps, curves, gaps=[50]))
    return open_logbook(path).assign_attrs(schedule="every 100", max_steps=1000)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_width_shows_the_verdicts_of_the_moment(run: xr.Dataset, width: int) -> None:
    told = shown(followed(run, "run.h5"), width=width)
    assert max(map(len, told.splitlines())) <= width
    words = " ".join(told.split())
    judged = {one.domain: one for one in emergence(run).verdicts}
    assert "step 300 of 1000, 614K tokens; 7 observations, 1 gap" in words
    for domain, stands in (("math", "general"), ("social", "lost again")):
        assert re.search(rf"{domain} +{stands} +{judged[domain].index:.2f}", told)
        assert "[{:.2f}, {:.2f}]".format(*judged[domain].interval) in told
    assert ("▁▁▁████" in told, "▁▁▃▃▁▁▁" in told, "▁▁▁▁ ▁▁" in told) == (True, True, True)
    assert "curves from 0 to 2" in words
    assert ("Social emerged" in told) == (width >= 90)


def test_the_onset_is_that_of_the_verdict_in_tokens_or_in_steps(run: xr.Dataset) -> None:
    judged = emergence(run)
    tokens = judged.tokens_at(judged.onsets["math"].crossing) / 1000
    assert re.search(rf"\] +{tokens:.1f}K +▁▁▁█", shown(followed(run, "run")))
    uncounted = run.assign_coords(tokens=("step", np.zeros(7, dtype=int)))
    assert re.search(rf"\] +{judged.onsets['math'].crossing:.0f} +▁▁▁█", shown(followed(uncounted, "run")))


def test_ages_and_what_is_to_come_are_those_of_now(run: xr.Dataset) -> None:
    steps = run["step"].values
    times = (1.7e9 + steps * 0.5) * 1e9
    timed = run.assign_coords(time=("step", times.astype("datetime64[ns]")), seconds=("step", np.zeros(7)))
    seen = followed(timed, "run")
    assert "last observation 12 s ago; next at step 400 in about 38 s" in shown(seen, now=seen.last_time + 12)
    assert "last observation 2 min ago; next at step 400, due any moment" in shown(seen, now=seen.last_time + 120)
    assert "last observation 2.0 h ago" in shown(seen, now=seen.last_time + 7200)
    missed = timed.assign(gap_step=("gap", [400]))
    assert "next at step 500 in" in shown(followed(missed, "run"))
    assert "next unknown: the logbook holds no schedule" in shown(followed(run.drop_attrs(), "run"))


def test_whether_the_run_lives_is_said(run: xr.Dataset) -> None:
    seen = followed(run, "run")
    assert "running (process 4711)" in shown(seen)
    gone = shown(seen, Writer("gone", 4711, "here"))
    assert "process 4711 ended without closing the logbook" in gone
    assert "next" not in gone
    assert "closed: nobody writes to it" in shown(seen, Writer("closed"))
    assert "finished" in shown(followed(run.assign_attrs(max_steps=300), "run"), Writer("closed"))
    assert "process 1 on far-away; whether that runs cannot be told" in shown(seen, Writer("elsewhere", 1, "far-away"))


def test_a_logbook_without_observations_or_regions_says_so(tmp_path: Path) -> None:
    with Logbook(tmp_path / "a.h5") as book:
        told = shown(followed(open_logbook(book.path), "a"), width=60)
        assert "0 observations, 0 gaps" in told
        assert "there is no observation yet" in told
        book.gap(Gap(3, "out of luck"))
        assert "0 observations, 1 gap" in shown(followed(open_logbook(book.path), "a"), width=60)
        book.record(Observation(5, {"loss": Variable((), np.array(2.0))}, {}))
        told = shown(followed(open_logbook(book.path), "a"))
        assert "step 5; 1 observation, 1 gap" in told
        assert "a verdict needs the contrast localizer's variables" in told


def test_a_file_that_is_missing_is_waited_for_and_one_that_vanished_too() -> None:
    assert waiting(Path("a.h5"), before=False).plain == "waiting for a.h5: there is no such logbook yet"
    assert waiting(Path("a.h5"), before=True).plain == "a.h5 is no longer there; waiting for it to come back"


# The loop


class Following:
    """`follow` in a thread, with what it prints where there is no terminal."""

    def __init__(self, path: Path) -> None:
        self._output = StringIO()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=[path], daemon=True)
        self._thread.start()

    def _run(self, path: Path) -> None:
        try:
            follow(path, Console(width=80, file=self._output), tick=0.02)
        except ValueError as error:
            self._error = error

    @property
    def told(self) -> str:
        return self._output.getvalue()

    def until(self, words: str) -> None:
        deadline = time.monotonic() + 20
        while words not in " ".join(self.told.split()):  # lines break where paths are long
            assert time.monotonic() < deadline, f"{words!r} not in {self.told!r}"
            time.sleep(0.01)

    def ended(self) -> Exception | None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self._error


def observed(step: int) -> Observation:
    return Observation(step, {"loss": Variable((), np.array(2.0))}, {})


def test_what_is_no_terminal_is_told_once_of_every_change(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    following = Following(path)
    following.until("there is no such logbook yet")
    time.sleep(0.2)
    (tmp_path / "a.h5.lock").write_text(json.dumps({"pid": os.getpid(), "host": os.uname().nodename}))
    time.sleep(0.2)
    assert following.told.count("waiting") == 1
    with Logbook(path) as book:
        following.until("0 observations")
        book.record(observed(5))
        following.until("step 5")
        time.sleep(0.2)
        assert following.told.count("step 5") == 1
        path.rename(tmp_path / "away.h5")
        following.until("is no longer")
        book.record(observed(6))
        following.until("step 6")
    assert following.ended() is None
    assert following.told.rindex("closed: nobody writes to it") > following.told.rindex("running")


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    """Spoilt behind its back, with its length and its time as before, it would be refused as soon as it was read."""
    path = tmp_path / "a.h5"
    with Logbook(path) as book:
        book.record(observed(5))
        following = Following(path)
        following.until("step 5")
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.write(b"spoilt")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        time.sleep(0.3)
        assert following._thread.is_alive()
        os.utime(path)
        assert "is not a logbook" in str(following.ended())


# The command


def child(path: Path, pause: float, count: int = len(STEPS), ending: str = "closed") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(CHILD), str(path), str(pause), str(count), ending])


def watching(path: Path, columns: int = 60) -> tuple[subprocess.Popen[bytes], int]:
    """In a terminal of so many columns."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (40, columns))
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "observatory", "watch", str(path)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        start_new_session=True,
    )
    os.close(follower)
    return process, leader


def screen(leader: int, until: str = "", seconds: float = 30) -> str:
    """What the terminal was sent, until some words or its end."""
    told = b""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                told += os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
        if until and until in told.decode(errors="ignore"):
            break
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told.decode()).replace("\r", "")


def test_a_run_is_followed_in_a_terminal_from_before_it_begins_until_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    process, leader = watching(path)
    try:
        told = screen(leader, until="no such logbook yet")
        with child(path, pause=0.4) as run:
            told += screen(leader)
        assert run.returncode == 0
        assert process.wait(30) == 0
    finally:
        process.kill()
        os.close(leader)
    assert "running (process" in told
    assert re.search(r"next at step \d+(,| in about)", told)
    last = told[told.rindex("step 300 of 300") :]
    assert "7 observations, 0 gaps" in last
    assert "finished" in last
    assert re.search(r"math +general", last)
    assert re.search(r"social +not emerged", last)
    assert max(map(len, told.splitlines())) <= 60 + len(str(path))
    assert "Traceback" not in told


def test_a_killed_run_is_told_from_a_finished_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.h5"
    run = child(path, pause=0.0, count=4, ending="killed")
    assert run.wait(60) == -signal.SIGKILL
    main(["watch", str(path), "--once", "true"])
    told = " ".join(capsys.readouterr().out.split())
    assert "step 10 of 300, 20.5K tokens; 4 observations, 1 gap" in told
    assert f"process {run.pid} ended without closing the logbook" in told


def test_control_c_ends_it_quietly(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    run = child(path, pause=0.0, ending="waiting")
    process, leader = watching(path)
    try:
        screen(leader, until="300 of 300")
        process.send_signal(signal.SIGINT)
        rest = screen(leader)
        assert process.wait(30) == 0
        assert "Traceback" not in rest
    finally:
        run.kill()
        run.wait()
        process.kill()
        os.close(leader)


def test_once_tells_what_there_is_or_that_there_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Logbook(tmp_path / "a.h5") as book:
        book.record(observed(5))
        main(["watch", str(book.path), "--once", "true"])
        assert "step 5; 1 observation" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="there is no logbook"):
        main(["watch", str(tmp_path / "nowhere.h5"), "--once", "true"])
