"""Figure: how much of each domain's region stays the same as training goes on."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.observation import Array
from observatory.review.figures.style import INK, SCREEN, Sheet, legend, looks, style
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.evidence import LEVELS, Criteria, evidence, lacking, observations
from observatory.review.sharing.overlap import coefficients

_LEAST = 2.5
"""Inches across for a panel with its share of the labels."""


def no_regions(logbook: xr.Dataset, space: str = "mlp") -> str | None:
    """Why there is nothing to compare, if so."""
    if "contrast_index" not in logbook or f"contrast_region_{space}" not in logbook:
        return f"contrast_region_{space} was not recorded"
    return "regions were looked for at one step alone" if observations(logbook)[0].sizes["step"] < 2 else None


def region_stability(logbook: xr.Dataset, space: str = "mlp", pooling: str = "mean", sheet: Sheet = SCREEN) -> Figure:
    """Two panels, against the step before and against the last; full where the readout says that there is a region."""
    if reason := no_regions(logbook, space):
        raise ValueError(f"no regions can be compared: {reason}")
    seen, _ = observations(logbook)
    axis, domains = TokenAxis.of(seen), [str(name) for name in seen["domain"].values]
    passes, look = _passes(seen, space, pooling), looks(domains)
    across = sheet.across(2, _LEAST)
    height = 2.1 * 2 / across
    with style(sheet):
        figure = Figure(figsize=(sheet.width, height), layout="constrained")
        panels = figure.subplots(2 // across, across, sharex=True, sharey=True, squeeze=False)
        for panel, (title, values) in zip(panels.flat, kept(seen, space, pooling).items(), strict=True):
            panel.axhline(0, color=INK, linewidth=0.7, linestyle=":", label="_chance", zorder=1)
            for place, (domain, one) in enumerate(look.items()):
                at, line, marked = axis.positions, values[:, place], axis.marked(values[:, place])
                drawn = {"color": one.color, "marker": one.marker, "markerfacecolor": "white", "markevery": marked}
                panel.plot(at, line, **drawn, label=domain)
                full = [step for step in marked if passes[step, place]]
                panel.plot(at[full], line[full], one.marker, color=one.color, label="_passes", zorder=3)
            panel.set_title(f"with the {title}")
            axis.draw_missed(panel)
        panels[0, 0].set_ylim(-0.12, 1.05)
        for panel in panels[-1]:
            axis.draw(panel)
        for panel in panels[:, 0]:
            panel.set_ylabel(f"overlap of regions above\nchance (Jaccard, {space} units,\n{pooling} pooling)")
        names: dict[str, Artist] = {
            domain: Line2D([], [], color=one.color, marker=one.marker) for domain, one in look.items()
        }
        above = legend(figure, "outside upper left", names)
        below = legend(figure, "outside lower left", {**_key(bool(passes.any())), **axis.key()})
        figure.set_figheight(height + above + below)
    return figure


def kept(seen: xr.Dataset, space: str, pooling: str) -> dict[str, Array]:
    """(step, domain): Jaccard above chance, with the observation before and with the last, itself missing."""
    region = seen[f"contrast_region_{space}"].sel(pooling=pooling).transpose("step", "domain", ...)
    masks = region.values.reshape(*region.shape[:2], -1) == 1
    units = float(region.attrs.get("units_in_all", masks.shape[-1]))  # the rows of narrow layers are filled up
    count = len(masks)
    before = [
        _alike(masks[now], masks[now - 1], units) if now else np.full(masks.shape[1], np.nan) for now in range(count)
    ]
    final = [_alike(now, masks[-1], units) for now in masks[:-1]]
    return {
        "observation before": np.stack(before),
        "last observation": np.stack([*final, np.full(masks.shape[1], np.nan)]),
    }


def _alike(one: Array, other: Array, units: float) -> Array:
    both = np.stack([one, other], -2).astype(float)  # domain, mask, unit
    shared = both @ both.swapaxes(-1, -2)
    return coefficients(shared, np.diagonal(shared, axis1=-2, axis2=-1), units).corrected[:, 0, 1]


def _passes(seen: xr.Dataset, space: str, pooling: str) -> Array:
    """(step, domain): whether this readout alone makes the domain selective; nowhere, if no verdict can be given."""
    if lacking(seen):
        return np.zeros((seen.sizes["step"], seen.sizes["domain"]), dtype=bool)
    found = evidence(seen, Criteria())
    p = found["level_p"].sel(level=LEVELS[0], space=space, pooling=pooling).transpose("step", "domain")
    return np.asarray(p.values <= found.attrs["alpha_of_readout"])


def _key(passes: bool) -> dict[str, Artist]:
    made: dict[str, Artist] = {"as much as random units share": Line2D([], [], color=INK, linewidth=0.7, linestyle=":")}
    if passes:
        made["passes in this readout"] = Line2D([], [], color=INK, marker="o", linewidth=0)
    return made
