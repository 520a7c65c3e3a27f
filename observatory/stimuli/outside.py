"""A representation from outside the model: what people, brains or instruments gave for a list of texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from observatory.observation import Array

Kind = Literal["responses", "dissimilarities", "ratings", "triplets"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FEWEST_STIMULI = 10
FEWEST_GROUPS = 3
"""One to be tested, one to choose a penalty by, and one to be trained on."""
_UNLIKE = 1e-6


@dataclass(frozen=True, eq=False)
class Outside:
    """Texts, the groups in which they are held out together, and one kind of data on them."""

    name: str
    stimuli: tuple[str, ...]
    groups: tuple[str, ...]
    """One a stimulus; texts that are variants of one another belong in one."""
    kind: Kind
    values: Array
    """responses, ratings: (stimulus, channel, repeat), NaN where a repeat has none; dissimilarities: (subject,
    stimulus, stimulus); triplets: (triplet, 3), rows of stimuli with the odd one last."""

    def __post_init__(self) -> None:
        _refuse_bad_stimuli(self.name, self.stimuli, self.groups)
        {
            "responses": _refuse_bad_channels,
            "ratings": _refuse_bad_channels,
            "dissimilarities": _refuse_bad_dissimilarities,
            "triplets": _refuse_bad_triplets,
        }[self.kind](f"{self.kind} of {self.name}", self.values, len(self.stimuli))

    @property
    def hash(self) -> str:
        """Of the content: the same whatever the format, the file and the name."""
        numbers = np.ascontiguousarray(self.values, dtype="<i8" if self.kind == "triplets" else "<f8")
        if self.kind != "triplets":
            numbers = np.where(np.isnan(numbers), np.nan, numbers) + 0.0  # one way to write nothing, and zero
        head = json.dumps([self.kind, list(self.stimuli), list(self.groups), list(numbers.shape)])
        return hashlib.sha256(head.encode() + numbers.tobytes()).hexdigest()[:16]


def outside(name: str, stimuli: Sequence[str], groups: Sequence[str] | None, kind: Kind, values: Array) -> Outside:
    """With the axes that may be left out: of one repeat, of one subject; without groups each stimulus is its own."""
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise ValueError(f"{kind} of {name} are {array.dtype} values; give numbers")
    array = array.astype(np.int64 if kind == "triplets" and (array == np.floor(array)).all() else np.float64)
    if kind in ("responses", "ratings") and array.ndim == 2:
        array = array[:, :, None]
    if kind == "dissimilarities" and array.ndim == 2:
        array = array[None]
    own = tuple(map(str, stimuli))
    return Outside(name, own, own if groups is None else tuple(map(str, groups)), kind, array)


def _refuse_bad_stimuli(name: str, stimuli: Sequence[str], groups: Sequence[str]) -> None:
    if len(stimuli) < FEWEST_STIMULI:
        raise ValueError(f"{name} has {len(stimuli)} stimuli; {FEWEST_STIMULI} or more say something")
    for row, text in enumerate(stimuli):
        if not text.strip():
            raise ValueError(f"stimulus {row} of {name} is empty; write its text, or leave its row out of all tables")
    first: dict[str, int] = {}
    for row, text in enumerate(stimuli):
        if first.setdefault(text, row) != row:
            raise ValueError(
                f"stimuli {first[text]} and {row} of {name} are both {text!r}; give each text once, and what was "
                f"measured several times as repeats"
            )
    if len(groups) != len(stimuli):
        raise ValueError(f"{name} has {len(stimuli)} stimuli and {len(groups)} groups; give each stimulus its group")
    if len(set(groups)) < FEWEST_GROUPS:
        raise ValueError(
            f"{name} has {len(set(groups))} groups of stimuli and cross-validation needs {FEWEST_GROUPS}; leave the "
            f"groups out if its texts are unrelated"
        )


def _refuse_bad_channels(name: str, values: Array, count: int) -> None:
    if values.ndim != 3 or values.shape[0] != count or not values.size:
        raise ValueError(
            f"{name} are (stimulus, channel) or (stimulus, channel, repeat), of {count} stimuli; got shape "
            f"{values.shape}"
        )
    if np.isinf(values).any():
        raise ValueError(f"{name} hold infinite values; leave a missing one empty (NaN)")
    empty = np.argwhere(np.isnan(values).all(2))
    if len(empty):
        row, channel = map(int, empty[0])
        raise ValueError(
            f"{name} have no value for stimulus {row} in channel {channel}, in any repeat; leave the stimulus or the "
            f"channel out"
        )
    mean = np.nanmean(values, axis=2)
    flat = np.flatnonzero(np.ptp(mean, axis=0) <= _UNLIKE * np.abs(mean).max(0))
    if flat.size:
        raise ValueError(f"{name} are the same for every stimulus in channel {int(flat[0])}; leave the channel out")


def _refuse_bad_dissimilarities(name: str, values: Array, count: int) -> None:
    if values.ndim != 3 or values.shape[1:] != (count, count) or not len(values):
        raise ValueError(
            f"{name} are (stimulus, stimulus) or (subject, stimulus, stimulus), of {count} stimuli; got shape "
            f"{values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name} hold values that are missing or infinite; leave out the subjects or stimuli they are of"
        )
    for subject, matrix in enumerate(values):
        room = _UNLIKE * np.abs(matrix).max()
        if np.abs(matrix - matrix.T).max() > room:
            raise ValueError(f"{name} are not symmetric in matrix {subject}; give each pair one dissimilarity")
        if np.abs(np.diagonal(matrix)).max() > room:
            raise ValueError(f"{name} are not 0 on the diagonal of matrix {subject}; similarities s become 1 - s")
        if np.ptp(matrix[np.triu_indices(count, 1)]) <= room:
            raise ValueError(f"{name} are the same for all pairs in matrix {subject}, which tells none from another")


def _refuse_bad_triplets(name: str, values: Array, count: int) -> None:
    if values.ndim != 2 or values.shape[1] != 3 or not len(values):
        raise ValueError(f"{name} are rows of three stimuli, the odd one last; got shape {values.shape}")
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= count:
        raise ValueError(f"{name} name stimuli by whole numbers from 0 to {count - 1}; got others")
    twice = np.flatnonzero((values == np.roll(values, 1, axis=1)).any(1))
    if twice.size:
        raise ValueError(f"{name} have a stimulus twice in row {int(twice[0])}; a triplet is of three")
