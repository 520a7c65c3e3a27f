"""A curve in one line of text."""

from __future__ import annotations

import numpy as np

from observatory.observation import Array

_BLOCKS = "▁▂▃▄▅▆▇█"
_ROUND = (1.0, 2.0, 5.0)


def sparkline(values: Array, top: float, width: int) -> str:
    """A block a value, or the mean of neighbours where there are more than fit; from 0 to `top`, blank for nan."""
    parts = np.array_split(np.asarray(values, dtype=float), min(width, len(values)) or 1)
    return "".join(_block([value for value in part if np.isfinite(value)], top) for part in parts)


def round_top(values: Array, least: float = 0.5) -> float:
    """The upper end of a scale that holds all values and seldom changes as more come: 0.5, 1, 2, 5, 10 ..."""
    largest = max([least, *values[np.isfinite(values)].tolist()])
    power = 10.0 ** np.floor(np.log10(largest))
    return float(next(digit * power for digit in (*_ROUND, 10.0) if digit * power >= largest * (1 - 1e-12)))


def _block(values: list[float], top: float) -> str:
    """What is below 0 or above the top has the block at that end."""
    if not values:
        return " "
    return _BLOCKS[int(np.clip(np.mean(values) / top * len(_BLOCKS), 0, len(_BLOCKS) - 1))]
