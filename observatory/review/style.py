"""What all figures share: fixed colours, the token axis, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil, log10

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from observatory.observation import Array

# Okabe and Ito's palette, told apart under every common colour blindness.
_FIXED = {"language": "#0072B2", "math": "#D55E00", "social": "#009E73", "physical": "#CC79A7"}
_SPARE = ("#E69F00", "#56B4E9", "#000000", "#8C6D31", "#7F7F7F", "#5A3D8A")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
_MOST_TICKS = 6
_APART = 0.015
"""How far apart two markers of a line are at least, as a share of the axis."""
_LINE_OF_TEXT = 114
"""Letters across a figure."""
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


def legend_columns(labels: Sequence[str]) -> int:
    """As many entries as fit into one line, each with nine letters' room for its line and the space behind it."""
    return max(1, min(len(labels), _LINE_OF_TEXT // (max(map(len, labels)) + 9)))


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

    def marked(self, values: Array) -> list[int]:
        """Which observations of a line get a marker: none over another, but all between two gaps, where no line is."""
        at, shown, last = self.positions, np.isfinite(values), -np.inf
        between_gaps = shown & ~np.append(False, shown[:-1]) & ~np.append(shown[1:], False)
        marked = []
        for place in np.flatnonzero(shown):
            if between_gaps[place] or at[place] - last >= _APART * np.ptp(at):
                marked.append(int(place))
                last = at[place]
        return marked

    def draw(self, axes: Axes) -> None:
        """Ticks at round numbers, and the label."""
        zero = [0] if (self.counts == 0).any() else []
        positive = self.counts[self.counts > 0]
        ticks = round_numbers(int(positive.min()), int(positive.max())) if positive.size else []
        axes.set_xticks(
            [self.zero] * len(zero) + [log10(tick) for tick in ticks], [_count(tick) for tick in zero + ticks]
        )
        if positive.size:
            minor = [power + log10(digit) for power in range(20) for digit in range(2, 10)]
            first, last = log10(positive.min()), log10(positive.max())
            axes.set_xticks([x for x in minor if first <= x <= last], minor=True)
        axes.set_xlabel(f"{self.label} (log scale)")


def round_numbers(first: int, last: int) -> list[int]:
    """Numbers with as few digits as make two of them lie between the first and the last; the powers of ten mostly."""
    found: list[int] = []
    for digits in ((1,), (1, 2, 5), range(1, 10), range(10, 100), range(100, 1000)):
        found = [digit * 10**power for power in range(20) for digit in digits if first <= digit * 10**power <= last]
        if len(found) > 1:
            return found[:: ceil(len(found) / _MOST_TICKS)]
    return found or [first]


def _count(number: int) -> str:
    for size, suffix in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.3g}{suffix}"
    return str(number)
