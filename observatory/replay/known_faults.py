"""Faults of published suites that others have found and reported, each with its source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from observatory.replay.findings import Finding, Severity
from observatory.replay.places import Checkpoint, Remote

Hashes = Mapping[Checkpoint, Mapping[str, str]]
"""Of checkpoints on the hub, the sha256 of each file by its name."""


@dataclass(frozen=True)
class KnownFault:
    """What is wrong at some revisions of some repositories."""

    repository: str
    """A pattern for its whole name."""
    steps: tuple[int, ...]
    what: str
    source: str
    severity: Severity = "error"
    file: str = ""
    """The file by which it can be told whether the fault is still there."""
    sha256: tuple[str, ...] = ()
    """What the hash of that file begins with, as long as it is."""


_EVERY_PYTHIA = r"EleutherAI/pythia-[\w.]+(-deduped)?(-((data|weight)-)?seed\d+)?"
_THOUSANDS = (*range(1, 54), 55, 60, 65, 70, 80, 90, 100, 103, 110, 120, 130, 140)
_OTHER_BLOB = (54, 56, 57, 58, 59, 61, 62, 63, 64)

KNOWN_FAULTS = (
    KnownFault(
        r"EleutherAI/pythia-2\.8b",
        tuple(sorted((0, *(2**k for k in range(10)), *(1000 * k for k in (*_THOUSANDS, *_OTHER_BLOB))))),
        "serves the weights of the end of training; 86 of its 154 revisions do, step143000 among them",
        "EleutherAI/pythia issues 205 and 195",
        file="model.safetensors",
        sha256=("ab496f1c3fd79e3c749a9d5414136a2c8e4224f94eecb261970315cdb0f813fe", "462f2b960062159c"),
    ),
    KnownFault(
        r"EleutherAI/pythia-12b",
        (50_000, 58_000),
        "serves the first shard of the final model, which holds the input embeddings and the first layers",
        "EleutherAI/pythia issue 206",
        file="pytorch_model-00001-of-00003.bin",
        sha256=("9d21715462588073675eca9c65ba55a47d911da460a6083938d04acd4589f542",),
    ),
    KnownFault(
        _EVERY_PYTHIA,
        (1,),
        "has the weights of step 0: the learning rate of the first step was 0",
        "EleutherAI/pythia issue 83, EleutherAI/gpt-neox issue 1373",
        "warning",
    ),
    KnownFault(
        _EVERY_PYTHIA,
        (2,),
        "is said to have the weights of step 0, too",
        "EleutherAI/pythia issue 198",
        "warning",
    ),
    *(
        KnownFault(
            rf"EleutherAI/pythia-410m-seed{seed}",
            (step,),
            "has no weights, and will be a gap",
            "EleutherAI/pythia issue 202",
            "warning",
        )
        for seed, step in ((9, 40_000), (6, 88_000), (2, 111_000))
    ),
    KnownFault(
        r"EleutherAI/pythia-160m-weight-seed[12]",
        (0,),
        "is not what the later steps were trained from: those go on from another initialisation",
        "EleutherAI/pythia issue 203",
    ),
)


def known_faults(checkpoints: Sequence[Checkpoint], hashes: Hashes) -> list[Finding]:
    """Those of checkpoints on the hub; where hashes show that a fault has been mended, a note says so."""
    found: list[Finding] = []
    for fault in KNOWN_FAULTS:
        here = [
            one
            for one in checkpoints
            if isinstance(one.place, Remote)
            and re.fullmatch(fault.repository, one.place.repository)
            and one.step in fault.steps
        ]
        mended = [one for one in here if _mended(fault, hashes.get(one, {}))]
        standing = [one for one in here if one not in mended]
        if standing:
            told = f"{_named(standing)} {fault.what} ({fault.source}); leave it out"
            found.append(Finding("known fault", tuple(one.step for one in standing), told, fault.severity))
        if mended:
            told = f"{_named(mended)} was reported, and has been replaced since: {fault.what} ({fault.source})"
            found.append(Finding("known fault", tuple(one.step for one in mended), told, "note"))
    return found


def _mended(fault: KnownFault, files: Mapping[str, str]) -> bool:
    return fault.file in files and not files[fault.file].startswith(fault.sha256)


def _named(checkpoints: Sequence[Checkpoint]) -> str:
    place = checkpoints[0].place
    assert isinstance(place, Remote)
    rest = f" (and {len(checkpoints) - 1} more like it)" if len(checkpoints) > 1 else ""
    return f"{place.repository}@{checkpoints[0].name}{rest}"
