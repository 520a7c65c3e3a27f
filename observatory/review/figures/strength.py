"""Figure: how strong each domain's region is, over training, beside what chance gives, with the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy import stats

from observatory.observation import Array
from observatory.review.figures.levels import draw_levels, key
from observatory.review.figures.reference import Reference, draw_reference
from observatory.review.figures.style import INK, MUTED, PALE, SCREEN, Look, Sheet, legend, looks, style
from observatory.review.figures.token_axis import TokenAxis, between_gaps
from observatory.review.judge.evidence import LEVELS, READOUT, Criteria, evidence, lacking, observations
from observatory.review.judge.verdict import UNKNOWN, verdict
from observatory.review.judge.wording import explained

_POOLINGS = {"last": "read at the last token", "mean": "read as the mean over tokens"}
_TICKS = (-10, -5, -2, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_LINEAR = 0.2
"""Up to here the axis is linear, if any index is so large that a line at the floor would lie on that at 0."""
_LARGE = 1.0
_LEAST = 2.5
"""Inches across for a panel with its share of the labels."""
_SMOOTH = 0.9 / np.log(10)
"""The length of the linear part, in decades, with which the curve of the axis has no bend."""


def strength(
    logbook: xr.Dataset,
    space: str = "mlp",
    poolings: Sequence[str] | None = None,
    criteria: Criteria | None = None,
    sheet: Sheet = SCREEN,
    reference: Reference | None = None,
) -> Figure:
    """A panel a pooling: E with its interval, what it is held against, and the levels that are confirmed; the loss.

    On a narrow sheet poolings stand below one another. Without the nulls that a verdict takes, the figure says which
    are lacking. Other runs stand behind as a band, where they are given for reference.
    """
    criteria = criteria or Criteria()
    looked, _ = observations(logbook)
    reason = lacking(looked)
    found = None if reason else evidence(looked, criteria)
    poolings = [str(name) for name in logbook["pooling"].values] if poolings is None else poolings
    domains = [str(name) for name in logbook["domain"].values]
    has_loss = "train_loss" in logbook and bool(np.isfinite(logbook["train_loss"]).any())
    axis, look = TokenAxis.of(logbook), looks(domains)
    verdicts = [] if found is None else [verdict(found, domain) for domain in domains]
    across = sheet.across(len(poolings), _LEAST)
    down = ceil(len(poolings) / across)
    block = [2.3, *([0.25 + 0.14 * len(domains)] if verdicts else [])]
    heights = [*block * down, *([0.7] if has_loss else [])]
    with style(sheet):
        figure = Figure(figsize=(sheet.width, sum(heights)), layout="constrained")
        panels = figure.subplots(len(heights), across, sharex=True, sharey="row", squeeze=False, height_ratios=heights)
        blocks = panels[: len(block) * down].reshape(down, len(block), across).swapaxes(1, 2).reshape(-1, len(block))
        for column in blocks[len(poolings) :]:
            for panel in column:
                panel.set_axis_off()
        for pooling, column in zip(poolings, blocks, strict=False):
            column[0].set_title(_POOLINGS.get(pooling, pooling))
            index = logbook["contrast_index"].sel(space=space, pooling=pooling)
            if found is None:
                _curves(column[0], axis, index, look, {})
            else:
                here = found.sel(space=space, pooling=pooling)
                _curves(column[0], axis, index, look, _passing(here, found.attrs["alpha_of_readout"]))
                _nulls(column[0], axis, here, looked.sizes["twin"], look)
                draw_levels(column[1], axis, verdicts, _last_known(found), look)
            axis.draw_missed(column[0])
        if reference is not None:  # after all curves, which share their limits
            for pooling, column in zip(poolings, blocks, strict=False):
                draw_reference(column[0], axis, reference.bands(space, pooling), look)
        for panel in panels[-1]:
            if has_loss:
                loss = logbook["train_loss"].values
                panel.plot(axis.positions, loss, color=INK, marker=".", markevery=axis.marked(loss))
            axis.draw(panel)
        for panel in blocks[::across, 0]:
            _scale(panel)
        if has_loss:
            panels[-1, 0].set_ylabel("training loss\n(nats/token)")
        marks: dict[str, Artist] = {
            domain: Line2D([], [], color=look[domain].color, marker=look[domain].marker) for domain in domains
        }
        said = [f"No verdict can be given: {reason}"] if reason else explained(verdicts, [UNKNOWN])
        above = legend(figure, "outside upper left", marks)
        nulls = {} if found is None else {**_key(criteria.delta, look[domains[0]].color), **key()}
        behind = {} if reference is None else reference.key()
        below = legend(figure, "outside lower left", {**nulls, **behind, **axis.key()}, said)
        figure.set_figheight(sum(heights) + above + below + 0.6)
    return figure


def _curves(
    panel: Axes, axis: TokenAxis, index: xr.DataArray, look: Mapping[str, Look], passing: Mapping[str, Array]
) -> None:
    """Markers are full at the steps at which the readout passes."""
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    for domain, drawn in look.items():
        values = index.sel(domain=domain).values
        marked = axis.marked(values)
        panel.plot(
            axis.positions,
            values,
            color=drawn.color,
            marker=drawn.marker,
            markerfacecolor="white",
            markevery=marked,
            label=domain,
            clip_on=False,
        )
        full = [place for place in marked if axis.steps[place] in passing.get(domain, ())]
        panel.plot(axis.positions[full], values[full], drawn.marker, color=drawn.color, label="_passes", zorder=3)


def _passing(here: xr.Dataset, alpha: float) -> dict[str, Array]:
    """Of each domain, the steps at which this readout alone makes it selective."""
    passes = here["level_p"].sel(level=LEVELS[0]) <= alpha
    return {str(domain): passes["step"].values[passes.sel(domain=domain).values] for domain in passes["domain"].values}


def _last_known(found: xr.Dataset) -> dict[str, int]:
    """The last step at which any readout says something of a domain."""
    known = found["level_p"].notnull().any(("level", *READOUT))
    return {
        str(domain): int(np.append(found["step"][:1], found["step"][known.sel(domain=domain).values])[-1])
        for domain in found["domain"].values
    }


def _nulls(panel: Axes, axis: TokenAxis, here: xr.Dataset, twins: int, look: Mapping[str, Look]) -> None:
    """The intervals of E, of untrained twins together, and by domain chance and the floor."""
    at = axis.at_step(here["step"].values)
    low, high = twins_between(here, twins)
    panel.axhspan(low, high, color=PALE, linewidth=0, zorder=0, label="_twins")
    for domain, drawn in look.items():
        one = here.sel(domain=domain)
        least, most = one["low"].values, one["high"].values
        panel.fill_between(
            at,
            least,
            most,
            color=drawn.color,
            alpha=min(0.2, 1 / len(look)),
            linewidth=0,
            label="_interval",
            rasterized=axis.dense,
        )
        alone = between_gaps(one["index"].values)
        panel.vlines(at[alone], least[alone], most[alone], color=drawn.color, alpha=0.4, linewidth=2)
        chance = one["chance"].values
        panel.plot(at, chance, color=drawn.color, linewidth=0.7, linestyle=":", label="_chance")
        panel.plot(at[alone], chance[alone], "_", color=drawn.color, markersize=6, label="_chance")
        panel.axhline(float(one["floor"]), color=drawn.color, linewidth=0.6, linestyle=(0, (6, 4)), label="_floor")


def twins_between(here: xr.Dataset, count: int) -> tuple[float, float]:
    """Where 95% of the untrained twins of any domain lie, one more twin being a draw of Student's t."""
    half: Array = stats.t.ppf(0.975, count - 1) * np.sqrt(1 + 1 / count) * here["twins_spread"].values
    return float(np.nanmin(here["twins"].values - half)), float(np.nanmax(here["twins"].values + half))


def _scale(panel: Axes) -> None:
    label = "emergence index $E$\n(Hedges' $g$ on families not used\nto choose the region)"
    low, high = panel.get_ylim()
    if high > _LARGE:
        panel.set_yscale("symlog", linthresh=_LINEAR, linscale=_SMOOTH)
        panel.set_yticks([tick for tick in _TICKS if low <= tick <= high])
        panel.set_yticks([], minor=True)
        panel.yaxis.set_major_formatter("{x:g}")
        label += f"\nlinear up to {_LINEAR:g}, then logarithmic"
    panel.set_ylabel(label)


def _key(delta: float, color: str) -> dict[str, Artist]:
    """What everything but the curves is."""
    return {
        "95% over stimuli": Patch(color=color, alpha=0.2, linewidth=0),
        "label swaps, 95%": Line2D([], [], color=INK, linewidth=0.7, linestyle=":"),
        "untrained twins, 95%": Patch(color=PALE, linewidth=0),
        f"floor: twins + {delta:g}": Line2D([], [], color=INK, linewidth=0.6, linestyle=(0, (6, 4))),
        "passes in this readout": Line2D([], [], color=INK, marker="o", linewidth=0),
    }
