"""Logbooks in which it is known which tasks share units, and when the model does them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from recorded import BATTERY

from observatory import Logbook
from observatory.observation import Array, Gap, Observation, Variable

DOMAINS = ("language", "math", "physical", "social", "music", "chess", "law", "smell")
Rows = Sequence[tuple[int, int, int]]
"""The domain, the kind and the format of each task."""
SHARES = (0.002, 0.01, 0.05)
_HALF = 0.6
"""The part of a circuit that the circuits of its two halves share."""


def planted_circuits(
    path: Path,
    steps: Sequence[int],
    domain: Sequence[float] | float = 0.0,
    form: Sequence[float] | float = 0.0,
    domains: int = 4,
    kinds: int = 2,
    formats: int = 3,
    layers: int = 2,
    width: int = 512,
    twins: int = 8,
    twins_form: float = 0.0,
    done: Mapping[int, Sequence[str]] | None = None,
    looked: Sequence[int] | None = None,
    gaps: Sequence[int] = (),
    seed: int = 0,
) -> Path:
    """Of a task's units the parts `domain` and `form` come from a pool of its domain and of its format, at each step.

    `done` names the tasks that the model does not fail at a step, if not all; `looked` the steps at which circuits were
    looked for, if not all. A domain's region is in its own layer.
    """
    rows = [(d, k, f) for d in range(domains) for k in range(kinds) for f in range(formats)]
    labels = [f"{DOMAINS[d]}/kind{k}_format{f}" for d, k, f in rows]
    draw, units = np.random.default_rng(seed), layers * width
    pools = draw.permutation(units)
    untrained = [_ranks(rows, units, 0.0, twins_form, pools, draw) for _ in range(twins)]
    bound = [np.broadcast_to(np.asarray(part, float), len(steps)) for part in (domain, form)]
    with Logbook(path) as book:
        for place, step in enumerate(steps):
            ranks = _ranks(rows, units, float(bound[0][place]), float(bound[1][place]), pools, draw)
            known = labels if done is None or step not in done else done[step]
            variables = {
                "contrast_index": Variable(("space", "pooling", "domain"), np.zeros((1, 1, domains))),
                "circuits_shared_twins": _stack(("twin",), np.stack([_shared(one, units) for one in untrained]))
                if twins
                else None,
            }
            if looked is None or step in looked:
                variables |= _circuits(rows, labels, ranks, units, layers, known)
            book.record(
                Observation(
                    step=int(step),
                    tokens=int(step) * 2048,
                    time=1.7e9,
                    variables={name: one for name, one in variables.items() if one is not None},
                    coordinates={
                        "circuit_space": np.array(["mlp"]),
                        "share": np.array(SHARES),
                        "task": np.array(labels),
                        "other_task": np.array(labels),
                        "domain": np.array(DOMAINS[:domains]),
                        "layer": np.arange(layers),
                        "space": np.array(["mlp"]),
                        "pooling": np.array(["last"]),
                    },
                    provenance=BATTERY,
                )
            )
        for step in gaps:
            book.gap(Gap(step, "out of luck", tokens=step * 2048))
    return path


def _ranks(
    rows: Rows,
    units: int,
    domain: float,
    form: float,
    pools: Array,
    draw: np.random.Generator,
) -> Array:
    """(task, rank): each unit is the one that the pool of the domain or of the format has at this rank, or any."""
    most = round(SHARES[-1] * units)
    ranked = []
    for d, _, f in rows:
        chosen: list[int] = []
        own, shape = pools[d * most :], pools[len(pools) - (f + 1) * most :]
        chance = draw.random(most)
        for rank in range(most):
            unit = own[rank] if chance[rank] < domain else shape[rank] if chance[rank] < domain + form else -1
            while unit < 0 or unit in chosen:
                unit = int(draw.integers(units))
            chosen.append(int(unit))
        ranked.append(chosen)
    return np.array(ranked)


def _sizes(units: int) -> list[int]:
    return [max(2, round(share * units)) for share in SHARES]


def _shared(ranks: Array, units: int) -> Array:
    """(share, task, task), set by set."""
    found = []
    for size in _sizes(units):
        sets = [set(row[:size].tolist()) for row in ranks]
        found.append([[len(one & other) for other in sets] for one in sets])
    return np.array(found, np.int32)


def _circuits(
    rows: Rows, labels: list[str], ranks: Array, units: int, layers: int, known: Sequence[str]
) -> dict[str, Variable]:
    sizes = _sizes(units)
    composition = np.zeros((1, max(d for d, _, _ in rows) + 1, layers), np.int64)
    for d in {d for (d, _, _), label in zip(rows, labels, strict=True) if label in known}:
        composition[0, d, d % layers] = sizes[1]
    return {
        "circuits_shared": _stack((), _shared(ranks, units)),
        "circuits_shared_halves": Variable(
            ("circuit_space", "share", "task"),
            np.array([[[round(_HALF * size)] * len(rows) for size in sizes]], np.int32),
        ),
        "circuits_gate_p": Variable(("task",), np.array([1e-6 if label in known else 0.5 for label in labels])),
        "circuits_format": _labelled([f"format{f}" for _, _, f in rows]),
        "circuits_kind": _labelled([label.rsplit("_", 1)[0] for label in labels]),
        "circuits_units": Variable(("circuit_space",), np.array([units])),
        "circuits_hubs": Variable(("circuit_space",), np.array([0])),
        "circuits_units_by_layer": Variable(("circuit_space", "domain", "layer"), composition),
        "circuits_top_mlp": Variable(("task", "mlp_rank"), ranks.astype(np.int32)),
        "circuits_top_score_mlp": Variable(
            ("task", "mlp_rank"), np.tile(np.geomspace(1, 0.01, ranks.shape[1], dtype=np.float32), (len(rows), 1))
        ),
        "circuits_score_by_layer": Variable(
            ("circuit_space", "task", "layer"),
            np.array(
                [[[2.0 if layer == d % layers else 1.0 for layer in range(layers)] for d, _, _ in rows]], np.float32
            ),
        ),
    }


def _labelled(labels: list[str]) -> Variable:
    known = sorted(set(labels))
    numbers = np.array([known.index(label) for label in labels], np.int32)
    return Variable(("task",), numbers, {"labels": json.dumps(known)})


def _stack(first: tuple[str, ...], counts: Array) -> Variable:
    """With the axis of the one space."""
    return Variable((*first, "circuit_space", "share", "task", "other_task"), np.expand_dims(counts, len(first)))
