"""What holds for the whole logbook: attributes, provenance, and the form of its axes and variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from observatory.observation import Array, Observation
from observatory.record.names import Attribute
from observatory.record.payload import join, pack, split, unpack


class Form(NamedTuple):
    """What all values of one variable have in common."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Attribute]

    def __str__(self) -> str:
        sizes = ", ".join(f"{dim} {size}" for dim, size in zip(self.dims, self.shape, strict=True))
        return f"{self.dtype} ({sizes})"


class Stamp(NamedTuple):
    """Which journal, up to which byte, a product was made from."""

    journal: str
    end: int


@dataclass(frozen=True)
class Header:
    """Written whole into the journal whenever it changes; the last one counts."""

    journal: str
    """A random name of this journal, so that no product is ever overwritten from a journal not its own."""
    made_from: Stamp | None = None
    """The product that this journal was rebuilt from, where its own was missing or behind."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    coordinates: Mapping[str, Array] = field(default_factory=dict)
    variables: Mapping[str, Form] = field(default_factory=dict)

    def sizes(self) -> dict[str, int]:
        """The length of every axis, labelled or not."""
        sizes = {name: len(labels) for name, labels in self.coordinates.items()}
        for form in self.variables.values():
            sizes.update(zip(form.dims, form.shape, strict=True))
        return sizes

    def with_observation(self, observation: Observation, path: str, first: bool) -> Header:
        """The header that covers this observation too: itself where nothing is new. ValueError on a conflict."""
        if not first:
            _refuse_other_provenance(self.provenance, observation.provenance, path)
        known, coordinates = self.sizes(), dict(self.coordinates)
        for name, labels in observation.coordinates.items():
            if name in coordinates and not _same(coordinates[name], labels):
                raise ValueError(
                    f"axis {name!r} has other labels than earlier in {path}: {_excerpt(labels)}, where it has "
                    f"{_excerpt(coordinates[name])}; record into another file"
                )
            if known.setdefault(name, len(labels)) != len(labels):
                raise ValueError(_other_size(name, len(labels), known[name], path))
            coordinates.setdefault(name, labels)
        variables = dict(self.variables)
        for name, variable in observation.variables.items():
            form = Form(variable.dims, variable.values.shape, variable.values.dtype, variable.attrs)
            if name in variables and form[:3] != variables[name][:3]:
                raise ValueError(
                    f"variable {name!r} is {form} where {path} has it as {variables[name]}; record into another file"
                )
            for dim, size in zip(form.dims, form.shape, strict=True):
                if known.setdefault(dim, size) != size:
                    raise ValueError(_other_size(dim, size, known[dim], path))
            variables[name] = form
        if both := variables.keys() & known.keys():
            raise ValueError(f"{min(both)!r} names both a variable and an axis in {path}; rename one")
        grown = replace(self, provenance=observation.provenance, coordinates=coordinates, variables=variables)
        same = (
            self.provenance == grown.provenance
            and self.variables == variables
            and self.coordinates.keys() == coordinates.keys()
        )
        return self if same else grown

    def keeping(self, names: Collection[str]) -> Header:
        """Without the axes and variables that only dropped observations had."""
        return replace(
            self,
            coordinates={name: labels for name, labels in self.coordinates.items() if name in names},
            variables={name: form for name, form in self.variables.items() if name in names},
        )

    def payload(self) -> bytes:
        forms = {name: (form.dims, form.shape, form.dtype.str, form.attrs) for name, form in self.variables.items()}
        texts = {name: labels.tolist() for name, labels in self.coordinates.items() if labels.dtype.kind == "U"}
        meta = {
            "journal": self.journal,
            "made_from": self.made_from,
            "attributes": self.attributes,
            "provenance": self.provenance,
            "axes": list(self.coordinates),
            "labels": texts,
            "variables": forms,
        }
        numbers = {name: pack(labels) for name, labels in self.coordinates.items() if name not in texts}
        return join(meta, numbers)

    @classmethod
    def from_payload(cls, payload: bytes) -> Header:
        meta, numbers = split(payload)
        return cls(
            journal=meta["journal"],
            made_from=Stamp(*meta["made_from"]) if meta["made_from"] else None,
            attributes=meta["attributes"],
            provenance=meta["provenance"],
            coordinates={
                name: unpack(numbers[name]) if name in numbers else np.array(meta["labels"][name], dtype=str)
                for name in meta["axes"]
            },
            variables={
                name: Form(tuple(dims), tuple(shape), np.dtype(dtype), attrs)
                for name, (dims, shape, dtype, attrs) in meta["variables"].items()
            },
        )


def _refuse_other_provenance(ours: Mapping[str, str], theirs: Mapping[str, str], path: str) -> None:
    differing = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    if differing:
        pairs = "; ".join(
            f"{key} {theirs.get(key, 'unknown')}, where {path} has {ours.get(key, 'unknown')}" for key in differing
        )
        raise ValueError(
            f"this observation cannot stand beside the earlier ones: {pairs}. Give another out= to keep both, "
            f"or rewind to before its first step to start over"
        )


def _same(a: Array, b: Array) -> bool:
    return a.dtype.kind == b.dtype.kind and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _excerpt(labels: Array) -> str:
    shown = ", ".join(str(label) for label in labels[:8])
    return f"({shown}{', ...' if len(labels) > 8 else ''}; {len(labels)} in all)"


def _other_size(name: str, size: int, known: int, path: str) -> str:
    return f"axis {name!r} has {size} entries where {path} has {known}; record into another file"
