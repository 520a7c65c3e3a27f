"""What is killed: a process that writes a logbook, one that trains, one that replays; and what it must have left."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from campaign_kills import Life, Moment, Say, Tally, copied, live, moments, opened, void
from logbook_cases import assert_same, observation
from logbook_child import expected, operations
from loop import small_battery, word_tokenizer
from loops import batches, loss_of, optimizer_of, small_model
from saved import BATTERY as SAVED_BATTERY
from saved import CLOCK, TWINS, folders
from saved import assert_same as _assert_same

from observatory import Logbook, Monitor, Recorder, open_logbook
from observatory.observation import Gap, Observation
from observatory.record import logbook as recording
from observatory.record.next_free import next_free
from observatory.replay.engine import replay

STEPS, MANY = 5, (0, 1, 2, 3, 4, 5)
BATTERY = small_battery(items=2)


class Saying(Recorder):
    """Told after the logbook: what it says is acknowledged."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def record(self, observation: Observation) -> None:
        self._say(f"did {observation.step}")

    def gap(self, gap: Gap) -> None:
        self._say(f"gap {gap.step}")

    def note(self, text: str) -> None:
        """Nothing to be counted."""


@contextmanager
def noting(tally: Tally, what: str) -> Iterator[None]:
    """Whatever goes wrong is a fault, and the campaign goes on."""
    try:
        yield
    except Exception as error:
        tally.faults.append(f"{what}: {' '.join(repr(error).split())[:400]}")


# Writing -----------------------------------------------------------------------------------------------------------

OPERATIONS = 8
"""Of one life."""
SIZES = {"small": (512, None), "large": (16384, None), "seldom published": (2048, 0)}
"""Units of a recorded map, and from how many bytes on the file is published only now and then."""


def write_logbook(path: Path, first: int, units: int, say: Say) -> None:
    with Logbook(path) as logbook:
        for number in range(first, first + OPERATIONS):
            say(f"try {number}")
            kind, step = operations(number)
            if kind == "gap":
                logbook.gap(Gap(step, f"gap {number}", time=1.7e9))
            elif kind == "rewind":
                logbook.rewind(step)
            else:
                logbook.record(observation(step, number, units))
            say(f"did {number}")
    say("closed")


def kill_writers(folder: Path, kills: int, chance: random.Random) -> Tally:
    """Each chain is one logbook, killed up to twenty times."""
    tally = Tally()
    while tally.kills < kills:
        units, below = SIZES[list(SIZES)[tally.chains % len(SIZES)]]
        usual = recording.ALWAYS_BELOW
        recording.ALWAYS_BELOW = usual if below is None else below
        home = folder / f"written-{tally.chains}"
        home.mkdir()
        with noting(tally, f"logbook chain {tally.chains}"):
            _one_logbook(home, units, min(20, kills - tally.kills), chance, tally)
        recording.ALWAYS_BELOW = usual
        tally.chains += 1
        shutil.rmtree(home)
    return tally


def _one_logbook(home: Path, units: int, kills: int, chance: random.Random, tally: Tally) -> None:
    path, number, safe, dead = home / "observations.h5", 0, 0, 0
    whole = live(lambda say: write_logbook(home / "whole.h5", 0, units, say))
    for moment in moments(chance, whole.seconds, 2 * OPERATIONS + 1):
        life = live(lambda say: write_logbook(path, number, units, say), moment)  # noqa: B023 (called at once)
        tally.lives += 1
        tally.kills += life.killed
        dead += life.killed
        done = max([number, *(int(words[4:]) + 1 for words in life.said if words.startswith("did "))])
        tally.acknowledged += done - number
        safe = done if done > number else safe
        if errors := [words for words in life.said if words.startswith("error")]:
            raise AssertionError(f"operation {number}: {errors}")
        number = _after_a_kill(path, home / "copy", done, safe, f"try {done}" in life.said, units, tally)
        if dead == kills:
            tally.ends += 1
            return


