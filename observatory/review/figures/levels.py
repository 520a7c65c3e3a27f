"""Strips below a panel: from when to when each level is confirmed, a row a domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from observatory.review.figures.style import INK, MUTED, Look, short, small
from observatory.review.figures.token_axis import TokenAxis
from observatory.review.judge.evidence import LEVELS
from observatory.review.judge.verdict import Episode, Verdict
from observatory.review.judge.wording import standing

THICKNESS = dict(zip(LEVELS, (1.4, 3.4, 6.5), strict=True))
"""Of the bar of each level, in points, so that one is seen under the other."""


def draw_levels(
    panel: Axes, axis: TokenAxis, verdicts: Sequence[Verdict], until: Mapping[str, int], look: Mapping[str, Look]
) -> None:
    """A bar a level, the stronger the thicker; dotted where it came or went between two observations.

    What lasts is drawn `until` the last step at which something is known of the domain.
    """
    for row, judged in enumerate(verdicts):
        for level, thickness in THICKNESS.items():
            for episode in judged.episodes[level]:
                _draw(panel, axis, row, episode, until[judged.domain], look[judged.domain].color, thickness)
        if not any(judged.episodes.values()):
            at = panel.get_yaxis_transform()
            panel.text(0.02, row, standing(judged), transform=at, color=MUTED, size=small(), va="center_baseline")
    panel.set_label("levels")
    panel.set_ylim(len(verdicts) - 0.4, -0.6)
    panel.set_yticks(range(len(verdicts)), [short(judged.domain) for judged in verdicts])
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.set_title("verdict, over all readouts", size=small(), weight="normal", pad=2)


def key() -> dict[str, Artist]:
    """What the bars mean."""
    bars: dict[str, Artist] = {
        level: Line2D([], [], color=INK, linewidth=thickness, solid_capstyle="butt")
        for level, thickness in THICKNESS.items()
    }
    return {**bars, "between observations": Line2D([], [], color=INK, linewidth=1, linestyle=":")}


def _draw(panel: Axes, axis: TokenAxis, row: int, episode: Episode, until: int, color: str, thickness: float) -> None:
    last = until if episode.lost_after is None else episode.lost_after
    start, end = axis.at_step([episode.by, last])
    panel.plot([start, end], [row, row], color=color, linewidth=thickness, solid_capstyle="butt")
    for before, after in ((episode.after, episode.by), (episode.lost_after, episode.lost_by)):
        if before is not None and after is not None:
            panel.plot(axis.at_step([before, after]), [row, row], color=color, linewidth=1, linestyle=":")
