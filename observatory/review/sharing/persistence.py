"""How much of a task's circuit stays the same from one step to another."""

from __future__ import annotations

import numpy as np

from observatory.observation import Array
from observatory.review.sharing.circuit_record import CircuitRecord
from observatory.review.sharing.overlap import coefficients


def to_previous(record: CircuitRecord, share: int, done: Array) -> Array:
    """(step, task): overlap above chance with the recorded step before; missing where the task is not done at both."""
    steps = len(record.steps)
    return np.stack([_kept(record, share, done, now, now - 1) for now in range(steps)])


def to_final(record: CircuitRecord, share: int, done: Array) -> Array:
    """(step, task): likewise with the last recorded step, which itself is missing."""
    last = len(record.steps) - 1
    return np.stack([_kept(record, share, done, now, last if now < last else -1) for now in range(last + 1)])


def _kept(record: CircuitRecord, share: int, done: Array, now: int, then: int) -> Array:
    """(task)"""
    if then < 0:
        return np.full(done.shape[1], np.nan)
    both = done[now] & done[then]
    sizes = [np.where(both, record.sizes[step, share], np.nan) for step in (now, then)]
    shared = np.array([_shared(record, share, now, then, task) if known else np.nan for task, known in enumerate(both)])
    counts = np.stack([np.stack([sizes[0], shared], -1), np.stack([shared, sizes[1]], -1)], -2)
    units = np.full(len(both), min(record.units[now], record.units[then]))
    return np.asarray(coefficients(counts, np.stack(sizes, -1), units).corrected[:, 0, 1])


def _shared(record: CircuitRecord, share: int, now: int, then: int, task: int) -> int:
    """A circuit is as many of the ranked units as its size says."""
    one, other = (record.ranked[step, task, : int(record.sizes[step, share, task])] for step in (now, then))
    return len(np.intersect1d(one, other))