def _after_a_kill(path: Path, scratch: Path, done: int, safe: int, in_flight: bool, units: int, tally: Tally) -> int:
    """The next operation: all that was acknowledged is there, and the one in flight is there whole or not at all.

    Of `done` operations the last may be one that was in flight at an earlier death: then `safe` is one less, and the
    file need not have it before somebody opens it for writing.
    """
    with copied(path, scratch) as copy:
        published = opened(copy, tally)
        with Logbook(copy) as logbook:
            rows = {}
            for step in logbook.steps:
                found = logbook.last(before=step + 1)
                assert found is not None
                rows[step] = int(found["probe_edition"])
                assert_same(found, observation(step, rows[step], units))
            gaps = {gap.step: gap.reason for gap in logbook.gaps}
        after = opened(copy, tally)
        assert after is not None
        assert after["step"].values.tolist() == list(rows)
        assert after["gap_step"].values.tolist() == list(gaps)
    allowed = [expected(range(number)) for number in (done, *([done + 1] if in_flight else []))]
    assert (rows, gaps) in allowed, f"{done} operations were acknowledged, and {sorted(rows)} are there"
    if recording.ALWAYS_BELOW and done:
        assert published is not None
        steps, editions = (published[name].values.tolist() for name in ("step", "probe_edition"))
        assert dict(zip(steps, editions, strict=True)) in [
            expected(range(count))[0] for count in range(safe, done + 1 + in_flight)
        ], f"the file has not what was acknowledged: {steps}"
    return done if (rows, gaps) == allowed[0] else done + 1


# Training ----------------------------------------------------------------------------------------------------------


