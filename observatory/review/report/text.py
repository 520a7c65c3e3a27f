"""The parts of a report that are text: they stand in the page itself, so that they need no script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from io import StringIO
from typing import Any

import xarray as xr
from rich.console import Console

from observatory.record.console import human
from observatory.review.judge.doubts import doubts
from observatory.review.judge.emergence import Emergence
from observatory.review.judge.telling import verdict_sentence
from observatory.review.judge.verdict_table import verdict_table
from observatory.review.judge.wording import sequence, standing
from observatory.review.report.methods import REFERENCES, methods
from observatory.review.report.numbers import visible
from observatory.review.report.timeline import missed

_MOST_ORDERS = 5
_LONG = 120
"""Letters of an attribute that is folded."""
_COLUMNS = 150
_FACTS = {"model_type": "architecture", "num_hidden_layers": "layers", "hidden_size": "width"}
"""What of a model's configuration is told at the head."""


def named(text: object) -> str:
    """A name from a file as markup: isolated, so that its direction of writing ends with it."""
    return f"<bdi>{escape(visible(text))}</bdi>"


def heading(name: str) -> str:
    return f"Emergence in {visible(name)}" if name else "Emergence of specialised regions"


def facts(logbook: xr.Dataset) -> str:
    """Of the model and the run."""
    steps, tokens = logbook["step"].values, logbook["tokens"].values
    told: dict[str, object] = dict(_of_model(logbook.attrs))
    told["observations"] = (
        f"{len(steps)}, step {steps[0]} to {steps[-1]}" if len(steps) > 1 else f"1, at step {steps[0]}"
    )
    told["training tokens"] = human(int(tokens[-1])) if tokens[-1] > 0 else "not counted"
    for dim, word in (("twin", "untrained twins"), ("draw", "draws of each test")):
        told[word] = logbook.sizes.get(dim, "none")
    told["battery"] = logbook.attrs.get("provenance_battery", "not recorded")
    return "".join(f"<div><dt>{escape(word)}</dt><dd>{named(value)}</dd></div>" for word, value in told.items())


def verdicts(judged: Emergence) -> str:
    """A sentence a domain, with what it stands at as a word."""
    return "".join(
        f'<li class="d{place}"><span class="mark" data-domain="{place}"></span>'
        f'<span class="badge {_class(standing(one))}">{escape(standing(one))}</span> '
        f"<span>{named(verdict_sentence(judged, one.domain))}</span></li>"
        for place, one in enumerate(judged.verdicts)
    )


def summary(judged: Emergence) -> str:
    """How many emerged, which is to be said also where none did."""
    words = [standing(one) for one in judged.verdicts]
    emerged = sum(_class(word) == "emerged" for word in words)
    unsaid = words.count("can't say")
    parts = [f"{emerged or 'No'} of {len(words)} domains {'has' if emerged == 1 else 'have'} an emerged region"]
    if not emerged:
        parts = ["No region has emerged in this logbook" if not unsaid else "No region can be said to have emerged"]
    if unsaid:
        parts.append(f"of {unsaid} nothing can be said")
    return escape(f"{'; '.join(parts)}.")


def numbers(judged: Emergence) -> str:
    """The table that `observatory emergence` prints."""
    console = Console(file=StringIO(), width=_COLUMNS, record=True, color_system=None)
    console.print(verdict_table(judged))
    return escape("\n".join(_visible_line(line) for line in console.export_text().splitlines()))


def order(judged: Emergence) -> str:
    if not judged.orders:
        return "<p>There is no order of emergence to tell: fewer than two domains emerged.</p>"
    rows = "".join(
        f"<li>P({named(sequence(one))}) = {one.probability:.2f}</li>" for one in judged.orders[:_MOST_ORDERS]
    )
    more = len(judged.orders) - _MOST_ORDERS
    rest = f"<p>and {more} orders less likely.</p>" if more > 0 else ""
    return f"<p>How likely each order is, over resampled stimuli:</p><ol>{rows}</ol>{rest}"


def notes(logbook: xr.Dataset, judged: Emergence) -> str:
    """Those of the verdicts, and each observation that is missing, of which the verdicts tell the number alone."""
    gaps = missed(logbook)
    told = f"<details><summary>What is missing, and why</summary>{_list(gaps)}</details>" if gaps else ""
    return (_list(judged.notes) if judged.notes else "<p>There is nothing to warn of.</p>") + told


def methods_paragraph(logbook: xr.Dataset, judged: Emergence) -> str:
    return named(methods(logbook, judged))


def references() -> str:
    return _list(REFERENCES)


def provenance(logbook: xr.Dataset, judged: Emergence) -> str:
    """What the verdicts were held to, and every attribute of the file; long ones folded."""
    seeds = [name for name in logbook.attrs if "seed" in str(name)]
    held: dict[str, object] = {
        "alpha": f"{judged.criteria.alpha:g}",
        "delta": f"{judged.criteria.delta:g}",
        "flags of the doctor": len(doubts(logbook)) or "none",
        "observations missing": logbook.sizes.get("gap", 0) or "none",
        **({} if seeds else {"seed": "not recorded in this logbook"}),
    }
    rows = [*held.items(), *sorted((str(name), value) for name, value in logbook.attrs.items())]
    return "".join(f'<tr><th scope="row">{named(name)}</th><td>{_folded(value)}</td></tr>' for name, value in rows)


def _folded(value: object) -> str:
    text = str(value)
    if len(text) <= _LONG:
        return named(text)
    lines = "\n".join(_visible_line(line) for line in text.splitlines())
    return f"<details><summary>{len(text)} letters</summary><pre>{escape(lines)}</pre></details>"


def _visible_line(line: str) -> str:
    """With the spaces that make a table."""
    return " ".join(visible(word) for word in line.rstrip().split(" "))


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{named(line)}</li>' for line in lines)}</ul>"


def _class(word: str) -> str:
    return {"can't say": "unsaid", "not emerged": "absent", "lost again": "absent"}.get(word, "emerged")


def _of_model(attributes: Mapping[Any, Any]) -> Iterable[tuple[str, object]]:
    """From a configuration of transformers, where there is one that can be read."""
    try:
        config = json.loads(str(attributes.get("model_config", "{}")))
    except (ValueError, RecursionError):
        config = {}
    if isinstance(config, dict):
        yield from ((word, config[key]) for key, word in _FACTS.items() if config.get(key) is not None)
    if str(attributes.get("model_parameters", "")).isdigit():
        yield "parameters", human(int(attributes["model_parameters"]))
