"""What a logbook keeps, what it gives back, and what it refuses."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from logbook_cases import COORDINATES, assert_same, journal_of, observation
from logbook_cases import path as path

from observatory.observation import Gap, Observation, Variable
from observatory.record import logbook as logbook_module
from observatory.record.logbook import Logbook
from observatory.record.reader import open_logbook


def test_the_last_observation_is_given_back_as_it_was_recorded(path: Path) -> None:
    with Logbook(path) as logbook:
        assert logbook.last() is None
        for step in (4, 8, 2):
            logbook.record(observation(step))
        assert logbook.steps == (2, 4, 8)
        assert_same(logbook.last(), observation(8))
        assert_same(logbook.last(before=8), observation(4))
        assert logbook.last(before=2) is None
    with Logbook(path) as logbook:
        assert_same(logbook.last(), observation(8))


def test_a_step_recorded_twice_is_kept_once_as_it_was_last(path: Path) -> None:
    with Logbook(path) as logbook:
        for edition in (1, 2):
            logbook.record(observation(5, edition))
        assert_same(logbook.last(), observation(5, 2))
    assert open_logbook(path)["probe_edition"].values.tolist() == [2]


def test_a_rewind_drops_later_steps_and_gaps_for_good(path: Path) -> None:
    with Logbook(path) as logbook:
        for step in range(5):
            logbook.record(observation(step))
        logbook.gap(Gap(2000, "out of memory"))
        logbook.rewind(2)
        assert (logbook.steps, logbook.gaps) == ((0, 1, 2), ())
        assert open_logbook(path)["step"].values.tolist() == [0, 1, 2]
        logbook.record(observation(3, edition=1))
    with Logbook(path) as logbook:
        assert logbook.steps == (0, 1, 2, 3)
        assert_same(logbook.last(), observation(3, edition=1))


def test_a_rewind_to_where_the_logbook_ends_writes_nothing(path: Path) -> None:
    with Logbook(path) as logbook:
        logbook.record(observation(7))
        size = journal_of(path).stat().st_size
        logbook.rewind(7)
        assert journal_of(path).stat().st_size == size


def test_a_gap_is_there_until_its_step_is_observed(path: Path) -> None:
    gap = Gap(3, "out of memory\non rank 2 \x00 \udc80", tokens=12, time=1.7e9)
    with Logbook(path) as logbook:
        logbook.record(observation(2))
        logbook.gap(gap)
        logbook.gap(Gap(2, "came too late: it was observed"))
    with Logbook(path) as logbook:
        assert logbook.gaps == (replace(gap, reason="out of memory\non rank 2 � ?"),)
        dataset = open_logbook(path)
        assert dataset["gap_step"].values.tolist() == [3]
        assert dataset["gap_tokens"].values.tolist() == [12]
        assert dataset["gap_time"].values.tolist() == [1_700_000_000_000_000_000]
        logbook.record(observation(3))
        assert logbook.gaps == ()
    assert open_logbook(path).sizes["gap"] == 0


def test_attributes_describe_the_run_and_later_ones_add_to_them(path: Path) -> None:
    with Logbook(path, {"seed": np.int64(3), "config": {"layers": 4}, "rate": 0.5, "empty": ""}):
        pass
    with Logbook(path, {"seed": 4, "flag": True, "big": 2**70, "longer than HDF5's header": "x" * 100_000}):
        pass
    attrs = open_logbook(path).attrs
    assert {key: attrs[key] for key in ("seed", "config", "rate", "empty", "flag", "big")} == {
        "seed": 4, "config": '{"layers": 4}', "rate": 0.5, "empty": "", "flag": "true", "big": str(2**70)
    }  # fmt: skip
    assert len(attrs["longer than HDF5's header"]) == 100_000


def test_recording_after_close_is_an_error_and_closing_twice_is_not(path: Path) -> None:
    logbook = Logbook(path)
    logbook.close()
    logbook.close()
    with pytest.raises(RuntimeError, match="is closed; open it again to go on"):
        logbook.record(observation(0))


# One writer


def test_a_second_writer_in_another_process_is_refused_with_who_holds_it(path: Path) -> None:
    script = "import sys; from observatory.record import Logbook; Logbook(sys.argv[1])"
    with Logbook(path):
        second = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert second.returncode == 1
    last_line = second.stderr.strip().splitlines()[-1]
    assert "BlockingIOError" in last_line
    assert "another writer has this logbook open (process " in last_line
    assert "; end it, or choose another file" in last_line
    Logbook(path).close()


def test_a_second_writer_through_a_symbolic_link_is_refused_too(path: Path) -> None:
    link = path.with_name("link.h5")
    link.symlink_to(path)
    with Logbook(path), pytest.raises(BlockingIOError, match="this very process"):
        Logbook(link)


def test_a_refused_opening_lets_go_of_the_lock(path: Path) -> None:
    journal_of(path).write_bytes(b"something else")
    for _ in range(2):
        with pytest.raises(ValueError, match="is not a logbook's journal"):
            Logbook(path)
    assert not path.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_a_warning(
    path: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with Logbook(path) as logbook:
        logbook.record(observation(0))
    assert "cannot lock files (No locks available): make sure yourself" in caplog.text
    assert open_logbook(path).sizes["step"] == 1


# What does not belong together


@pytest.mark.parametrize("reopened", [False, True])
def test_an_observation_of_other_provenance_is_refused_with_both_hashes(path: Path, reopened: bool) -> None:
    logbook = Logbook(path)
    logbook.record(observation(0))
    if reopened:
        logbook.close()
        logbook = Logbook(path)
    size = journal_of(path).stat().st_size
    with logbook, pytest.raises(ValueError, match=r"battery 123abc, where .* has bbbbbbbbbbbb\. Give another out="):
        logbook.record(replace(observation(1), provenance={**observation(1).provenance, "battery": "123abc"}))
    assert journal_of(path).stat().st_size == size


def test_a_logbook_rewound_to_nothing_takes_another_provenance_and_other_axes(path: Path) -> None:
    other = Observation(0, {"x": Variable(("domain",), np.zeros(2))}, {"domain": np.array(["a", "b"])}, time=1.0)
    with Logbook(path) as logbook:
        logbook.record(observation(0))
        logbook.rewind(-1)
        logbook.record(other)
    with Logbook(path) as logbook:
        assert_same(logbook.last(), other)
    dataset = open_logbook(path)
    assert "contrast_index" not in dataset
    assert "provenance_battery" not in dataset.attrs


CHANGES: dict[str, tuple[Callable[[Observation], Observation], str]] = {
    "other labels": (
        lambda o: replace(o, coordinates={**o.coordinates, "domain": np.array(["a", "b", "c", "d"])}),
        r"axis 'domain' has other labels than earlier .*\(a, b, c, d; 4 in all\), where it has \(language, .*",
    ),
    "other size of an axis without labels": (
        lambda o: replace(o, variables={"new": Variable(("unit",), np.zeros(5))}),
        "axis 'unit' has 5 entries where .* has 512; record into another file",
    ),
    "other size of a known variable": (
        lambda _: observation(1, units=4),
        r"variable 'contrast_score' is float32 \(layer 3, unit 4\) where .* has it as float32 \(layer 3, unit 512\)",
    ),
    "other type": (
        lambda o: replace(o, variables={"probe_edition": Variable((), np.float32(1))}),
        r"variable 'probe_edition' is float32 \(\) where .* has it as int32 \(\)",
    ),
    "a variable named as an axis": (
        lambda o: replace(o, variables={"unit": Variable((), np.float32(1))}),
        "'unit' names both a variable and an axis",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=list(CHANGES))
def test_an_observation_of_another_form_is_refused_and_the_logbook_goes_on(
    path: Path, change: Callable[[Observation], Observation], words: str
) -> None:
    with Logbook(path) as logbook:
        logbook.record(observation(0))
        with pytest.raises(ValueError, match=words):
            logbook.record(change(observation(1)))
        logbook.record(observation(2))
    assert open_logbook(path)["step"].values.tolist() == [0, 2]


UNHOLDABLE: dict[str, tuple[dict[str, Any], str]] = {
    "text as values": ({"variables": {"a": Variable((), np.array("x"))}}, "variable 'a' is of type <U1; .* numbers"),
    "complex": ({"variables": {"a": Variable((), np.array(1j))}}, "variable 'a' is of type complex128"),
    "a slash": ({"variables": {"a/b": Variable((), np.array(1))}}, "'a/b' cannot name a variable or an axis"),
    "a reserved name": ({"variables": {"tokens": Variable((), np.array(1))}}, "'tokens' cannot name .* of benchmark"),
    "a name of nothing": ({"variables": {"": Variable((), np.array(1))}}, "'' cannot name"),
    "a line break": ({"variables": {"a\n": Variable((), np.array(1))}}, "invisible characters"),
    "an axis twice": ({"variables": {"a": Variable(("x", "x"), np.eye(2))}}, "has the axis 'x' twice"),
    "a NUL label": ({"coordinates": {"x": np.array(["a\0b"])}}, "NUL character"),
    "a lone surrogate": ({"coordinates": {"x": np.array(["\ud800"])}}, "not valid Unicode"),
    "mixed labels": ({"coordinates": {"x": np.array(["a", None], dtype=object)}}, "expected text, got None"),
    "bytes as labels": ({"coordinates": {"x": np.array([b"a"])}}, r"axis 'x' are of type \|S1; .* text or numbers"),
    "a grid of labels": ({"coordinates": {"x": np.eye(2)}}, "must be a list"),
    "netCDF's own attribute": (
        {"variables": {"a": Variable((), np.array(1), {"scale_factor": 2.0})}}, "cannot be called 'scale_factor'"
    ),
    "a negative step": ({"step": -1}, "a step is a whole number from 0 on, got -1"),
    "no time": ({"time": float("inf")}, "a time is in seconds since 1970, got inf"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), UNHOLDABLE.values(), ids=list(UNHOLDABLE))
def test_what_the_file_cannot_hold_is_refused_before_anything_is_written(
    path: Path, fields: dict[str, Any], words: str
) -> None:
    base: dict[str, Any] = {"step": 1, "variables": {}, "coordinates": {}}
    with Logbook(path) as logbook:
        size = journal_of(path).stat().st_size
        with pytest.raises(ValueError, match=words):
            logbook.record(Observation(**{**base, **fields}))
        assert journal_of(path).stat().st_size == size


@pytest.mark.parametrize("name", ["format", "journal", "torch_version", "provenance_battery"])
def test_an_attribute_that_the_logbook_sets_itself_is_refused(path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"the logbook itself sets the attribute '{name}'"):
        Logbook(path, {name: 1})


# A large run


def test_a_large_file_is_made_anew_only_now_and_then_and_at_close(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logbook_module, "ALWAYS_BELOW", 1)
    logbook = Logbook(path)
    published = []
    for step in range(20):
        logbook.record(observation(step))
        published.append(open_logbook(path).sizes["step"])
    assert published == [0] * 7 + [8] * 8 + [16] * 5
    logbook.publish()
    assert open_logbook(path).sizes["step"] == 20
    logbook.record(observation(20))
    logbook.close()
    assert open_logbook(path).sizes["step"] == 21


# Anything

numbers = st.sampled_from(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
label = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@st.composite
def anything(draw: st.DrawFn, step: int) -> Observation:
    labels = draw(st.lists(label, min_size=1, max_size=4, unique=True))
    values = draw(
        st.dictionaries(
            st.sampled_from("abcdef"), arrays.arrays(numbers, (len(labels),)) | arrays.arrays(numbers, ()), max_size=4
        )
    )
    return Observation(
        step=step,
        tokens=draw(st.integers(0, 2**62)),
        time=draw(st.floats(0, 4e9)),
        seconds=draw(st.floats(allow_nan=False)),
        variables={name: Variable(("item",)[: v.ndim], v, {"note": draw(label)}) for name, v in values.items()},
        coordinates={"item": np.array(labels)},
    )


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_observation_survives_the_journal_the_file_and_the_way_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.h5"
    first = data.draw(anything(0))
    empty = Observation(1, {}, {}, time=1.0)
    with Logbook(path) as logbook:
        logbook.record(first)
        logbook.record(empty)
    for lose_journal in (False, True):
        if lose_journal:
            journal_of(path).unlink()
        with Logbook(path) as logbook:
            assert_same(logbook.last(before=1), first)
            assert_same(logbook.last(), empty)


def test_the_coordinates_of_the_cases_are_those_that_the_file_shows(path: Path) -> None:
    with Logbook(path) as logbook:
        logbook.record(observation(0))
    dataset = open_logbook(path)
    for name, labels in COORDINATES.items():
        assert dataset[name].values.tolist() == labels.tolist()
