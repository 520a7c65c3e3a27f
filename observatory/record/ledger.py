"""What a journal amounts to: later frames overrule earlier ones, and a rewind drops what came after a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from observatory.observation import Gap, Observation, Variable
from observatory.record.benchmarks import Benchmarks
from observatory.record.header import Header
from observatory.record.journal import BENCHMARKS, GAP, HEADER, OBSERVATION, REWIND, Frame
from observatory.record.payload import join, pack, split, unpack


class Row(NamedTuple):
    """One kept observation: where its frame is, and what it holds."""

    position: int
    names: frozenset[str]
    """Its variables and its labelled axes."""


@dataclass
class Ledger:
    """Small, whatever the logbook's size: it knows where observations are, and leaves them there."""

    header: Header
    rows: dict[int, Row] = field(default_factory=dict)
    gaps: dict[int, Gap] = field(default_factory=dict)
    benchmarks: Benchmarks = field(default_factory=Benchmarks)
    """No rewind drops these: they are of checkpoints that lie elsewhere, and a later import replaces them."""
    _known_names: dict[frozenset[str], frozenset[str]] = field(default_factory=dict)

    def apply(self, position: int, frame: Frame) -> None:
        """Take in one frame. Kinds that a later version may add are passed over."""
        if frame.kind == HEADER:
            self.header = Header.from_payload(frame.payload)
        elif frame.kind == OBSERVATION:
            meta, arrays = split(frame.payload)
            names = frozenset((*arrays, *meta["axes"]))
            self.rows[meta["step"]] = Row(position, self._known_names.setdefault(names, names))
            self.gaps.pop(meta["step"], None)
        elif frame.kind == GAP:
            gap = Gap(**split(frame.payload)[0])
            if gap.step not in self.rows:
                self.gaps[gap.step] = gap
        elif frame.kind == REWIND:
            last = split(frame.payload)[0]["step"]
            self.rows = {step: row for step, row in self.rows.items() if step <= last}
            self.gaps = {step: gap for step, gap in self.gaps.items() if step <= last}
            self.header = self.header.keeping(self.names())
        elif frame.kind == BENCHMARKS:
            self.benchmarks = self.benchmarks.with_later(Benchmarks.from_payload(frame.payload))

    def steps(self) -> list[int]:
        return sorted(self.rows)

    def names(self) -> frozenset[str]:
        """Every variable and labelled axis that some kept observation has."""
        return frozenset().union(*{row.names for row in self.rows.values()})

    def holds_after(self, step: int) -> bool:
        return any(known > step for known in (*self.rows, *self.gaps))


def header_frame(header: Header) -> Frame:
    return Frame(HEADER, header.payload())


def observation_frame(observation: Observation) -> Frame:
    meta = {
        "step": observation.step,
        "tokens": observation.tokens,
        "time": observation.time,
        "seconds": observation.seconds,
        "axes": list(observation.coordinates),
    }
    arrays = {name: pack(variable.values) for name, variable in observation.variables.items()}
    return Frame(OBSERVATION, join(meta, arrays))


def gap_frame(gap: Gap) -> Frame:
    meta = {"step": gap.step, "reason": gap.reason, "tokens": gap.tokens, "time": gap.time}
    return Frame(GAP, join(meta))


def rewind_frame(step: int) -> Frame:
    return Frame(REWIND, join({"step": step}))


def benchmarks_frame(benchmarks: Benchmarks) -> Frame:
    return Frame(BENCHMARKS, benchmarks.payload())


def observation_from(payload: bytes, header: Header) -> Observation:
    """The observation as it was recorded."""
    meta, arrays = split(payload)
    return Observation(
        step=meta["step"],
        tokens=meta["tokens"],
        time=meta["time"],
        seconds=meta["seconds"],
        variables={
            name: Variable(header.variables[name].dims, unpack(packed), header.variables[name].attrs)
            for name, packed in arrays.items()
        },
        coordinates={name: header.coordinates[name] for name in meta["axes"]},
        provenance=header.provenance,
    )
