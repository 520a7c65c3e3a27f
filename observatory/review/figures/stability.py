"""Figure: how much of each task's circuit stays the same as training goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from observatory.observation import Array
from observatory.review.figures.style import INK, MUTED, SCREEN, Look, Sheet, legend, looks, style
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.sharing.circuit_record import Choice, CircuitRecord, circuit_record, looked, no_circuits
from observatory.review.sharing.persistence import to_final, to_previous

_LEAST = 2.5
"""Inches across for a panel with its share of the labels."""


def nothing_to_compare(logbook: xr.Dataset) -> str | None:
    """Why there is no such figure, if so."""
    if reason := no_circuits(logbook):
        return reason
    return "circuits were looked for at one step alone" if looked(logbook).sizes["step"] < 2 else None


def stability(logbook: xr.Dataset, choice: Choice | None = None, sheet: Sheet = SCREEN) -> Figure:
    """Two panels, against the step before and against the last; lines are means over the tasks done of a domain."""
    choice = choice or Choice()
    record = circuit_record(logbook, choice)
    axis, done, share = TokenAxis.of(looked(logbook)), record.done(choice.alpha), record.place(choice.share)
    halves = np.stack([record.ceiling(step, share, done[step]).corrected for step in range(len(record.steps))])
    compared = {
        "with the recorded step before": to_previous(record, share, done),
        "with the last recorded step": to_final(record, share, done),
    }
    look = looks(record.domains)
    across = sheet.across(len(compared), _LEAST)
    height = 2.2 * len(compared) / across
    with style(sheet):
        figure = Figure(figsize=(sheet.width, height), layout="constrained")
        panels = figure.subplots(len(compared) // across, across, sharex=True, sharey=True, squeeze=False)
        for panel, (title, values) in zip(panels.flat, compared.items(), strict=True):
            panel.set_title(title)
            panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
            for domain, drawn in look.items():
                _domain(panel, axis, record, domain, values, halves, drawn)
            axis.draw_missed(panel)
            if not np.isfinite(values).any():
                panel.text(
                    0.5, 0.5, "no task is done at two steps", color=MUTED, ha="center", transform=panel.transAxes
                )
        panels[0, 0].set_ylim(-0.08, 1.02)
        for panel in panels[-1]:
            axis.draw(panel)
        for panel in panels[:, 0]:
            panel.set_ylabel(
                f"overlap of a task's circuits\nabove chance ({choice.share:g} of\nthe {choice.space} units)"
            )
        marks: dict[str, Artist] = {
            domain: Line2D([], [], color=drawn.color, marker=drawn.marker) for domain, drawn in look.items()
        }
        above = legend(figure, "outside upper left", marks)
        below = legend(figure, "outside lower left", _key(axis))
        figure.set_figheight(height + above + below)
    return figure


def _domain(
    panel: Axes, axis: TokenAxis, record: CircuitRecord, domain: str, values: Array, halves: Array, look: Look
) -> None:
    """The mean, each task as a dot, and the mean of what the two halves of a task's templates share."""
    own = np.array([name == domain for name in record.tasks.domains])
    mean = _mean(values[:, own])
    panel.plot(
        axis.positions,
        mean,
        color=look.color,
        marker=look.marker,
        markevery=axis.marked(mean),
        label=domain,
        zorder=3,
    )
    for task in np.flatnonzero(own):
        dots: dict[str, Any] = {"color": look.color, "markersize": 2, "alpha": 0.35, "rasterized": axis.dense}
        panel.plot(axis.positions, values[:, task], ".", **dots, label="_task")
    panel.plot(axis.positions, _mean(halves[:, own]), color=look.color, linewidth=0.7, linestyle=":", label="_halves")


def _mean(values: Array) -> Array:
    """Over those known of each step; missing (NaN) where none is."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(1), known.sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _key(axis: TokenAxis) -> dict[str, Artist]:
    made: dict[str, Artist] = {
        "mean over tasks done": Line2D([], [], color=INK, marker="o"),
        "a task": Line2D([], [], color=INK, marker=".", markersize=2, linewidth=0),
        "circuits of either half of its templates": Line2D([], [], color=INK, linewidth=0.7, linestyle=":"),
    }
    return {**made, **axis.key()}
