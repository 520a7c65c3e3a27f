"""A panel of what tasks share, by how many units a circuit holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from observatory.review.figures.setting_panels import CHOSEN
from observatory.review.figures.style import INK, MUTED, PALE
from observatory.review.judge.rejudged import SharingAt
from observatory.review.judge.verdict import UNKNOWN
from observatory.review.sharing.sharing_verdict import BY_DOMAIN, BY_FORMAT

_UNKNOWN: dict[str, Any] = {"color": MUTED, "marker": "$?$", "markersize": 4, "linestyle": "none"}


@dataclass(frozen=True)
class ShownEffect:
    """An effect, and the verdict that rests on it."""

    name: str
    title: str
    verdict: str
    look: dict[str, Any]


EFFECTS = (
    ShownEffect("index", "domain index, by share", BY_DOMAIN, {"color": INK, "marker": "o", "linestyle": "-"}),
    ShownEffect(
        "format_effect",
        "effect of format, by share",
        BY_FORMAT,
        {"color": "#8C6D31", "marker": "s", "linestyle": (0, (4, 1.5))},
    ),
)


def sharing_by_share(panel: Axes, shown: ShownEffect, found: Sequence[SharingAt], chosen: float) -> None:
    """Of the tasks done at the last step; full where the verdict at that share is this, with 95% of twins."""
    at = np.log10([one.share for one in found])
    values = np.array([one.effects[shown.name].value for one in found])
    bands = np.array([one.effects[shown.name].band() for one in found]).reshape(-1, 2)
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    panel.errorbar(at, bands.mean(1), np.ptp(bands, axis=1) / 2, fmt="none", ecolor=PALE, elinewidth=7, zorder=0)
    panel.plot(at, values, **shown.look, markerfacecolor="white", label=shown.name, zorder=3)
    holds = np.array([one.verdict.said == shown.verdict for one in found], dtype=bool)
    panel.plot(at[holds], values[holds], shown.look["marker"], color=shown.look["color"], label="_holds", zorder=4)
    unknown = at[np.array([one.verdict.said == UNKNOWN for one in found], dtype=bool)]
    if unknown.size:
        panel.plot(unknown, np.full(unknown.size, 0.06), **_UNKNOWN, transform=panel.get_xaxis_transform())
    if found:
        panel.axvline(np.log10(chosen), **CHOSEN, label="_chosen", zorder=0)
        panel.set_xticks(at, [f"{100 * one.share:.2g}%" for one in found])
    else:
        panel.set_xticks([])
        panel.text(0.5, 0.5, "can't say", color=MUTED, ha="center", va="center", transform=panel.transAxes)
    panel.margins(x=0.1)
    panel.set_title(shown.title)
    panel.set_ylabel("overlap above chance")
    panel.set_xlabel("share of the units in a circuit (log scale)")


def sharing_key() -> dict[str, Artist]:
    """What its marks mean."""
    return {
        "circuits, last step": Line2D([], [], color=INK, marker="o", markerfacecolor="white"),
        "verdict: shared by it": Line2D([], [], color=INK, marker="o", linewidth=0),
        "untrained twins, 95%": Patch(color=PALE, linewidth=0),
    }
