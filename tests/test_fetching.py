"""The next checkpoint comes while this one is measured, never takes more room than there is, and leaves nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_server import Client, Fault, Hub, read_folder
from saved import BATTERY, STEPS, Failing, assert_same, folders, replayed

from observatory import Instrument, Recorder, Variable, open_logbook
from observatory.measure.scene import Scene
from observatory.observation import Observation
from observatory.replay.engine import replay
from observatory.replay.fetching import Fetcher, Room
from observatory.replay.places import Checkpoint, Remote

TINY = "lab/tiny"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def hub(suite: Path) -> Iterator[Hub]:
    hub = Hub({TINY: {"main": {}, **{f"step{step}": read_folder(suite / f"step{step}") for step in STEPS}}})
    yield hub
    hub.close()


@pytest.fixture(scope="module")
def client(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(hub.address, tmp_path_factory.mktemp("home"))
    yield client
    client.close()


class Watching(threading.Thread):
    """Notes the largest size that a folder has ever had, and by when each file in it had come."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.largest = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.002):
            self.largest = max(self.largest, sum(map(size, self.folder.rglob("*"))))


def size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


class Clock(Recorder):
    """When each observation came, and when it was due."""

    def __init__(self) -> None:
        self.recorded: list[tuple[int, float]] = []

    def record(self, observation: Observation) -> None:
        self.recorded.append((observation.step, time.time()))


def fetched_and_measured(out: str, disk_gb: float | None, settings: dict[str, Any]) -> tuple[Any, int, str | None]:
    """In the client's process: when each step was recorded, the most bytes that lay there, and what went wrong."""
    clock, watching = Clock(), Watching(Path(f"{out}.downloads"))
    watching.start()
    failed = None
    try:
        replay(**{"source": TINY, "recorders": [clock], **settings}, out=out, battery=BATTERY, twins=0, disk_gb=disk_gb)
    except BaseException as error:
        failed = type(error).__name__
    watching.over.set()
    watching.join()
    return clock.recorded, watching.largest, failed


def left(out: Path) -> list[str]:
    """What lies beside the logbook afterwards."""
    return [path.name for path in out.parent.glob(f"{out.name}.downloads*")]


def checkpoint_size(suite: Path) -> int:
    return sum(path.stat().st_size for path in (suite / "step0").iterdir())


def test_with_room_for_one_all_are_measured_and_nothing_is_left(
    hub: Hub, client: Client, suite: Path, tmp_path: Path
) -> None:
    out, room = tmp_path / "o.h5", checkpoint_size(suite) + 4096  # the library keeps notes of a few hundred bytes
    with hub.watched() as requests:
        recorded, largest, failed = client.run(fetched_and_measured, str(out), room / 1e9, {})
    assert failed is None
    assert [step for step, _ in recorded] == [*STEPS]
    assert_same(replayed(suite, tmp_path / "local.h5", twins=0), open_logbook(out))
    assert checkpoint_size(suite) / 2 < largest <= room < 2 * checkpoint_size(suite)
    assert left(out) == []
    assert len([one for one in requests if one.path.endswith("model.safetensors") and "elsewhere" in one.path]) == 3


class Slow(Instrument):
    """Takes its time, and says when."""

    name = "slow"

    def __repr__(self) -> str:
        return "Slow()"

    def measure(self, scene: Scene) -> dict[str, Variable]:
        began = time.time()
        time.sleep(1.5)
        return {"time": Variable(("end",), np.array([began, time.time()]))}


def test_the_next_is_fetched_while_this_one_is_measured(hub: Hub, client: Client, tmp_path: Path) -> None:
    out, came = tmp_path / "o.h5", dict[str, float]()
    over = threading.Event()

    def listen() -> None:
        while not over.wait(0.002):
            for request in list(hub.requests):
                came.setdefault(request.path, time.time())

    hub.plan("GET elsewhere", *([Fault(pause=1.0)] * len(STEPS)))
    with hub.watched():
        listening = threading.Thread(target=listen)
        listening.start()
        _, _, failed = client.run(fetched_and_measured, str(out), 1e-3, {"instruments": [Slow()]})
        over.set()
        listening.join()
    assert failed is None
    began, ended = open_logbook(out)["slow_time"].values.T
    for number, step in enumerate(STEPS[1:]):
        asked = came[f"/elsewhere/{TINY}/{hub.commit(TINY, f'step{step}')}/model.safetensors"]
        assert began[number] - 1.0 < asked < ended[number]
        assert began[number + 1] - ended[number] < 1.0  # it was there when it was wanted
    assert left(out) == []


