"""The audit: what is wrong with a battery before any model has seen it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean
from typing import Any

from observatory.stimuli.battery import Battery, Domain, Family, Task
from observatory.stimuli.findings import Finding, some
from observatory.stimuli.leaks import leak, placed_words_of
from observatory.stimuli.token_audit import TokenTable, audit_tokens

TOLERATED = (0.35, 0.65)
"""Where the area under the curve of a transferred unigram classifier may lie."""
FEWEST_ITEMS = 32
FEWEST_TEMPLATES = 4


@dataclass(frozen=True)
class Leak:
    """How well one family's words tell the targets of another from its controls; .5 is not at all."""

    source: str
    destination: str
    area: float
    placed_area: float
    """The same for words together with their places."""
    order_is_the_contrast: bool
    """Whether the controls of both are their targets' own words in another order: places then tell by design."""


@dataclass(frozen=True)
class DomainLeaks:
    """The leaks between the matched families of one domain, in both directions."""

    domain: str
    leaks: tuple[Leak, ...]

    @property
    def words(self) -> tuple[float, float]:
        """The smallest and the largest area under the curve of words alone."""
        return min(one.area for one in self.leaks), max(one.area for one in self.leaks)

    @property
    def placed_words(self) -> tuple[float, float]:
        """The same for words with their places."""
        return min(one.placed_area for one in self.leaks), max(one.placed_area for one in self.leaks)


@dataclass(frozen=True)
class FamilyRow:
    """A family in figures."""

    domain: str
    name: str
    matched: bool
    items: int
    target_words: float
    control_words: float
    same_last_word: float
    """The share of items whose target and control end in the same word."""


@dataclass(frozen=True)
class TaskRow:
    """A task in figures."""

    domain: str
    name: str
    format: str
    pairs: int
    templates: int
    prompt_words: float
    answers: int
    """How many different answers there are."""


@dataclass(frozen=True)
class Audit:
    """All tables and all findings."""

    battery: str
    hash: str
    families: tuple[FamilyRow, ...]
    leaks: tuple[DomainLeaks, ...]
    tasks: tuple[TaskRow, ...]
    tokens: TokenTable | None
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found that makes an index meaningless."""
        return not any(finding.severity == "error" for finding in self.findings)


def audit(battery: Battery, tokenizer: Any = None, context: int | None = None) -> Audit:
    """Everything that the texts tell, and with a tokenizer everything that its tokens tell."""
    leaks = tuple(domain_leaks(domain) for domain in battery.domains)
    tokens, token_findings = audit_tokens(battery, tokenizer, context) if tokenizer is not None else (None, ())
    return Audit(
        battery.name,
        battery.hash,
        tuple(family_row(family) for domain in battery.domains for family in domain.families),
        leaks,
        tuple(task_row(task) for task in battery.tasks),
        tokens,
        (
            *(finding for domain in leaks for finding in leak_findings(domain)),
            *(finding for domain in battery.domains for f in domain.families for finding in family_findings(f)),
            *repeated_texts(battery),
            *(finding for task in battery.tasks for finding in task_findings(task)),
            *missing_formats(battery),
            *token_findings,
        ),
    )


def domain_leaks(domain: Domain) -> DomainLeaks:
    """Every ordered pair of its matched families."""
    matched = [family for family in domain.families if family.matched]
    return DomainLeaks(
        domain.name,
        tuple(
            Leak(f.name, g.name, leak(f, g), leak(f, g, placed_words_of), is_reordered(f) and is_reordered(g))
            for f, g in permutations(matched, 2)
        ),
    )


def is_reordered(family: Family) -> bool:
    """Whether every control is its target's words in another order."""
    return all(sorted(item.target.split()) == sorted(item.control.split()) for item in family.items)


