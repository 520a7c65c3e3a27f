"""How models of several sizes are told apart in one panel: darker and another marker the larger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from observatory.review.figures.style import INK, Look

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def size_looks(sizes: Sequence[int | None]) -> Mapping[int | None, Look]:
    """Of sizes from the smallest to the largest."""
    if len(sizes) == 1:
        return {sizes[0]: Look(INK, "o")}
    shades = mpl.colormaps["viridis_r"](np.linspace(0.2, 1.0, len(sizes)))
    return {
        size: Look(to_hex(shade), marker) for size, shade, marker in zip(sizes, shades, cycle(_MARKERS), strict=False)
    }
