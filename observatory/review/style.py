"""What all figures share: fixed colours, the token axis, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil, floor, log10

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from observatory.observation import Array

# Okabe and Ito's palette, told apart under every common colour blindness.
_FIXED = {"language": "#0072B2", "math": "#D55E00", "social": "#009E73", "physical": "#CC79A7"}
_SPARE = ("#E69F00", "#56B4E9", "#000000", "#8C6D31", "#7F7F7F", "#5A3D8A")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
INK = "#222222"
MUTED = "#767676"


@dataclass(frozen=True)
class Look:
    """How one domain is drawn, told by colour and by marker."""

    color: str
    marker: str


def looks(domains: Sequence[str]) -> Mapping[str, Look]:
    """The same domain has the same colour in every figure."""
    spare = cycle(_SPARE)
    markers = islice(cycle(_MARKERS), len(domains))
    return {
        domain: Look(_FIXED.get(domain) or next(spare), marker) for domain, marker in zip(domains, markers, strict=True)
    }


@contextmanager
def style() -> Iterator[None]:
    """Quiet axes and text that stays text in an SVG."""
    with mpl.rc_context(
        {
            "font.size": 8,
            "axes.titlesize": 9,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "lines.linewidth": 1.4,
            "lines.markersize": 3.2,
            "legend.frameon": False,
            "figure.dpi": 200,
            "svg.fonttype": "none",
        }
    ):
        yield


@dataclass(frozen=True)
class TokenAxis:
    """Tokens on a log axis; the untrained model, which has no logarithm, stands apart on the left."""

    label: str
    counts: Array
    zero: float

    @classmethod
    def of(cls, logbook: xr.Dataset) -> TokenAxis:
        """Counts tokens, or steps for a logbook that knows no tokens."""
        tokens = logbook["tokens"].values
        label, counts = ("training tokens", tokens) if tokens.max() > 0 else ("training step", logbook["step"].values)
        positive = counts[counts > 0]
        first = log10(positive.min()) if positive.size else 0.0
        last = log10(positive.max()) if positive.size else 1.0
        return cls(label, counts, first - max(0.25, 0.12 * (last - first)))

    @property
    def positions(self) -> Array:
        """Where each observation is drawn."""
        return np.where(self.counts > 0, np.log10(np.maximum(self.counts, 1)), self.zero)

    @property
    def edges(self) -> Array:
        """Borders of cells that touch, one round each observation."""
        at = self.positions
        if at.size == 1:
            return np.array([at[0] - 0.5, at[0] + 0.5])
        between = (at[1:] + at[:-1]) / 2
        return np.concatenate(([2 * at[0] - between[0]], between, [2 * at[-1] - between[-1]]))

    def draw(self, axes: Axes) -> None:
        """Ticks at powers of ten, and the label."""
        at = self.positions
        has_zero = bool((self.counts == 0).any())
        positive = at[self.counts > 0]
        ticks = [] if not positive.size else list(range(ceil(positive.min() - 1e-9), floor(positive.max() + 1e-9) + 1))
        minor = [power + log10(digit) for power in range(-1, 20) for digit in range(2, 10)]
        axes.set_xticks(
            ([self.zero] if has_zero else []) + ticks,
            (["0"] if has_zero else []) + [_count(10**tick) for tick in ticks],
        )
        if positive.size:
            axes.set_xticks([x for x in minor if positive.min() <= x <= positive.max()], minor=True)
        axes.set_xlabel(f"{self.label} (log scale)")


def _count(number: int) -> str:
    for size, suffix in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number // size}{suffix}"
    return str(number)