def train(folder: Path, say: Say) -> None:
    """A plain loop that saves after every step, and goes on where it has saved."""
    torch.manual_seed(7)
    model, kept, last = small_model(0.1), None, folder / "last.pt"
    optimizer, begun = optimizer_of(model), 0
    monitor = Monitor(
        word_tokenizer(), folder / "observations.h5", "every 1", battery=BATTERY, recorders=[Saying(say)], twins=2
    )
    if last.exists():
        kept = torch.load(last, weights_only=False)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        monitor.load_state_dict(kept["monitor"])
        begun = kept["step"]
    say(f"from {begun} {kept is not None}")

    def save(step: int) -> None:
        states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        own = {"monitor": monitor.state_dict(), "generator": torch.get_rng_state()}
        torch.save({**states, **own}, last.with_suffix(".new"))
        os.replace(last.with_suffix(".new"), last)

    monitor.begin(model, begun, max_steps=STEPS, tokens=begun * 32)
    if kept is None:
        save(0)
    else:
        torch.set_rng_state(kept["generator"])
    for step, ids in zip(range(begun + 1, STEPS + 1), batches(begun), strict=False):
        loss = loss_of(model(input_ids=ids), ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        monitor.step(step, tokens=step * ids.numel(), loss=loss)
        save(step)
    monitor.end()
    say("closed")


def kill_runs(folder: Path, kills: int, chance: random.Random) -> Tally:
    """Each chain is one run, killed until it is through; it must end in the logbook of one that was never killed."""
    return chains(folder, kills, chance, train)


# Replaying ---------------------------------------------------------------------------------------------------------


def kill_replays(folder: Path, kills: int, chance: random.Random, workers: int = 1) -> Tally:
    """Each chain is one replay; every other one finds some of its checkpoints only after its first death."""
    suite = folder / "suite"
    live(lambda _: void(folders(suite, steps=MANY)))  # which starts threads, and after a fork their locks stay closed

    def work(home: Path, say: Say) -> None:
        say("from 9 True")
        told, out = [Saying(say)], home / "observations.h5"
        replay(home / "suite", out, battery=SAVED_BATTERY, twins=TWINS, recorders=told, workers=workers)
        say("closed")

    def furnished(home: Path, number: int) -> Path:
        late = {1, 4} if number % 2 and not (home / "suite").exists() else set()
        (home / "suite").mkdir(exist_ok=True)
        for step in set(MANY) - late:
            link = home / "suite" / f"step{step}"
            if not link.is_symlink():
                link.symlink_to(suite / link.name)
        return home

    return chains(folder, kills, chance, work, furnished, together=workers > 1)


# Both --------------------------------------------------------------------------------------------------------------


def chains(
    folder: Path,
    kills: int,
    chance: random.Random,
    work: Callable[[Path, Say], None],
    furnished: Callable[[Path, int], Path] = lambda home, _: home,
    together: bool = False,
) -> Tally:
    """Each chain is one life after another in one folder, up to one that comes to its end; `furnished` before each."""
    tally, whole = Tally(), folder / "whole"
    whole.mkdir()
    furnished(whole, 0)
    life = live(lambda say: work(whole, say))
    if life.said[-1:] != ["closed"]:
        raise RuntimeError(f"it does not even run when nobody kills it: {life.said}")
    reference = open_logbook(whole / "observations.h5")
    when = moments(chance, life.seconds, len(life.said) - 1, together)
    while tally.kills < kills:
        home = folder / f"chain-{tally.chains}"
        home.mkdir()
        with noting(tally, f"chain {tally.chains}"):
            _one_chain(home, kills, work, furnished, reference, when, tally)
        tally.chains += 1
        shutil.rmtree(home)
    return tally


def _one_chain(
    home: Path,
    kills: int,
    work: Callable[[Path, Say], None],
    furnished: Callable[[Path, int], Path],
    reference: xr.Dataset,
    when: Iterator[Any],
    tally: Tally,
) -> None:
    known: set[int] = set()
    path = home / "observations.h5"
    furnished(home, tally.chains)
    in_order = tally.chains % 2 == 0 or not (home / "suite").exists()
    for moment in chain(islice(when, 12), [None]):  # of which no chain takes more than it needs
        anew = next_free(home / "observations.h5")
        life = live(lambda say: work(home, say), moment if tally.kills < kills else None)
        tally.lives += 1
        tally.kills += life.killed
        tally.of_others += life.killed and moment is not None and moment.other is not None
        tally.slowest = max(tally.slowest, life.after)
        if errors := [words for words in life.said if words.startswith("error")]:
            raise AssertionError(f"{errors} after {life.said}")
        _refuse_silence(life, moment, tally)
        begun, resumed = next((words.split()[1:] for words in life.said if words.startswith("from ")), ("99", "True"))
        if resumed == "False":
            path, known = anew, set()  # a run that had saved nothing begins anew, under the next free name
        did = {int(words[4:]) for words in life.said if words.startswith("did ")}
        tally.acknowledged += len(did)
        known = {step for step in known if step <= int(begun)} | did
        with copied(path, home / "copy") as copy:
            if (found := opened(copy, tally)) is None:
                assert not known, f"{known} were acknowledged, and there is no file"
                continue
            _assert_part(found, reference, known, in_order)
            Logbook(copy).close()
            _assert_part(open_logbook(copy), reference, known, in_order)
        if life.said[-1:] == ["closed"] and found.sizes["step"] == reference.sizes["step"]:
            break
        furnished(home, tally.chains)
    _assert_same(open_logbook(path), reference)
    tally.ends += 1


def _refuse_silence(life: Life, moment: Moment | None, tally: Tally) -> None:
    """Who loses another one of its run ends with words, and nobody else does; workers have nobody to tell."""
    for words in (told := [words for words in life.said if words.startswith(("told", "second told"))]):
        tally.told[re.sub(r"\d+", "N", words)[:160]] = tally.told.get(re.sub(r"\d+", "N", words)[:160], 0) + 1
    if not life.killed:
        assert not told, f"nobody was killed, and it ended with {told}"
    elif moment is not None and moment.other is not None:
        assert told or "closed" in life.said, f"it ended without words after {life.said}"
    elif "second begins" in life.said:
        assert told or "second closed" in life.said, f"the other one ended without words after {life.said}"


def _assert_part(found: xr.Dataset, reference: xr.Dataset, known: set[int], exact: bool) -> None:
    """It has all that was acknowledged, and what it has is what the whole has at those steps, bit for bit."""
    steps = found["step"].values.tolist()
    assert known <= set(steps), f"{sorted(known - set(steps))} were acknowledged, and {steps} are there"
    part = reference.sel(step=steps)
    for name in (set(map(str, found.variables)) & set(map(str, part.variables))) - CLOCK if exact and steps else ():
        if name.startswith("gap"):
            continue  # who was left by another one says so; the next life fills it
        np.testing.assert_array_equal(found[name].values, part[name].values, err_msg=name)
