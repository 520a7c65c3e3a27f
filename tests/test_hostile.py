"""Whatever a file holds, a command does its work or says in one sentence why it cannot; it never hangs or crashes.

The quick form tries a hundred spoilt files; `HOSTILE=10000 pytest -n 0 tests/test_hostile.py` as many.
A fault is told with the kind and the number from which `attempt` makes it again.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
from hostile import KINDS, whole
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from logbook_cases import observation
from loop import word_tokenizer
from models import tiny
from recorded import recorded
from verdicts import planted, step_up

from observatory import Logbook, open_logbook
from observatory.cli import main
from observatory.observation import Observation, Variable
from observatory.record.header import Header
from observatory.record.identity import DamagedLogbook
from observatory.record.journal import Frame, Journal
from observatory.record.payload import join
from observatory.replay.checkpoints import find_checkpoints
from observatory.replay.doctor import examine_quickly
from observatory.stimuli.tokenizer import load_tokenizer

EXAMPLES = int(os.environ.get("HOSTILE", "100"))
COUNTS = os.environ.get("HOSTILE_COUNTS")
"""A file for what came of it, as JSON."""
WEIGHTS = {"logbook, unsealed": 5, "logbook, arrays": 2, "journal": 4, "battery": 4, "results": 5, "configuration": 2}
"""Of the kinds; 1 of the others, whose commands take longer."""


@dataclass
class Hostility:
    """A process with everything imported that runs commands on request, and a folder that they must not leave."""

    home: Path
    sandbox: Path
    process: subprocess.Popen[str]
    counts: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    """Seconds of one command, and which it was."""

    def call(self, folder: Path, command: str) -> tuple[str, str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(folder), command.split()]) + "\n")
        self.process.stdin.flush()
        ended, words = json.loads(self.process.stdout.readline())
        return ended, words


@pytest.fixture(scope="module")
def hostility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostility]:
    home, sandbox = whole(tmp_path_factory.mktemp("home")), tmp_path_factory.mktemp("sandbox") / "one" / "two"
    warm, script = tmp_path_factory.mktemp("warm"), Path(__file__).with_name("hostile_child.py")
    for place in (warm, sandbox):
        shutil.copytree(home, place, dirs_exist_ok=True)
        (place / "verdict").rename(place / "whole")
    shutil.copytree(home / "verdict", warm / "verdict")
    asked = [(str(warm / kind.folder), command.split()) for kind in KINDS.values() for command in kind.commands]
    once = {words[0]: (folder, words) for folder, words in asked}
    (warm / "commands").write_text("\n".join(json.dumps(line) for line in once.values()))
    with subprocess.Popen(
        [sys.executable, str(script), str(warm / "commands")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=script.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        assert "ready\n" in iter(process.stdout.readline, "")
        yield Hostility(home, sandbox, process)
        assert process.stdin is not None
        process.stdin.close()  # which ends it


def inside(folder: Path, *but: str) -> dict[str, bytes | None]:
    """Every file with its content."""
    files = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in but)
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in files}


def fault(ended: str, words: str) -> str:
    """Why this is no way to end; nothing where it is one."""
    if ended == "refused":
        if not words.startswith("observatory: ") or not words.isprintable() or len(words) > 2000:
            return f"not one clear sentence: {words!r}"
    elif ended == "usage":
        if "Traceback" in words or "error: " not in words:
            return f"not the usage: {words!r}"
    elif ended != "fine":
        return f"{ended}: {words}"
    return ""


def attempt(hostility: Hostility, name: str, number: int) -> str:
    """Spoils a file of this kind as the number says and runs a command on it; what was wrong with that, if anything."""
    kind, chance = KINDS[name], random.Random(f"{name} {number}")
    work = hostility.sandbox / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(hostility.home / kind.folder, work)
    (work / "out").mkdir()
    kind.spoil(work, chance)
    command = chance.choice(kind.commands)
    writes = ("log.h5", "log.h5.journal", "log.h5.lock") if command.startswith("import") else ()
    before = inside(work, "out", *writes)
    began = time.perf_counter()
    ended, words = hostility.call(work, command)
    hostility.counts[f"{name}: {ended}"] += 1
    hostility.slowest = max(hostility.slowest, (time.perf_counter() - began, f"{command} on {name} {number}"))
    # What HDF5 itself dies of, or never ends with, is kept from it by the checksum, and this file has lost its own.
    wrong = "" if name == "logbook, unsealed" and ended in ("crash", "hang") else fault(ended, words)
    after = inside(work, "out", *writes)
    touched = {path for path in before.keys() | after.keys() if before.get(path, 0) != after.get(path, 0)}
    if touched and not all(".damaged-" in path for path in touched):
        wrong = wrong or f"touched {sorted(touched)[:3]}"
    if outside := {path.name for path in hostility.sandbox.parents[1].rglob("escaped*")}:
        wrong = wrong or f"wrote outside: {outside}"
    page = work / "out" / "r.html"
    if page.is_file() and "<script>alert(1)" in page.read_text(errors="replace"):
        wrong = wrong or "a name became part of the page"
    return wrong and f"{command} on {name} {number}: {wrong}"


def test_whatever_a_file_holds_a_command_works_or_says_in_a_sentence_why_not(hostility: Hostility) -> None:
    faults: list[str] = []

    @given(st.sampled_from([name for name in KINDS for _ in range(WEIGHTS.get(name, 1))]), st.integers(0, 2**32))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize="HOSTILE" not in os.environ,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def one(name: str, number: int) -> None:
        if wrong := attempt(hostility, name, number):
            faults.append(wrong)
        if COUNTS:
            counts = {"tried": hostility.counts.total(), **dict(sorted(hostility.counts.items()))}
            counts = {**counts, "slowest": hostility.slowest, "faults": faults}
            Path(COUNTS).write_text(json.dumps(counts, indent=1))

    one()
    assert not faults, "\n".join(faults)


# What was found, each in its smallest form --------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A logbook of two steps that has lost its journal."""
    path = tmp_path / "o.h5"
    with Logbook(path) as logbook:
        for step in (0, 1):
            logbook.record(observation(step))
    Path(f"{path}.journal").unlink()
    return path


