"""One logbook told to one destination: every observation at once, what it amounts to now and then and at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from math import inf
from pathlib import Path

import numpy as np
import xarray as xr

from observatory.publish.allowance import Allowance
from observatory.publish.destination import Destination, Told
from observatory.publish.judgement import Judgement, judge
from observatory.publish.scalars import MOST, Row, left_out, numbers_beside, row
from observatory.record.reader import open_logbook

logger = logging.getLogger(__name__)
JUDGING, DRAWING = 0.02, 0.03
"""Shares of the time that passes."""
_GUESSES = 1.0, 10.0
"""Seconds that either takes the first time."""
_GROWN = 2.0
"""A copy of the logbook is stored when it has grown by this factor, so that all copies together stay small."""


class Session:
    """Raises whatever goes wrong."""

    def __init__(
        self,
        destination: Destination,
        logbook: Path | None,
        judging: float = JUDGING,
        drawing: float = DRAWING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a logbook there are numbers, and neither verdicts nor figures."""
        self._destination, self._path = destination, logbook
        self._judging, self._drawing = Allowance(judging, _GUESSES[0], clock), Allowance(drawing, _GUESSES[1], clock)
        self._held = -inf
        self._told: set[int] = set()
        self._named: set[str] = set()
        self._emerged: set[str] = set()
        self._last: Row | None = None
        self._kept = 1

    def catch_up(self, but: int | None = None) -> Mapping[str, object]:
        """Tells what the logbook holds already, `but` for one step, and returns its attributes.

        What has emerged by then is no news.
        """
        if self._path is None:
            return {}
        with open_logbook(self._path) as logbook:
            if reason := left_out(logbook.sizes.get("domain", 0), numbers_beside(logbook)):
                logger.warning("%s", reason)
            held = self._destination.holds(logbook.attrs)
            earlier = logbook.isel(step=np.flatnonzero(logbook["step"].values != but)) if "step" in logbook else None
            if earlier is None or not earlier.sizes["step"]:
                earlier, latest = None, -inf
            else:
                latest = float(earlier["step"].max())
            self._held = latest if held == inf else held
            if self._held > latest:
                logger.warning(
                    "training went back; steps up to %d are in this run already and are not shown again, while figures "
                    "and tables follow the logbook",
                    self._held,
                )
            if earlier is not None:
                for place in range(earlier.sizes["step"]):
                    self._send(Told(row(earlier.isel(step=[place]))))
                judged = judge(earlier)
                self._emerged |= set(judged.emerged if judged else ())
            return dict(logbook.attrs)

    def tell(self, new: Row) -> None:
        """An observation that was just made, and is in the logbook."""
        judged, figures, report = None, {}, ""
        if self._path is not None and self._judging.due():
            with self._judging.spending(), open_logbook(self._path) as logbook:
                judged = judge(logbook)
        if self._path is not None and self._drawing.due():
            with self._drawing.spending(), open_logbook(self._path) as logbook:
                figures, report = draw(logbook), self._html(logbook)
        self._send(Told(new, judged, figures, report))
        self._announce(judged)
        if self._path is not None and len(self._told) >= _GROWN * self._kept:
            self._keep(self._path)

    def finish(self) -> None:
        """All of it once more, as it is at the end."""
        if self._path is not None and self._last is not None:
            with open_logbook(self._path) as logbook:
                judged = judge(logbook)
                told = Told(self._last, judged, draw(logbook), self._html(logbook))
            self._send(told)
            self._announce(judged)
            self._keep(self._path)
        self._destination.close()

    def _send(self, told: Told) -> None:
        """Numbers that are there already are not sent again."""
        within = self._within_limit(told.row.scalars)
        known = told.row.step in self._told or told.row.step <= self._held
        self._told.add(told.row.step)
        if self._last is None or told.row.step >= self._last.step:
            self._last = told.row
        if known and told.judged is None and not told.figures:
            return
        self._destination.tell(replace(told, row=replace(told.row, scalars={} if known else within)))

    def _within_limit(self, scalars: Mapping[str, float]) -> Mapping[str, float]:
        """Whatever an instrument that is measured seldom brings, there are never more names than charts."""
        for name in scalars:
            if name not in self._named and len(self._named) < MOST:
                self._named.add(name)
        return {name: value for name, value in scalars.items() if name in self._named}

    def _announce(self, judged: Judgement | None) -> None:
        for domain, sentence in (judged.emerged if judged else {}).items():
            if domain not in self._emerged:
                self._destination.alert(f"{domain} emerged", sentence)
                self._emerged.add(domain)

    def _keep(self, path: Path) -> None:
        self._destination.keep(path)
        self._kept = len(self._told)

    def _html(self, logbook: xr.Dataset) -> str:
        from observatory.review.report.writing import report_html

        wanted = self._destination.shows_html and "contrast_index" in logbook
        return report_html(logbook) if wanted else ""


def draw(logbook: xr.Dataset) -> dict[str, bytes]:
    """Every figure that there are data for, as a PNG."""
    from observatory.review.figures.plot import FIGURES
    from observatory.review.figures.style import style

    drawn = {}
    for name, drawing in FIGURES.items():
        if not drawing.lacking(logbook):
            content = BytesIO()
            figure = drawing.draw(logbook)
            with style():
                figure.savefig(content, format="png")
            drawn[name] = content.getvalue()
    return drawn
