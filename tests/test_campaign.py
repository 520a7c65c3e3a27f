"""The campaign's quick form: some kills of training runs and replays, and places that fail under a writer."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from logbook_cases import observation
from saved import slow

from observatory import Logbook

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PLACES = 5
CAMPAIGN = """
import os, random, sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
import campaign
from campaign_parts import kill_writers
from observatory.record.journal import Journal

campaign.main()

def append(self, frames):
    'Acknowledges every third append and forgets it.'
    Journal.asked = getattr(Journal, 'asked', 0) + 1
    before = self.end
    positions = whole(self, frames)
    if Journal.asked % 3 == 0:
        os.ftruncate(self._descriptor, before)
    return positions

whole, Journal.append = Journal.append, append
(forgetful := Path(sys.argv[-1]) / "forgetful").mkdir()
print(len(kill_writers(forgetful, 5, random.Random(0)).faults))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """In a process of its own, which forks: first as it is, and then with a journal that forgets."""
    folder = tmp_path_factory.mktemp("campaign")
    words = ["--kills", "7", "--places", str(PLACES), "--out", str(folder / "found.json"), "--folder", str(folder)]
    ended = subprocess.run(
        [sys.executable, "-c", CAMPAIGN, str(BENCHMARKS), *words], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    counts: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return {**counts, "faults of a forgetful journal": int(ended.stdout.splitlines()[-1])}


@pytest.mark.parametrize("part", ["logbook", "live", "replay"])
def test_what_is_killed_loses_nothing_and_ends_as_if_it_had_never_been(part: str, found: dict[str, Any]) -> None:
    tally = found[part]
    assert tally["kills"] >= 1
    assert tally["faults"] == []
    assert tally["ends"] == tally["chains"] > 0


@pytest.mark.parametrize(
    ("part", "kills"), [pytest.param(*one, marks=slow) for one in (("lightning", 4), ("ddp", 4), ("crew", 2))]
)
def test_what_is_killed_in_part_ends_and_goes_on_as_if_it_had_never_been(part: str, kills: int, tmp_path: Path) -> None:
    words = ["--kills", str(kills), "--parts", part, "--folder", str(tmp_path), "--out", str(tmp_path / "found.json")]
    ended = subprocess.run(
        [sys.executable, str(BENCHMARKS / "campaign.py"), *words], capture_output=True, text=True, timeout=900
    )
    assert ended.returncode == 0, ended.stderr
    tally = json.loads((tmp_path / "found.json").read_text())[part]
    assert tally["kills"] == kills
    assert tally["ends"] == tally["chains"] > 0


@pytest.mark.parametrize(
    "place",
    ["full disk", "read-only folder", "vanished folder", "second writer", "no locks", "readers while writing"],
)
def test_a_place_that_fails_under_a_writer_costs_nothing_that_was_acknowledged(
    place: str, found: dict[str, Any]
) -> None:
    counts = found[place]
    if not counts["tried"]:
        pytest.skip("only root can mount a file system")
    assert counts["faults"] == []
    assert counts["kept"] > 0
    assert counts["refused"] > 0 or place in ("full disk", "no locks", "readers while writing")


def test_the_campaign_sees_what_is_lost(found: dict[str, Any]) -> None:
    assert found["faults of a forgetful journal"] > 0


LEFT = """
import os, sys, time
sys.path[:0] = sys.argv[1:]
import campaign_kills
campaign_kills.HANGS = 2

def of_two(say):
    if os.fork() == 0:
        say("second begins")
        time.sleep(60)
        os._exit(0)
    say("begins")
    os.wait()
    say("closed")

for other in (None, 0.5):
    life = campaign_kills.live(of_two, campaign_kills.Moment(2, 0.0, other))
    print(life.killed, life.said[-1])
"""


def test_the_campaign_sees_who_does_not_end_when_the_other_has_died() -> None:
    told = subprocess.run([sys.executable, "-c", LEFT, str(BENCHMARKS)], capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == ["True error: 1 hung", "True closed"]


def test_a_logbook_that_cannot_be_opened_for_want_of_room_is_not_held_by_who_tried(tmp_path: Path) -> None:
    """The lock was kept: once there was room again, the same process was told that it wrote the logbook itself."""
    path = tmp_path / "observations.h5"
    with Logbook(path) as logbook:
        logbook.record(observation(0))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}.journal").stat().st_size, old[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            Logbook(path, {"seed": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    with Logbook(path, {"seed": 1}) as logbook:
        assert logbook.steps == (0,)
