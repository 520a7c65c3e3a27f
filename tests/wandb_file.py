"""Reads an offline run of Weights & Biases, record by record: a `.wandb` file is a leveldb log of protobuf messages."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb

_HEADER = struct.Struct("<4sHB")
_MAGIC = 0xBEE1
_BLOCK = 32 * 1024
_PIECE = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def messages(path: Path) -> Iterator[pb.Record]:
    """Every whole record of one file, whose last may still be on its way; ValueError where a checksum is wrong."""
    content = path.read_bytes()
    ident, magic, _ = _HEADER.unpack_from(content)
    if ident != b":W&B" or magic != _MAGIC:
        raise ValueError(f"{path} is no offline run: it begins with {content[:7]!r}")
    at, parts = _HEADER.size, b""
    while at + _PIECE.size <= len(content):
        if (left := _BLOCK - at % _BLOCK) < _PIECE.size:
            at += left
            continue
        checksum, length, kind = _PIECE.unpack_from(content, at)
        if at + _PIECE.size + length > len(content):
            return
        data = content[at + _PIECE.size : at + _PIECE.size + length]
        if zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
            raise ValueError(f"{path}: the record at byte {at} is damaged")
        at += _PIECE.size + length
        parts = data if kind in (_FULL, _FIRST) else parts + data
        if kind in (_FULL, _LAST):
            record = pb.Record()
            record.ParseFromString(parts)
            yield record


@dataclass(frozen=True)
class OfflineRun:
    """What would reach the server."""

    folder: Path
    rows: list[dict[str, Any]]
    """Of the history, in their order, by the names that were logged."""
    summary: dict[str, Any]
    metrics: dict[str, str]
    """The axis of each metric or pattern that was defined."""
    alerts: list[tuple[str, str]]
    artifacts: list[Any]
    config: dict[str, Any]
    id: str
    began: int

    def observed(self) -> list[dict[str, Any]]:
        """The rows that hold an observation of ours."""
        return [row for row in self.rows if "observatory/step" in row]

    def steps(self) -> list[int]:
        """Those of observations, in the order in which they were logged."""
        return [int(row["observatory/step"]) for row in self.rows if "observatory/seconds" in row]


def offline_runs(folder: Path) -> list[OfflineRun]:
    """Every finished run under WANDB_DIR, the first first."""
    runs = [_offline_run(path) for path in folder.glob("wandb/offline-run-*/*.wandb")]
    return sorted(runs, key=lambda run: run.began)


def _offline_run(path: Path) -> OfflineRun:
    records = _finished(path)
    begun = next(record.run for record in records if record.WhichOneof("record_type") == "run")
    run = OfflineRun(path.parent, [], {}, {}, [], [], {}, begun.run_id, begun.start_time.ToNanoseconds())
    for record in records:
        kind = record.WhichOneof("record_type")
        if kind == "history":
            run.rows.append(_items(record.history.item))
        elif kind == "summary":
            run.summary.update(_items(record.summary.update))
        elif kind == "metric":
            run.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "alert":
            run.alerts.append((record.alert.title, record.alert.text))
        elif kind == "artifact":
            run.artifacts.append(record.artifact)
        elif kind == "config":
            run.config.update(_items(record.config.update))
    return run


def _finished(path: Path) -> list[pb.Record]:
    """W&B goes on writing for a moment after `finish` has returned."""
    for _ in range(200):
        records = list(messages(path))
        if records and records[-1].WhichOneof("record_type") == "exit":
            return records
        time.sleep(0.05)
    raise TimeoutError(f"{path} was not finished: {len(records)} records without an exit")


def _items(items: Any) -> dict[str, Any]:
    """A nested key is kept with dots, which none of ours has."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
