"""The battery and its audit in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from observatory.stimuli.audit import Audit
from observatory.stimuli.battery import Battery

COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def show(battery: Battery, console: Console | None = None) -> None:
    """Every family and every task with one example."""
    console = console or Console()
    console.print(f"Battery {battery.name!r}, hash {battery.hash}")
    for domain in battery.domains:
        families = Table("family", "items", "matched", "target", "control", title=f"{domain.name}: contrasts")
        for family in domain.families:
            first = family.items[0]
            count, matched = str(len(family.items)), "yes" if family.matched else "no"
            families.add_row(family.name, count, matched, Text(first.target), Text(first.control))
        tasks = Table("task", "format", "pairs", "prompt", "correct", "incorrect", title=f"{domain.name}: tasks")
        for task in domain.tasks:
            pair = task.pairs[0]
            answers = (Text(pair.correct.strip()), Text(pair.incorrect.strip()))
            tasks.add_row(task.name, task.format, str(len(task.pairs)), Text(pair.clean), *answers)
        console.print(families)
        if domain.tasks:
            console.print(tasks)


def show_audit(audit: Audit, console: Console | None = None) -> None:
    """The tables, then the findings, then the verdict."""
    console = console or Console()
    console.print(f"Battery {audit.battery!r}, hash {audit.hash}")
    leaks = Table("domain", "pairs", "AUC of words", "of words and places", title="What words alone carry over")
    for domain in audit.leaks:
        ranges = (f"{low:.2f} to {high:.2f}" for low, high in (domain.words, domain.placed_words))
        leaks.add_row(domain.domain, str(len(domain.leaks)), *ranges)
    console.print(leaks)
    families = Table("family", "items", "matched", "words", "same last word", title="Contrasts")
    for row in audit.families:
        words = f"{row.target_words:.1f} / {row.control_words:.1f}"
        matched = "yes" if row.matched else "no"
        families.add_row(f"{row.domain}/{row.name}", str(row.items), matched, words, f"{row.same_last_word:.0%}")
    console.print(families)
    if audit.tasks:
        tasks = Table("task", "format", "pairs", "templates", "words", "answers", title="Tasks")
        for one in audit.tasks:
            counts = (str(one.pairs), str(one.templates), f"{one.prompt_words:.1f}", str(one.answers))
            tasks.add_row(f"{one.domain}/{one.name}", one.format, *counts)
        console.print(tasks)
    if audit.tokens is not None:
        tokens = Table("stimuli", "tokens", "longest", title=start_of(audit))
        for cut in (*audit.tokens.families, *audit.tokens.tasks):
            lengths = f"{cut.target_tokens:.1f} / {cut.control_tokens:.1f}"
            tokens.add_row(f"{cut.domain}/{cut.name}", lengths, str(cut.longest))
        console.print(tokens)
    for finding in audit.findings:
        console.print(Text.assemble((finding.severity, COLOURS[finding.severity]), f" {finding.where} {finding.what}"))
    console.print("The battery passes." if audit.passed else "The battery does not pass.")


def start_of(audit: Audit) -> str:
    """How every stimulus begins."""
    assert audit.tokens is not None
    first = "no first token" if audit.tokens.first_token is None else f"first token {audit.tokens.first_token}"
    return f"Tokens ({first}, {'a' if audit.tokens.leading_space else 'no'} leading space)"
