"""One self-contained page of what a logbook shows: verdicts, maps that follow a slider, methods and provenance."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr

from observatory.review.effects.milestones import Milestone, of_headlines
from observatory.review.figures.style import looks
from observatory.review.judge.emergence import Emergence, emergence
from observatory.review.judge.evidence import Criteria
from observatory.review.judge.wording import standing
from observatory.review.report import effects, maps, text, timeline
from observatory.review.report.beside import beside, beside_table
from observatory.review.report.colors import domain_rules
from observatory.review.report.numbers import short, to_script, visible
from observatory.review.report.timeline import without_units

_SCRIPTS = ("dom", "scale", "lines", "levels", "grid", "atlas", "panels", "page")
"""In the order in which they need each other."""


def report_html(logbook: xr.Dataset, criteria: Criteria | None = None, name: str = "") -> str:
    """The page as text; `name` is what to call the run. ValueError where the logbook holds no regions yet."""
    if not logbook.sizes.get("step"):
        raise ValueError("the logbook holds no observation yet, so there is nothing to report; observe a step first")
    judged = emergence(without_units(logbook), criteria)
    found = of_headlines(logbook)
    return _page(
        {
            "title": escape(text.heading(name)),
            "heading": text.named(text.heading(name)),
            "facts": text.facts(logbook),
            "summary": text.summary(judged),
            "verdicts": text.verdicts(judged),
            "numbers": text.numbers(judged),
            "beside": beside_table(found, judged),
            "order": text.order(judged),
            "notes": text.notes(logbook, judged),
            "methods": text.methods_paragraph(logbook, judged),
            "references": text.references(),
            "provenance": text.provenance(logbook, judged),
            "data": to_script(report_data(logbook, judged, found)),
        },
        style=_part("report.css") + domain_rules([one.domain for one in judged.verdicts]),
    )


def report_data(logbook: xr.Dataset, judged: Emergence, found: Sequence[Milestone]) -> dict[str, Any]:
    """All that the page draws: the verdicts as `observatory emergence` gives them, and numbers rounded."""
    places = maps.offered(logbook, judged)
    known = timeline.readouts(logbook)
    look = looks([one.domain for one in judged.verdicts])
    return {
        "format": "observatory-report",
        "format_version": "1.0",
        "emergence": judged.to_json(),
        "domains": [
            {
                "name": visible(one.domain),
                "short": short(one.domain),
                "marker": look[one.domain].marker,
                "standing": standing(one),
                "readout": known.index(one.readout) if one.readout else None,
            }
            for one in judged.verdicts
        ],
        "axis": timeline.axis(logbook),
        "offered": places,
        "chosen": timeline.first_shown(judged, known),
        "timeline": timeline.timeline(logbook, judged),
        "layers": maps.layers(logbook, places),
        "atlas": maps.atlas(logbook, places),
        "overlap": maps.overlap(logbook, places),
        "tasks": effects.task_overlap(logbook, places),
        "lesions": effects.lesions(logbook, places),
        "competence": effects.abilities(logbook),
        "beside": beside(logbook, found),
    }


def write_report(logbook: xr.Dataset, path: str | Path, criteria: Criteria | None = None, name: str = "") -> Path:
    """Writes the page and returns its path."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give a file for the report, such as {path / 'report.html'}")
    page = report_html(logbook, criteria, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def _page(slots: Mapping[str, str], style: str) -> str:
    """The template with its slots filled in one pass, so that nothing that fills a slot is taken for another."""
    script = "".join(_part(f"{name}.js") for name in _SCRIPTS)
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:"
    every = {**slots, "style": style, "script": script, "policy": f"{policy}; base-uri 'none'; form-action 'none'"}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: every[found[1]], _part("report.html"))


def _part(name: str) -> str:
    return (files("observatory.review.report") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """By which the browser knows what may run or style; all else is refused."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
