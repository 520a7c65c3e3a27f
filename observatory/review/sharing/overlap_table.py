"""What an overlap matrix shows, as tables and sentences for the terminal."""

from __future__ import annotations

from math import isfinite, nan

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from observatory.review.sharing.overlap import CONTRASTS, RELATIONS
from observatory.review.sharing.overlap_report import Agreement, OverlapReport, Own, Reading
from observatory.review.sharing.relabelling import Chance

_CONTRAST_NAMES = {
    "difference": "within - across",
    "index": "domain index",
    "loose_index": "  with the same kind",
    "domain_effect": "effect of domain",
    "format_effect": "effect of format",
}
_OF_KINDS = ("kind", "domain_or_kind", "loose_index")
"""What is told only where some kind of task is asked in several formats: without, it repeats the rows before."""
_P = "p: domains dealt anew over kinds of tasks, one-sided. "
_INDEX = (
    "In format, where that differs: dealt only over kinds asked in the same formats. Domain index: same domain in "
    "another format, less other domain in the same format; its sign says which of the two binds more, its p whether "
    "domains bind at all. "
)
_ARI = "ARI: adjusted Rand index, 1 for the same partition, 0 for chance."
_LONGEST = 6
"""Tasks that are named one by one."""


def overlap_table(report: OverlapReport) -> Group:
    """Means by relation, contrasts, clusters; then domain by domain; then what to know before believing it."""
    readings = [reading for reading in (report.with_region, report.missing_as_zero) if reading is not None]
    return Group(_means(readings), _by_domain(report), *(Text(line) for line in notes(report)))


def notes(report: OverlapReport) -> list[str]:
    """One sentence each."""
    reading = report.with_region
    said = []
    if report.missing:
        said.append(
            f"Left out for want of a region: {len(report.missing)} of {len(report.tasks.names)} tasks, "
            f"{_listed(report.missing)}. Counted as zeros, as in published tables, they give the last column."
        )
    if report.alone:
        said.append(f"The region of {_listed(report.alone)} overlaps no other.")
    if not report.tasks.formats:
        said.append(
            "No formats are given: overlap by domain cannot be told from overlap by prompt format. Give --formats."
        )
    elif reading.formats is None:
        said.append("All tasks have one format, so nothing is said of formats.")
    elif not isfinite(reading.contrasts["index"].value):
        said.append(
            "There is no index: it needs pairs of one domain in different formats, and pairs of different domains in "
            "one format."
        )
    for kind, agreement in (("domain", reading.domains), ("format", reading.formats)):
        if agreement is not None and not agreement.published.valid:
            said.append(f"With a region only: {_uncut(kind, agreement)}")
    zero = report.missing_as_zero
    if zero is not None and not zero.domains.published.valid:
        said.append(f"With the missing tasks as zeros: {_uncut('domain', zero.domains)}")
    coarse = reading.contrasts["difference"].chance
    if coarse is not None and coarse.least > 0.01:
        said.append(
            f"There are so few kinds of tasks that no p can be below {coarse.least:.2g}, however clear the structure."
        )
    return said


def _means(readings: list[Reading]) -> Table:
    table = Table(title="Overlap of regions between tasks", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for heading, reading in zip(("with a region", "missing as zero"), readings, strict=False):
        table.add_column(f"{reading.tasks} tasks\n{heading}")
    first = readings[0]
    kinds = first.relations["kind"].pairs > 0
    for name, relation in RELATIONS.items():
        if first.relations[name].pairs and (kinds or name not in _OF_KINDS):
            said = {"within": "within domains", "across": "across domains"}.get(name, f"  {relation}")
            table.add_row(said, *(_average(reading, name) for reading in readings))
    table.add_row("within / across", *(f"{reading.ratio:.1f}" for reading in readings))
    table.add_section()
    for name in CONTRASTS:
        if isfinite(first.contrasts[name].value) and (kinds or name not in _OF_KINDS):
            table.add_row(_CONTRAST_NAMES[name], *(_contrast(reading, name) for reading in readings))
    table.add_section()
    for labels in ("domains", "formats"):
        if (agreement := getattr(first, labels)) is not None:
            one = agreement.published
            heading = (
                f"clusters against {labels}: ARI\n  {one.neighbours} nearest, {one.linkage}, {one.clusters} clusters"
            )
            table.add_row(heading, *(_published(getattr(reading, labels)) for reading in readings))
            table.add_row(
                "  all settings: least, middle, most", *(_swept(getattr(reading, labels)) for reading in readings)
            )
    table.caption = _P + (_INDEX if first.formats else "") + _ARI
    return table


def _by_domain(report: OverlapReport) -> Table:
    reading = report.with_region
    shown = [name for name in ("difference", "index", "format_effect") if isfinite(reading.contrasts[name].value)]
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="In brackets: pairs of the one relation and of the other."
    )
    for heading in ("domain", "tasks", *(_CONTRAST_NAMES[name] for name in shown)):
        table.add_column(heading)
    for domain, values in reading.by_domain.items():
        missing = sum(label.startswith(f"{domain}/") for label in report.missing)
        count = list(report.tasks.domains).count(domain) - missing
        table.add_row(Text(domain), str(count), *(_own(values[name]) for name in shown))
    return table


def _own(one: Own) -> str:
    return f"{_signed(one.value)} ({one.pairs}, {one.pairs_minus})" if isfinite(one.value) else "-"


def _average(reading: Reading, name: str) -> str:
    average = reading.relations[name]
    return f"{_number(average.value)} ({average.pairs} pairs)"


def _contrast(reading: Reading, name: str) -> str:
    found = reading.contrasts[name]
    given = found.chance_given_format
    within = f"\n(in format {_p(given).removeprefix('p = ')})" if given is not None and given != found.chance else ""
    return f"{_signed(found.value)} {_p(found.chance)}{within}".rstrip()


def _published(agreement: Agreement) -> str:
    one = agreement.published
    found = "" if one.valid else f"\n({one.found} of {one.clusters} clusters)"
    return f"{one.agreement:.2f} {_p(agreement.chance)}".rstrip() + found


def _swept(agreement: Agreement) -> str:
    valid = agreement.valid
    if not valid:
        return f"none of {len(agreement.sweep)} can be cut"
    low, middle, high = valid[0], valid[len(valid) // 2], valid[-1]
    return f"{low:.2f}, {middle:.2f}, {high:.2f}\n({len(valid)} of {len(agreement.sweep)})"


def _uncut(kind: str, agreement: Agreement) -> str:
    one = agreement.published
    return (
        f"the tree of tasks cannot be cut into {one.clusters} clusters at the published setting, since merges at one "
        f"height leave {one.found}: the ARI of {one.agreement:.2f} against the {kind}s says nothing."
    )


def _p(chance: Chance | None) -> str:
    if chance is None:
        return ""
    p = chance.p
    shown = f"{p:.4f}" if p < 0.01 else f"{p:.2f}"
    return f"p = {shown.removeprefix('0')}"


def _number(value: float | None) -> str:
    value = nan if value is None else value
    return f"{value:.3f}" if isfinite(value) else "-"


def _signed(value: float) -> str:
    return f"{value:+.3f}" if isfinite(value) else "-"


def _listed(labels: tuple[str, ...]) -> str:
    more = len(labels) - _LONGEST
    return ", ".join(labels[:_LONGEST]) + (f" and {more} others" if more > 0 else "")