def table_of_contents_spoilt(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"SNOD", b"sNOD", 1))


def table_of_contents_spoilt_without_checksum(path: Path) -> None:
    """As older versions wrote it."""
    path.write_bytes(path.read_bytes()[:-12].replace(b"SNOD", b"sNOD", 1))


def steps_that_do_not_ascend(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["step"][...] = -1


def variable_gone(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["contrast_index"]


def in_a_circle(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["tokens"]
        file["tokens"] = h5py.SoftLink("/tokens")


def same_label_twice(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["domain"][...] = "math"


def larger_than_any_memory(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["recorded"]
        file.create_dataset("recorded", (10**12, 10**6), "u1", chunks=(1, 1))


SPOILT: dict[Callable[[Path], None], str] = {
    table_of_contents_spoilt: r"o\.h5 is damaged: its bytes are not those that were written, as its checksum shows$",
    table_of_contents_spoilt_without_checksum: r"o\.h5 is damaged, or was changed by another program \(\w+: .*\)$",
    steps_that_do_not_ascend: r"o\.h5 is damaged, .*: its steps do not ascend from 0 on$",
    variable_gone: r"o\.h5 is damaged, .*: it lacks 'contrast_index', which it says was recorded$",
    in_a_circle: r"o\.h5 is damaged, or was changed by another program \(\w+: .*\)$",
    same_label_twice: r"o\.h5 is damaged, .*: 'domain' has the label 'math' twice$",
    larger_than_any_memory: r"o\.h5 is damaged, .*: 'recorded' is uint8 along \(phony_dim_\d, phony_dim_\d\)$",
}


@pytest.mark.parametrize("use", [open_logbook, Logbook])
@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_logbook_is_refused_in_a_sentence_and_left_as_it_is(
    path: Path, spoil: Callable[[Path], None], use: Callable[[Path], object]
) -> None:
    """The reader died of KeyErrors; the writer took two rows of step -1 for one, and put the file with one in place."""
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(DamagedLogbook, match=SPOILT[spoil]):
        use(path)
    assert path.read_bytes() == before
    assert not Path(f"{path}.journal").exists()


def test_no_flipped_bit_gets_as_far_as_the_library_that_it_kills(path: Path) -> None:
    """One in the type of an attribute ended Python with SIGSEGV, one among the values was another value."""
    whole, chance = path.read_bytes(), random.Random(0)
    deadly = [found.start() + 1 for found in re.finditer(rb"\x19\x01\x01\0\x10\0\0\0", whole)]
    assert len(deadly) > 10
    for place in [*deadly, *(chance.randrange(8, len(whole) - 12) for _ in range(200))]:
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << chance.randrange(8)
        path.write_bytes(spoilt)
        with pytest.raises(DamagedLogbook, match=r"as its checksum shows$"):
            open_logbook(path)


def test_a_file_that_another_program_has_changed_in_order_has_no_checksum_and_is_read(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = "mine"
    assert open_logbook(path).attrs["note"] == "mine"
    path.write_bytes(path.read_bytes()[:-12] + b"more that is no part of it")
    assert open_logbook(path)["step"].values.tolist() == [0, 1]


@pytest.mark.parametrize("axis", ["twin", "draw"])
def test_an_axis_under_another_name_allows_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], axis: str
) -> None:
    """The report ended in KeyError: 'twin'."""
    curves = {"alpha": step_up([0, 1, 2], 1), "beta": step_up([0, 1, 2], 2)}
    recorded(tmp_path / "log.h5", planted([0, 1, 2], curves, twins=4))
    with h5py.File(tmp_path / "log.h5", "r+") as file:
        file.move(axis, "other")
    main(["emergence", str(tmp_path / "log.h5")])
    said = " ".join(capsys.readouterr().out.split())
    assert "can't say" in said
    assert re.search(
        rf"is along \([a-z, ]*other[a-z, ]*\), where it is measured along \([a-z, ]*{axis}[a-z, ]*\)", said
    )


FRAMES = {
    "a gap without a step": Frame(b"GAP ", join({"seconds": 1})),
    "an observation of nothing": Frame(b"OBSV", join({"step": 3})),
    "no JSON": Frame(b"OBSV", b"\x02\0\0\0no"),
    "attributes that are a number": Frame(
        b"HEAD", Header("x").payload().replace(b'"attributes": {}', b'"attributes": 1')
    ),
}


@pytest.mark.parametrize("frame", FRAMES)
def test_a_journal_that_says_what_nobody_writes_is_refused_and_let_go(tmp_path: Path, frame: str) -> None:
    """Its checks hold: it was not damaged, but made."""
    path = tmp_path / "o.h5"
    Journal.create(Path(f"{path}.journal"), [Frame(b"HEAD", Header("x").payload()), FRAMES[frame]])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"o\.h5\.journal holds what no version of observatory writes \("):
            Logbook(path, {"seed": 1})
    assert not path.exists()


def test_labels_that_do_not_tell_things_apart_are_refused(tmp_path: Path) -> None:
    same = Observation(0, {"x": Variable(("unit",), np.zeros(2))}, {"unit": np.array(["a", "a"])})
    with Logbook(tmp_path / "o.h5") as logbook, pytest.raises(ValueError, match=r"axis 'unit' .*: 'a' occurs twice"):
        logbook.record(same)


def told(arguments: list[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return str(ended.value.code)


def test_a_name_of_several_lines_or_without_end_is_told_in_one_short_line(tmp_path: Path) -> None:
    assert told(["emergence", "two\nlines\x1b[31m.h5"]) == r"observatory: two lines\x1b[31m.h5: there is no logbook"
    (tmp_path / "b.json").write_text(json.dumps({"format": "observatory-battery/1", "x" * 100_000: 1}))
    long = told(["battery", "show", "--battery", str(tmp_path / "b.json")])
    assert len(long) < 1100
    assert long.endswith("are 'format', 'domain', 'families', 'description' and 'tasks'.")


def test_what_is_nested_without_end_is_told_so(tmp_path: Path) -> None:
    """libyaml went down with the whole process."""
    for name in ("a.json", "a.yaml"):
        (tmp_path / name).write_text("[" * 200_000)
    deep = told(["battery", "show", "--battery", str(tmp_path / "a.json")])
    assert deep.endswith("a.json is nested too deeply to be read; it needs five levels at most.")
    for option in (["--config", str(tmp_path / "a.yaml")], [f"--config={tmp_path / 'a.yaml'}"]):
        assert told(["doctor", *option]).endswith("a.yaml is nested more than 100 levels deep; write it flatter")


def test_a_configuration_in_which_transformers_chokes_is_told_as_one(tmp_path: Path) -> None:
    tiny("gpt_neox").save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "attention_dropout": "much"}))
    with pytest.raises(
        ValueError, match=r"holds a tokenizer that cannot be loaded .*attention_dropout.*; save it anew$"
    ):
        load_tokenizer(tmp_path)


def test_a_number_beyond_all_that_can_be_computed_is_told_as_one(path: Path) -> None:
    """jsonargparse ended in an OverflowError, of the command line and of a configuration alike."""
    words = told(["emergence", str(path), "--alpha", "9" * 400])
    assert words.startswith("observatory: a number is too large to be computed with")


@pytest.mark.parametrize("content", ["[" * 200_000, '{"model": {"merges": [1, null]}}', '{"model": {"merges": 7}}'])
def test_a_tokenizer_of_json_that_no_tokenizer_writes_is_another_one(tmp_path: Path, content: str) -> None:
    """The doctor ended in a RecursionError or a TypeError of its own."""
    for step in (0, 1, 2):
        (folder := tmp_path / f"step{step}").mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"")
        (folder / "tokenizer.json").write_text(content if step == 2 else "{}")
    told = [one.steps for one in examine_quickly(find_checkpoints(tmp_path)) if one.text.startswith("tokenizer.json")]
    assert told == [(2,)]


@pytest.mark.parametrize("content", ["[" * 200_000, '{"step": 1e999, "tokens": 0}', "[1]"])
def test_progress_that_cannot_be_read_leaves_a_checkpoint_one(tmp_path: Path, content: str) -> None:
    """A step beyond all numbers ended in an OverflowError."""
    (folder := tmp_path / "step7").mkdir()
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "progress.json").write_text(content)
    assert [one.step for one in find_checkpoints(tmp_path)] == [7]
