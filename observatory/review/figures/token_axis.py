"""Tokens on a log axis, which every figure over training shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from observatory.observation import Array
from observatory.review.figures.style import INK, MUTED, letters
from observatory.review.judge.doubts import doubts

_MOST_TICKS = 6
_TICK = 0.065
"""Inches across for the number at a tick, for each point of its text."""
_MOST_MINOR = 60
_DENSE = 200
_APART = 0.015
"""How far apart two markers of a line are at least, as a share of the axis."""

FLAG = "(!)"
_MISSED: dict[str, Any] = {"color": MUTED, "marker": "x", "markersize": 3.5, "linestyle": "none"}
_DOUBTED: dict[str, Any] = {"color": INK, "marker": "$!$", "markersize": 5, "linestyle": "none"}


@dataclass(frozen=True)
class TokenAxis:
    """Tokens on a log axis; the untrained model, which has no logarithm, stands apart on the left."""

    label: str
    counts: Array
    """Of each observation."""
    missed: Array
    """Of each observation that was due and is missing."""
    doubted: Array
    """Of each observation of a checkpoint that the doctor warns of."""
    steps: Array
    zero: float
    first: float

    @classmethod
    def of(cls, logbook: xr.Dataset) -> TokenAxis:
        """Counts tokens, or steps for a logbook that knows no tokens."""
        steps = logbook["step"].values
        known = bool(logbook["tokens"].max() > 0)
        counts = logbook["tokens"].values if known else steps
        gaps = "gap_tokens" if known else "gap_step"
        missed = logbook[gaps].values if gaps in logbook else np.array([], dtype=np.int64)
        every = np.concatenate([counts, missed])
        positive = every[every > 0]
        first = log10(positive.min()) if positive.size else 0.0
        last = log10(positive.max()) if positive.size else 1.0
        zero = first - max(0.25, 0.12 * (last - first))
        doubted = counts[np.isin(steps, [step for one in doubts(logbook) for step in one["steps"]])]
        return cls("training tokens" if known else "training step", counts, missed, doubted, steps, zero, first)

    @property
    def dense(self) -> bool:
        """Whether what is drawn at every observation is better drawn as dots: an SVG would take megabytes."""
        return self.counts.size > _DENSE

    @property
    def positions(self) -> Array:
        """Where each observation is drawn."""
        return self.at(self.counts)

    def at(self, counts: ArrayLike) -> Array:
        """Where counts are drawn; between 0 and the first observation, where no logarithm helps, evenly."""
        count = np.asarray(counts, dtype=float)
        early = self.zero + (self.first - self.zero) * count / 10**self.first
        return np.where(count >= 10**self.first, np.log10(np.maximum(count, 1)), early)

    def at_step(self, steps: ArrayLike) -> Array:
        """Where steps are drawn, those between two observations among them."""
        step = np.asarray(steps, dtype=float)
        return np.where(np.isfinite(step), self.at(np.interp(step, self.steps, self.counts)), step)

    @property
    def limits(self) -> tuple[float, float]:
        """The first and the last, with room for a marker."""
        every = np.concatenate([self.positions, self.at(self.missed)])
        room = 0.04 * float(np.ptp(every)) or 0.5
        return float(every.min()) - room, float(every.max()) + room

    @property
    def edges(self) -> Array:
        """Borders of cells that touch, one round each observation."""
        at = self.positions
        if at.size == 1:
            return np.array([at[0] - 0.5, at[0] + 0.5])
        between = (at[1:] + at[:-1]) / 2
        return np.concatenate(([2 * at[0] - between[0]], between, [2 * at[-1] - between[-1]]))

    def marked(self, values: Array) -> list[int]:
        """Which observations of a line get a marker."""
        return thinned(self.positions, values)

    def draw(self, axes: Axes, start: float | None = None) -> None:
        """Ticks at round numbers, and the label; from a position on, or for all there is."""
        low, high = self.limits
        low = low if start is None else start
        axes.set_xlim(low, high)
        fitting = int(np.clip(_inches(axes) / (_TICK * mpl.rcParams["font.size"]), 2, _MOST_TICKS))
        axes.set_xticks(*self._ticks(low, fitting))
        axes.set_xticks(self._minor(low), minor=True)
        label = f"{self.label} (log scale)"
        axes.set_xlabel(label if len(label) < letters(1.1 * _inches(axes)) else label.replace(" (", "\n("))

    def draw_upwards(self, axes: Axes, start: float | None = None) -> None:
        """The same for an axis that rises, on which the result stands."""
        low, high = self.limits
        low = low if start is None else start
        axes.set_ylim(low, high)
        axes.set_yticks(*self._ticks(low, _MOST_TICKS))
        axes.set_yticks(self._minor(low), minor=True)
        axes.set_ylabel(f"{self.label}\n(log scale)")

    def _ticks(self, low: float, most: int) -> tuple[list[float], list[str]]:
        positive = self._positive()
        zero = [0] if self._at_zero() and low <= self.zero else []
        ticks = round_numbers(ceil(max(positive.min(), 10**low)), int(positive.max())) if positive.size else []
        ticks = ticks[:: max(1, ceil(len(ticks) / most))]
        at = [self.zero] * len(zero) + [log10(tick) for tick in ticks]
        return at, [count_of(tick) for tick in zero + ticks]

    def _minor(self, low: float) -> list[float]:
        positive = self._positive()
        if not positive.size:
            return []
        minor = [power + log10(digit) for power in range(20) for digit in range(2, 10)]
        within = [x for x in minor if max(low, self.first) <= x <= log10(positive.max())]
        return within if len(within) <= _MOST_MINOR else []

    def _positive(self) -> Array:
        every = np.concatenate([self.counts, self.missed])
        return every[every > 0]

    def _at_zero(self) -> bool:
        return bool((np.concatenate([self.counts, self.missed]) == 0).any())

    def draw_missed(self, axes: Axes) -> None:
        """Crosses on the upper edge, and exclamation marks for what is doubted."""
        upper = axes.get_xaxis_transform()
        for counts, marks, label in ((self.missed, _MISSED, "_missed"), (self.doubted, _DOUBTED, "_doubted")):
            if counts.size:  # an empty line that is not clipped has no box, which the layout needs
                at = self.at(counts)
                axes.plot(at, np.ones(at.size), **marks, transform=upper, clip_on=False, label=label)

    def flag(self, place: int) -> str:
        """What stands behind the title of an observation that the doctor doubts."""
        return f" {FLAG}" if self.counts[place] in self.doubted else ""

    def key(self) -> dict[str, Artist]:
        """What these marks mean, those that are drawn."""
        made: dict[str, Artist] = {}
        if self.missed.size:
            made["observation missing"] = Line2D([], [], **_MISSED)
        if self.doubted.size:
            made["checkpoint doubted by the doctor"] = Line2D([], [], **_DOUBTED)
        return made


def _inches(axes: Axes) -> float:
    """Across, about: the layout is not made yet."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return float(axes.get_position().width * figure.get_figwidth())


