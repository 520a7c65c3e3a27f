"""Where the axis of a figure begins of which nothing is known for most of the training."""

from __future__ import annotations

from observatory.observation import Array
from observatory.review.figures.token_axis import TokenAxis

_ROOM = 0.08
"""Before the first mark, as a share of what is shown."""
_LEAST = 0.3
"""Powers of ten shown, or as much."""


def from_first(axis: TokenAxis, known: Array) -> float:
    """A little before the first observation of which something is known; the beginning where there is none."""
    end = axis.limits[1]
    if not known.any():
        return axis.limits[0]
    first = float(axis.positions[known][0])
    return min(first - _ROOM * (end - first), end - _LEAST)