def leak_findings(domain: DomainLeaks) -> Iterator[Finding]:
    """Words that carry over."""
    low, high = TOLERATED
    for one in domain.leaks:
        if not low <= one.area <= high:
            yield Finding(
                "error",
                f"{domain.domain}/{one.source}",
                f"its words alone tell the targets of {one.destination!r} from the controls with AUC "
                f"{one.area:.2f}; it should lie between {low} and {high}",
            )
        elif not low <= one.placed_area <= high and not one.order_is_the_contrast:
            yield Finding(
                "error",
                f"{domain.domain}/{one.source}",
                f"its words and their places tell the targets of {one.destination!r} from the controls with AUC "
                f"{one.placed_area:.2f}; it should lie between {low} and {high}",
            )


def family_row(family: Family) -> FamilyRow:
    """Its counts and means."""
    return FamilyRow(
        family.domain,
        family.name,
        family.matched,
        len(family.items),
        fmean(len(item.target.split()) for item in family.items),
        fmean(len(item.control.split()) for item in family.items),
        fmean(item.target.split()[-1] == item.control.split()[-1] for item in family.items),
    )


def family_findings(family: Family) -> Iterator[Finding]:
    """Too few items, and lengths that differ where they must not."""
    where = f"{family.domain}/{family.name}"
    if len(family.items) < FEWEST_ITEMS:
        yield Finding("warning", where, f"has {len(family.items)} items; {FEWEST_ITEMS} or more are advised")
    unequal = [i.id for i in family.items if len(i.target.split()) != len(i.control.split())]
    if family.matched and unequal:
        yield Finding("error", where, f"target and control differ in words in {some(unequal)}")


def repeated_texts(battery: Battery) -> Iterator[Finding]:
    """A text that is shown twice counts twice, and a target that is a control elsewhere counts against itself."""
    families = [family for domain in battery.domains for family in domain.families if family.matched]
    targets = Counter(item.target for family in families for item in family.items)
    controls = Counter(item.control for family in families for item in family.items)
    for family in families:
        where = f"{family.domain}/{family.name}"
        twice = [i.id for i in family.items if targets[i.target] > 1 or controls[i.control] > 1]
        if twice:
            yield Finding("warning", where, f"texts that occur more than once in {some(twice)}")
        both = [i.id for i in family.items if i.target in controls or i.control in targets]
        if both:
            yield Finding("error", where, f"texts that are target here and control there in {some(both)}")


def task_row(task: Task) -> TaskRow:
    """Its counts and means."""
    return TaskRow(
        task.domain,
        task.name,
        task.format,
        len(task.pairs),
        len({pair.template for pair in task.pairs}),
        fmean(len(pair.clean.split()) for pair in task.pairs),
        len({answer for pair in task.pairs for answer in (pair.correct, pair.incorrect)}),
    )


def task_findings(task: Task) -> Iterator[Finding]:
    """What would give an answer away, or split it from its prompt."""
    where = f"{task.domain}/{task.name}"
    correct, incorrect = (Counter(getattr(p, side) for p in task.pairs) for side in ("correct", "incorrect"))
    uneven = sorted(answer for answer in correct.keys() | incorrect.keys() if correct[answer] != incorrect[answer])
    if uneven:
        yield Finding("warning", where, f"answers that are not correct as often as incorrect: {some(uneven)}")
    unequal = [p.id for p in task.pairs if len(p.clean.split()) != len(p.corrupted.split())]
    if unequal:
        yield Finding("error", where, f"clean and corrupted prompt differ in words in {some(unequal)}")
    glued = [
        p.id
        for p in task.pairs
        if not (p.correct.startswith(" ") and p.incorrect.startswith(" ")) or (p.clean + p.corrupted)[-1].isspace()
    ]
    if glued:
        yield Finding("warning", where, f"an answer without its leading space, or a prompt with one, in {some(glued)}")
    templates = len({pair.template for pair in task.pairs})
    if templates < FEWEST_TEMPLATES:
        yield Finding("warning", where, f"has {templates} templates; tests count them, so give {FEWEST_TEMPLATES}")


def missing_formats(battery: Battery) -> Iterator[Finding]:
    """A format that one domain lacks cannot be told from the domains that have it."""
    formats = {task.format for task in battery.tasks}
    for domain in battery.domains:
        missing = sorted(formats - {task.format for task in domain.tasks})
        if domain.tasks and missing:
            yield Finding("warning", domain.name, f"has no task in the format {some(missing)}, which others have")