def thinned(at: Array, values: Array, apart: float = _APART) -> list[int]:
    """Which values get a marker: none over another, but all between two gaps, where no line is."""
    shown, last = np.isfinite(values), -np.inf
    alone, marked = between_gaps(values), []
    for place in np.flatnonzero(shown):
        if alone[place] or at[place] - last >= apart * np.ptp(at):
            marked.append(int(place))
            last = at[place]
    return marked


def flag_note(titles: Iterable[str]) -> list[str]:
    """What a flag means, if there is one."""
    return [f"{FLAG} a checkpoint that the doctor doubts"] if any(title.endswith(FLAG) for title in titles) else []


def between_gaps(values: Array) -> Array:
    """Which values have none beside them, so that no line would show them."""
    shown = np.isfinite(values)
    alone: Array = shown & ~np.append(False, shown[:-1]) & ~np.append(shown[1:], False)
    return alone


def round_numbers(first: int, last: int) -> list[int]:
    """Numbers with as few digits as make two of them lie between the first and the last; the powers of ten mostly."""
    found: list[int] = []
    for digits in ((1,), (1, 2, 5), range(1, 10), range(10, 100), range(100, 1000)):
        found = [digit * 10**power for power in range(20) for digit in digits if first <= digit * 10**power <= last]
        if len(found) > 1:
            return found[:: ceil(len(found) / _MOST_TICKS)]
    return found or [first]


def count_of(number: int) -> str:
    """A number in few letters, as 1.2M."""
    for size, suffix in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.3g}{suffix}"
    return str(number)
