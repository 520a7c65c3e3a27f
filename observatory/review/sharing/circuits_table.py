"""Circuits over training, as tables and sentences for the terminal."""

from __future__ import annotations

from math import isfinite

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from observatory.review.judge.verdict import UNKNOWN
from observatory.review.sharing.circuits import CircuitReport, CircuitStep
from observatory.review.sharing.overlap import RELATIONS
from observatory.review.sharing.sharing_verdict import BY_DOMAIN, BY_FORMAT
from observatory.review.sharing.task_sharing import Clustering, Effect, Sharing

_STYLES = {BY_DOMAIN: "green", BY_FORMAT: "red", UNKNOWN: "yellow"}
_STEPS = (
    "Domain index: overlap above chance of one domain's tasks in different formats, less that of different domains' "
    "tasks in one format. p: domains dealt anew over kinds of tasks; of the format effect, formats over a kind's "
    "tasks. Above twins: less the mean of untrained twins."
)
_SHARES = (
    "Ratio: within domains over across, of overlap coefficients, as published. ARI: adjusted Rand index at the "
    "published setting, and from the least to the most of all settings."
)
_DOMAINS = (
    "Halves: overlap coefficient of the circuits of either half of a task's templates. Stays: overlap above chance of "
    "a task's circuit with itself at another recorded step. Layers: units of the domain's region in each, from the "
    "lowest."
)
_BY_SHARE = ("share", "units", "domain index", "above twins", "format effect", "ratio", "ARI domains", "ARI formats")


def circuits_table(report: CircuitReport) -> Group:
    """Step by step; then the last step that says something, by relation, by share and by domain; then the reasons."""
    told = [step for step in report.steps if step.by_share]
    last = told[-1] if told else report.steps[-1]
    details = [_by_relation(report, last), _by_share(last)] if told else []
    return Group(_by_step(report), *details, _by_domain(last), *(Text(line) for line in notes(report)))


def notes(report: CircuitReport) -> list[str]:
    """Why the last step of each verdict has it; and how near the index is to what it can be."""
    alike: dict[str, list[CircuitStep]] = {}
    for step in report.steps:
        alike.setdefault(step.verdict.said, []).append(step)
    said = []
    for steps in sorted(alike.values(), key=lambda steps: -steps[-1].step):
        verdict, earlier = steps[-1].verdict, len(steps) - 1
        more = f" (as at {earlier} earlier step{'s' * (earlier > 1)})" if earlier else ""
        said.append(f"step {steps[-1].step}: {verdict.said}{more}; {'; '.join(verdict.reasons)}")
    judged = [step for step in report.steps if step.by_share]
    if len(judged) > 1:
        said.append(f"Each of {len(judged)} steps is judged by itself: one that stands out alone says little.")
    shares = [(report.index_of_ceiling(step), step) for step in judged]
    known = [(share, step) for share, step in shares if share > 0]
    if known:
        share, step = known[-1]
        said.append(
            f"At step {step.step} the index is {share:.0%} of what the circuits of two halves of one task share above "
            f"chance ({step.ceiling:.3f})."
        )
    return said


def _by_step(report: CircuitReport) -> Table:
    choice = report.choice
    table = _table(
        f"Which units tasks share: {choice.share:g} of the {choice.space} units, alpha {choice.alpha:g} at each step",
        _STEPS,
    )
    for heading in ("step", "tasks done", "domain index", "above twins", "format effect", "verdict"):
        table.add_column(heading)
    for step in report.steps:
        found = report.sharing(step)
        numbers = ("-",) * 3
        if found:
            index = found.effects["index"]
            numbers = (_effect(index), _signed(index.excess), _effect(found.effects["format_effect"]))
        done = f"{len(step.done)} of {len(report.record.tasks.names)}"
        said = Text(step.verdict.said, style=_STYLES.get(step.verdict.said, ""))
        table.add_row(str(step.step), done, *numbers, said)
    return table


def _by_relation(report: CircuitReport, step: CircuitStep) -> Table:
    table = _table(f"Overlap above chance at step {step.step}")
    table.add_column("")
    table.add_column(f"{len(step.done)} tasks")
    found = report.sharing(step)
    for name, average in found.relations.items() if found else ():
        if average.pairs:
            table.add_row(str(RELATIONS[name]), f"{average.value:.3f} ({average.pairs} pairs)")
    return table


def _by_share(step: CircuitStep) -> Table:
    table = _table(f"The same at other shares, at step {step.step}", _SHARES)
    headings = (
        "share",
        "units",
        "domain index",
        "above twins",
        "format effect",
        "ratio",
        "ARI of domains",
        "of formats",
    )
    for heading in headings:
        table.add_column(heading)
    for share, found in step.by_share.items():
        table.add_row(f"{share:g}", str(step.units[share]), *_numbers(found))
    return table


def _numbers(found: Sharing) -> tuple[str, ...]:
    index = found.effects["index"]
    return (
        _effect(index),
        _signed(index.excess),
        _effect(found.effects["format_effect"]),
        _ratio(found.ratio),
        _clusters(found.domains),
        _clusters(found.formats),
    )


def _by_domain(step: CircuitStep) -> Table:
    table = _table(f"By domain, at step {step.step}", _DOMAINS)
    for heading in ("domain", "done", "halves", "stays: before", "final", "layers"):
        table.add_column(heading)
    for name, one in step.domains.items():
        values = (one.ceiling, one.to_previous, one.to_final)
        layers = " ".join(map(str, one.layers)) if any(one.layers) else "-"
        table.add_row(Text(name), f"{one.done} of {one.asked}", *(_number(value) for value in values), layers)
    return table


def _table(title: str, caption: str | None = None) -> Table:
    return Table(title=title, caption=caption, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _clusters(one: Clustering | None) -> str:
    """At the published setting, and from the least to the most of all."""
    if one is None:
        return "-"
    cut = "" if one.found == one.clusters else f"\n({one.found} of {one.clusters} clusters)"
    swept = f"\n({one.swept[0]:.2f} to {one.swept[-1]:.2f})" if one.swept else ""
    return f"{one.agreement.value:.2f}{cut}{swept}"


def _ratio(ratio: Effect) -> str:
    twins = f"\n(twins {ratio.middle:.1f})" if isfinite(ratio.middle) else ""
    return f"{ratio.value:.1f}{twins}" if isfinite(ratio.value) else "-"


def _effect(effect: Effect) -> str:
    if not isfinite(effect.value):
        return "-"
    p = f" {_p(effect.chance.p)}" if effect.chance and effect.chance.least < 1 else ""
    return f"{effect.value:+.3f}{p}"


def _p(p: float) -> str:
    return "p<.001" if p < 0.001 else f"p={p:.2g}".replace("=0.", "=.")


def _signed(value: float) -> str:
    return f"{value:+.3f}" if isfinite(value) else "-"


def _number(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "-"
