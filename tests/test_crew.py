"""Several workers write the logbook that one writes, whoever of them dies; and none of them outlives the replay."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from saved import BATTERY, TWINS, Awkward, Failing, Telling, assert_same, folders, replayed, slow

from observatory import Recorder, open_logbook
from observatory.choice import instruments_from
from observatory.observation import Gap, Observation
from observatory.replay.bench import Job, Settings
from observatory.replay.checkpoints import find_checkpoints
from observatory.replay.crew import Crew, of_several
from observatory.replay.engine import replay
from observatory.replay.fetching import Room
from observatory.replay.places import Checkpoint
from observatory.replay.worker import Process, WorkerLost

MANY = tuple(range(8))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders(tmp_path_factory.mktemp("suite"), steps=MANY)


class Killing(Recorder):
    """When the first observation is recorded, a worker dies in the middle of its job."""

    def __init__(self) -> None:
        self.killed: list[int] = []

    def record(self, observation: Observation) -> None:
        if not self.killed:
            worker = multiprocessing.active_children()[0]
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
            self.killed.append(worker.pid)


def test_two_workers_write_the_logbook_of_one_also_if_one_of_them_is_killed(suite: Path, tmp_path: Path) -> None:
    killing = Killing()
    (suite / "step3" / "model.safetensors").rename(suite / "step3" / "kept")
    many = replayed(suite, tmp_path / "many.h5", workers=2, recorders=[killing])
    assert killing.killed
    assert multiprocessing.active_children() == []
    assert many["step"].values.tolist() == [step for step in MANY if step != 3]
    one = replayed(suite, tmp_path / "one.h5")
    assert_same(one, many, "gap_time")
    (suite / "step3" / "kept").rename(suite / "step3" / "model.safetensors")


def jobs(suite: Path) -> list[Job]:
    return [Job(one, after=one.step - 1, last=False) for one in find_checkpoints(suite)]


@pytest.fixture(scope="module")
def worker(suite: Path) -> Iterator[Process]:
    instruments = instruments_from([Telling(), Failing(awkward=True)])
    process = Process(Settings(str(suite / "step0"), BATTERY, instruments, twins=0, threads=1))
    yield process
    process.close()


def test_what_every_worker_warns_of_is_told_once(suite: Path, worker: Process) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = [worker.measure(job) for job in jobs(suite)[:2]]
    assert [one.step for one in found] == [0, 1]
    assert [str(one.message) for one in caught] == ["these weights are tiny"]
    assert caught[0].filename.endswith("saved.py")


@pytest.mark.filterwarnings("ignore:these weights are tiny")
def test_an_error_in_a_worker_is_raised_here_with_its_place_and_the_worker_goes_on(
    suite: Path, worker: Process
) -> None:
    """An error that cannot be made again from its words looked like the death of the worker."""
    with pytest.raises(RuntimeError, match="Awkward: at step 2") as caught:
        worker.measure(jobs(suite)[2])
    place, there = caught.value.__notes__
    assert place == f"this happened at {suite / 'step2'}"
    assert "in measure\n" in there
    assert isinstance(worker.measure(jobs(suite)[4]), Observation)
    with pytest.raises(TypeError):
        Awkward("words")  # type: ignore[misc,call-arg]


def test_a_worker_that_cannot_begin_says_why(suite: Path) -> None:
    settings = Settings(str(suite / "step0"), BATTERY, instruments_from(None), model="nowhere:nothing")
    process = Process(settings)
    with pytest.raises(ValueError, match="there is no 'nowhere:nothing' that makes the model"):
        process.measure(jobs(suite)[0])
    process.close()


@dataclass
class Mortal:
    """Answers with a gap, and dies of some steps."""

    deadly: tuple[int, ...] = ()
    failing: tuple[int, ...] = ()
    delay: float = 0.0
    closed: bool = False
    done: list[int] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def measure(self, job: Job) -> Observation | Gap:
        step = job.checkpoint.step
        assert not self.closed
        if step in self.deadly:
            raise WorkerLost("exit code -9")
        if step in self.failing:
            raise ZeroDivisionError(step)
        if self.ended.wait(self.delay):
            raise WorkerLost("closed")
        self.done.append(step)
        return Gap(step, "looked at")

    def close(self) -> None:
        self.closed = True
        self.ended.set()


def job(step: int) -> Job:
    return Job(Checkpoint(step, 0, Path(), f"step{step}"), after=-1, last=False)


def test_a_job_whose_worker_dies_is_done_by_a_new_one(tmp_path: Path) -> None:
    hired: list[Mortal] = []

    def hire() -> Mortal:
        hired.append(Mortal(deadly=(1, 3) if len(hired) < 2 else ()))
        return hired[-1]

    with Crew(2, hire) as crew:
        waiting = [crew.submit(job(step)) for step in range(6)]
        assert [one.result().step for one in waiting] == [*range(6)]
    assert sorted(step for one in hired for step in one.done) == [*range(6)]
    assert len(hired) <= 4
    assert all(one.closed for one in hired)


def test_a_checkpoint_of_which_every_worker_dies_is_told_after_three(tmp_path: Path) -> None:
    hired: list[Mortal] = []

    def hire() -> Mortal:
        hired.append(Mortal(deadly=(2,)))
        return hired[-1]

    with Crew(1, hire) as crew:
        first, second, third = (crew.submit(job(step)) for step in (1, 2, 3))
        assert first.result().step == 1
        words = r"died 3 times at step2 \(exit code -9\); it may need more memory than there is for 1 workers"
        with pytest.raises(RuntimeError, match=words):
            second.result()
        assert third.result().step == 3
    assert len(hired) == 4


def test_an_error_is_raised_where_the_result_is_asked_for_and_does_not_cost_a_worker() -> None:
    hired: list[Mortal] = []

    def hire() -> Mortal:
        hired.append(Mortal(failing=(1,)))
        return hired[-1]

    with Crew(1, hire) as crew:
        first, second = crew.submit(job(1)), crew.submit(job(2))
        with pytest.raises(ZeroDivisionError):
            first.result()
        assert second.result().step == 2
    assert len(hired) == 1


def test_whoever_leaves_early_waits_for_nobody() -> None:
    hired: list[Mortal] = []

    def hire() -> Mortal:
        hired.append(Mortal(delay=60))
        return hired[-1]

    began, ended = time.perf_counter(), threading.Event()
    crew = Crew(2, hire, ended.set)
    waiting = [crew.submit(job(step)) for step in range(6)]
    while len(hired) < 2:
        time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt), crew:
        raise KeyboardInterrupt
    assert time.perf_counter() - began < 30
    assert all(one.closed for one in hired)
    assert len(hired) == 2
    assert sum(one.cancelled() for one in waiting) == 4
    assert ended.is_set()


def test_workers_share_the_threads_and_the_room_for_downloads() -> None:
    settings = Settings("t", BATTERY, instruments_from(None), room=Room(Path("r"), 10))
    for count, threads, each, room in ((4, 1, 1, 2), (3, 7, 2, 3), (16, 4, 1, 1)):
        one = of_several(settings, count, threads)
        assert one == replace(settings, threads=each, room=Room(Path("r"), room))
    assert of_several(replace(settings, threads=5, room=None), 2, 2).threads == 5


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="whether a process is there is read from /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=slow)])
def test_workers_end_with_whoever_leads_them(sent: signal.Signals, suite: Path, tmp_path: Path) -> None:
    script, out = Path(__file__).with_name("crew_child.py"), tmp_path / "o.h5"
    with subprocess.Popen(
        [sys.executable, str(script), str(suite), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=script.parent,
    ) as leader:
        assert leader.stdout is not None
        workers = [int(pid) for pid in leader.stdout.readline().split()]
        assert workers
        leader.send_signal(sent)
        said, errors = leader.communicate(timeout=120)
    assert "done" not in said
    assert leader.returncode == -sent
    assert sent == signal.SIGKILL or errors.splitlines()[-1] == "KeyboardInterrupt"
    for _ in range(600):
        if not any(map(alive, workers)):
            break
        time.sleep(0.1)
    assert not any(map(alive, workers))
    steps = open_logbook(out)["step"].values.tolist()
    assert 0 < len(steps) < len(MANY)
    replay(suite, out, battery=BATTERY, twins=TWINS)
    assert open_logbook(out)["step"].values.tolist() == [*MANY]