class Interrupting(Recorder):
    """Somebody presses Ctrl-C when the first observation is recorded, and the next checkpoint is on its way."""

    def record(self, observation: Observation) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"recorders": [Interrupting()]}, "KeyboardInterrupt"), ({"instruments": [Failing()]}, "ZeroDivisionError")],
)
def test_a_replay_that_ends_early_leaves_nothing(
    settings: dict[str, Any], error: str, hub: Hub, client: Client, tmp_path: Path
) -> None:
    out = tmp_path / "o.h5"
    hub.plan("GET elsewhere", Fault(pause=0.2))
    with hub.watched():
        _, largest, failed = client.run(fetched_and_measured, str(out), 1e-3, settings)
    assert failed == error
    assert largest > 0
    assert left(out) == []


def given_up(folder: str) -> tuple[str, int]:
    """In the client's process: what became of a download that nobody waits for any more, and what it has left."""
    place = Checkpoint(0, 0, Remote("lab/long", "step0"), "step0")
    with Fetcher(Room(Path(folder), 10**9)) as fetcher:
        fetcher.fetch_ahead(place)
        (coming,) = fetcher._coming.values()
        while not any(map(size, Path(folder).rglob("*.incomplete"))):
            time.sleep(0.01)
    return type(coming.exception()).__name__, len(list(Path(folder).iterdir()))


def test_nobody_waits_for_a_download_that_is_not_wanted_any_more(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.repositories["lab/long"] = {"step0": {"config.json": b"{}", "model.safetensors": bytes(40 * 2**20)}}
    hub.plan("GET elsewhere", Fault(pause=0.001))
    assert client.run(given_up, str(tmp_path)) == ("CancelledError", 0)


def test_a_checkpoint_that_is_larger_than_the_room_is_a_gap(
    hub: Hub, client: Client, suite: Path, tmp_path: Path
) -> None:
    hub.repositories["lab/large"] = {f"step{step}": read_folder(suite / f"step{step}") for step in STEPS}
    hub.repositories["lab/large"]["step2"] |= {"model.safetensors": bytes(10**6)}
    out, room = tmp_path / "o.h5", 200_000
    _, largest, failed = client.run(fetched_and_measured, str(out), room / 1e9, {"source": "lab/large"})
    assert failed is None
    assert largest <= room
    logbook = open_logbook(out)
    assert logbook["step"].values.tolist() == [0, 5]
    taken = checkpoint_size(suite) - size(suite / "step2" / "model.safetensors") + 10**6
    words = f"step2 takes {taken:,} bytes, and the downloads may take 200,000 together; give them more room"
    assert logbook["gap_reason"].values.tolist() == [f"step2 could not be loaded: {words}"]


def rooms_after_a_failure(folder: str) -> list[str]:
    """In the client's process."""
    fetched = Fetcher(Room(Path(folder), 10**6)).fetched(Checkpoint(0, 0, Remote(TINY, "step0"), "step0"))
    with pytest.raises(ValueError, match="and then says that there is no such file"), fetched:
        pass
    return [path.name for path in Path(folder).iterdir()]


def test_what_came_before_a_download_failed_goes_too(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.plan("HEAD model.safetensors", Fault(404, {"X-Error-Code": "EntryNotFound"}))
    with hub.watched() as requests:
        assert client.run(rooms_after_a_failure, str(tmp_path / "room")) == []
    assert any("tokenizer.json" in one.path for one in requests)


def test_what_a_killed_replay_has_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("checkpoint-abc/model", "checkpoint-def/.cache", "mine"):
        (tmp_path / "room" / name).mkdir(parents=True)
    Room(tmp_path / "room", 1).clear()
    assert [path.name for path in (tmp_path / "room").iterdir()] == ["mine"]
    (tmp_path / "room" / "mine").rmdir()
    Room(tmp_path / "room", 1).clear()
    assert not (tmp_path / "room").exists()
    with pytest.raises(ValueError, match="is a number of bytes, 1 or more; got 0"):
        Room(tmp_path, 0)


def test_without_a_room_what_is_fetched_stays_in_the_hubs_cache(hub: Hub, client: Client, tmp_path: Path) -> None:
    for number in range(2):
        with hub.watched() as requests:
            _, largest, failed = client.run(fetched_and_measured, str(tmp_path / f"{number}.h5"), None, {})
        assert failed is None
        assert largest == 0
    assert not [one for one in requests if "elsewhere" in one.path]
