"""A running run in the terminal: the verdicts so far, and when there is more to see."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from observatory.record.console import human
from observatory.record.writer import Writer
from observatory.review.following.followed import Followed
from observatory.review.following.pace import Next
from observatory.review.following.sparkline import round_top, sparkline
from observatory.review.judge.emergence import Emergence
from observatory.review.judge.telling import verdict_sentence
from observatory.review.judge.verdict import UNKNOWN, Verdict
from observatory.review.judge.wording import ABSENT, LOST, standing

_STYLES = {UNKNOWN: "yellow", ABSENT: "red", LOST: "red"}
_NARROW, _WIDE = 72, 90
"""In fewer columns the interval stands below E; from so many on each verdict is told in a sentence, too."""
_SPARK = (6, 48)
_BETWEEN = 12
"""Columns of the terminal that are neither of a cell nor of a curve."""


def view(seen: Followed, writer: Writer, now: float, width: int) -> Group:
    """What is shown: header, a row a domain, and in wide terminals a sentence for each."""
    lines = [Text(seen.name, style="bold"), *map(Text, _header(seen, writer, now))]
    if seen.judged is None:
        return Group(*lines, Text(seen.reason))
    told = [verdict_sentence(seen.judged, one.domain) for one in seen.judged.verdicts] if width >= _WIDE else []
    return Group(*lines, _table(seen, seen.judged, width), *map(Text, told))


def waiting(path: Path, before: bool) -> Text:
    """Where there is no file; `before` there was one."""
    return Text(
        f"{path} is no longer there; waiting for it to come back"
        if before
        else f"waiting for {path}: there is no such logbook yet"
    )


def _header(seen: Followed, writer: Writer, now: float) -> list[str]:
    many = len(seen.gaps)
    counted = f"{len(seen.steps)} observation{'s' * (len(seen.steps) != 1)}, {many} gap{'s' * (many != 1)}"
    if not len(seen.steps):
        return [counted, _about_writer(seen, writer)]
    of = "" if seen.end is None else f" of {seen.end}"
    tokens = f", {human(seen.tokens)} tokens" if seen.tokens else ""
    ago = f"last observation {_span(now - seen.last_time)} ago"
    coming = ago if writer.ended else f"{ago}; next {_about_next(seen.coming, now)}"
    return [f"step {seen.steps[-1]}{of}{tokens}; {counted}", coming, _about_writer(seen, writer)]


def _about_next(coming: Next, now: float) -> str:
    if coming.step is None:
        return f"unknown: {coming.reason}"
    if coming.time is None:
        return f"at step {coming.step}, when is unknown: {coming.reason}"
    left = coming.time - now
    return f"at step {coming.step} in about {_span(left)}" if left > 0 else f"at step {coming.step}, due any moment"


def _about_writer(seen: Followed, writer: Writer) -> str:
    if writer.state == "running":
        return f"running (process {writer.process})"
    if writer.state == "gone":
        return f"no longer running: process {writer.process} ended without closing the logbook"
    if writer.state == "elsewhere":
        where = f"process {writer.process} on {writer.host}" if writer.host else "somebody"
        return f"written by {where}; whether that runs cannot be told from here"
    done = seen.end is not None and len(seen.steps) > 0 and seen.steps[-1] >= seen.end
    return "finished" if done else "closed: nobody writes to it"


def _table(seen: Followed, judged: Emergence, width: int) -> Table:
    every = np.concatenate([*seen.curves.values(), np.zeros(1)])
    top, unit = round_top(every), "tokens" if any(judged.tokens) else "steps"
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=f"E with its 95% interval over stimuli; onset: where E passes its floor, in {unit}; curves from 0 to "
        f"{top:g}, the same for all",
        caption_justify="left",
    )
    narrow = width < _NARROW
    named = min(10 if narrow else 14, max(6, *(len(one.domain) for one in judged.verdicts)))
    strength = 13 if narrow else 18
    table.add_column("domain", width=named, overflow="fold")
    table.add_column("verdict", width=11)
    table.add_column("E", width=strength)
    table.add_column("onset", width=6)
    taken = named + 11 + strength + 6 + _BETWEEN
    spark = int(np.clip(width - taken, *_SPARK))
    table.add_column("E so far", no_wrap=True)
    for one in judged.verdicts:
        table.add_row(
            Text(one.domain),
            Text(standing(one), style=_STYLES.get(standing(one), "green")),
            Text(_strength(one, "\n" if narrow else " ")),
            Text(_onset(judged, one)),
            Text(sparkline(seen.curves[one.domain], top, spark)),
        )
    return table


def _strength(one: Verdict, between: str) -> str:
    if not isfinite(one.index):
        return "-"
    low, high = one.interval
    return f"{one.index:.2f}{between}[{low:.2f}, {high:.2f}]"


def _onset(judged: Emergence, one: Verdict) -> str:
    """In tokens, or in steps where those are not known."""
    found = judged.onsets.get(one.domain)
    if found is None or not isfinite(found.crossing):
        return "-"
    return human(round(judged.tokens_at(found.crossing))) if any(judged.tokens) else f"{found.crossing:.0f}"


def _span(seconds: float) -> str:
    """A duration to be read at a glance."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 6000 else f"{whole / 3600:.1f} h"
