"""Other runs as a band behind one's own: where E of one more of them would lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.observation import Array
from observatory.review.comparison.common_steps import mean_interval, on_grid
from observatory.review.comparison.compare import refuse_other_batteries
from observatory.review.figures.style import INK, Look
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.evidence import Criteria, evidence, lacking, observations

_LABEL = "_reference"
_SHADE, _EDGE = 0.09, 0.35
_MIDDLE: dict[str, Any] = {"linewidth": 0.8, "linestyle": "-."}


@dataclass(frozen=True)
class Band:
    """Of one domain in one readout."""

    counts: Array
    """Tokens, or steps where tokens are not known."""
    middle: Array
    low: Array
    high: Array
    """95%: of one more run, by Student's t, where there are several; over the stimuli of one."""
    runs: int


@dataclass(frozen=True)
class Reference:
    """Logbooks of one battery that one's own is held against."""

    logbooks: tuple[xr.Dataset, ...]
    unit: str

    @classmethod
    def of(cls, own: xr.Dataset, references: Mapping[str, xr.Dataset]) -> Reference:
        """ValueError where they cannot stand beside one's own."""
        if not references:
            raise ValueError("a reference is one logbook or more; got none")
        refuse_other_batteries({"this run": own, **references})
        for name, logbook in references.items():
            if _unit(logbook) != _unit(own):
                raise ValueError(
                    f"this run counts {_unit(own)} and {name} {_unit(logbook)}, which have no axis in common; replay "
                    f"the one without tokens with tokens_per_step"
                )
        return cls(tuple(references.values()), _unit(own))

    def bands(self, space: str, pooling: str) -> dict[str, Band]:
        """Of each domain that any of them has in this readout."""
        seen = [_Seen.of(logbook, space, pooling, self.unit) for logbook in self.logbooks]
        domains = dict.fromkeys(domain for one in seen for domain in one.index)
        return {domain: _band([one for one in seen if domain in one.index], domain) for domain in domains}

    def key(self) -> dict[str, Artist]:
        """What the lines and the band mean."""
        count = len(self.logbooks)
        middle, band = (
            (f"reference, mean of {count} runs", "one more of them, 95%")
            if count > 1
            else ("reference run", "reference, 95% over stimuli")
        )
        return {
            middle: Line2D([], [], color=INK, **_MIDDLE),
            band: Patch(facecolor=to_rgba(INK, _SHADE), edgecolor=to_rgba(INK, _EDGE), linewidth=0.5),
        }


def draw_reference(panel: Axes, axis: TokenAxis, bands: Mapping[str, Band], look: Mapping[str, Look]) -> None:
    """Behind the curves of the domains that both have; a band that is wide may leave the panel, its middle may not."""
    inside = list(panel.get_ylim())
    for domain, band in bands.items():
        if domain not in look:
            continue
        at, color = axis.at(band.counts), look[domain].color
        panel.fill_between(
            at,
            band.low,
            band.high,
            facecolor=to_rgba(color, _SHADE),
            edgecolor=to_rgba(color, _EDGE),
            linewidth=0.5,
            zorder=0.5,
            label=_LABEL,
        )
        panel.plot(at, band.middle, color=color, **_MIDDLE, zorder=1, label=_LABEL)
        seen = band.middle[np.isfinite(band.middle) & (at <= axis.limits[1])]
        inside += seen.tolist()
    panel.set_ylim(min(inside), max(inside))


@dataclass(frozen=True)
class _Seen:
    """E of every domain in one readout of one logbook, with what resampling its stimuli gives."""

    counts: Array
    index: Mapping[str, tuple[Array, Array, Array]]

    @classmethod
    def of(cls, logbook: xr.Dataset, space: str, pooling: str, unit: str) -> _Seen:
        looked, _ = observations(logbook)
        counts = looked["tokens" if unit == "tokens" else "step"].values
        index = looked["contrast_index"]
        if space not in index["space"].values or pooling not in index["pooling"].values:
            return cls(counts, {})
        found = None if lacking(looked) else evidence(looked, Criteria()).sel(space=space, pooling=pooling)
        curves = {}
        for domain in index["domain"].values:
            values = index.sel(space=space, pooling=pooling, domain=domain).values
            low, high = (
                (np.full_like(values, np.nan), np.full_like(values, np.nan))
                if found is None
                else (found["low"].sel(domain=domain).values, found["high"].sel(domain=domain).values)
            )
            curves[str(domain)] = (values, low, high)
        return cls(counts, curves)


def _band(seen: Sequence[_Seen], domain: str) -> Band:
    if len(seen) == 1:
        return Band(seen[0].counts, *seen[0].index[domain], runs=1)
    counts = np.unique(np.concatenate([one.counts for one in seen]))
    runs = np.stack([on_grid(counts, one.counts, one.index[domain][0]) for one in seen])
    mean, low, high = mean_interval(runs, one_more=True)
    return Band(counts, np.where(np.isfinite(low), mean, np.nan), low, high, runs=len(seen))


def _unit(logbook: xr.Dataset) -> str:
    return "tokens" if "tokens" in logbook.coords and logbook["tokens"].max() > 0 else "steps"
