"""The part of the audit that depends on a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from observatory.stimuli.battery import Battery, Family, Task
from observatory.stimuli.findings import Finding, some
from observatory.stimuli.tokens import FEWEST, encode_answers, first_token, leading_space, plain_ids, stimulus_ids

TOLERATED_DIFFERENCE = 0.1
"""By which share of its length the mean control may be longer or shorter than the mean target, in tokens."""


@dataclass(frozen=True)
class TokenRow:
    """A family or a task as a tokenizer cuts it."""

    domain: str
    name: str
    target_tokens: float
    """Of a target, or of a clean prompt."""
    control_tokens: float
    """Of a control, or of a corrupted prompt."""
    longest: int


@dataclass(frozen=True)
class TokenTable:
    """How every stimulus starts, and how long they are."""

    first_token: int | None
    leading_space: bool
    families: tuple[TokenRow, ...]
    tasks: tuple[TokenRow, ...]


def audit_tokens(
    battery: Battery, tokenizer: Any, context: int | None = None
) -> tuple[TokenTable, tuple[Finding, ...]]:
    """The table and what is wrong."""
    first, lead = first_token(tokenizer), leading_space(tokenizer)
    findings: list[Finding] = []
    if first is None:
        findings.append(
            Finding(
                "note",
                "tokenizer",
                "has no token for the beginning or end of text, so the first word stands at position 0, "
                "which is never read",
            )
        )
    families, tasks = [], []
    for family in (family for domain in battery.domains for family in domain.families):
        row, found = audit_family(family, tokenizer, lead, context)
        families.append(row)
        findings += found
    for task in battery.tasks:
        row, found = audit_task(task, tokenizer, context)
        tasks.append(row)
        findings += found
    return TokenTable(first, bool(lead), tuple(families), tuple(tasks)), tuple(findings)


def audit_family(
    family: Family, tokenizer: Any, lead: str, context: int | None
) -> tuple[TokenRow, tuple[Finding, ...]]:
    """Lengths, first words and unknown words."""
    where = f"{family.domain}/{family.name}"
    targets = stimulus_ids(tokenizer, [item.target for item in family.items])
    controls = stimulus_ids(tokenizer, [item.control for item in family.items])
    row = TokenRow(
        family.domain,
        family.name,
        fmean(map(len, targets)),
        fmean(map(len, controls)),
        max(map(len, [*targets, *controls])),
    )

    def findings() -> Iterator[Finding]:
        difference = row.control_tokens / row.target_tokens - 1
        if family.matched and abs(difference) > TOLERATED_DIFFERENCE:
            yield Finding("warning", where, f"controls are {difference:+.0%} longer than targets in tokens")
        lengths = {i.id: sorted((len(t), len(c))) for i, t, c in zip(family.items, targets, controls, strict=True)}
        short = [key for key, (shortest, _) in lengths.items() if shortest < FEWEST]
        if short:
            yield Finding("error", where, f"a text of one token, which leaves nothing to read, in {some(short)}")
        long = [key for key, (_, longest) in lengths.items() if context is not None and longest > context]
        if long:
            yield Finding("error", where, f"a text of more than the model's {context} tokens in {some(long)}")
        moved = first_words_that_differ(family, tokenizer, lead)
        if moved:
            yield Finding("warning", where, f"first words that are other tokens later in a text: {some(moved)}")
        unknown = getattr(tokenizer, "unk_token_id", None)
        strange = [i.id for i, t, c in zip(family.items, targets, controls, strict=True) if unknown in (*t[1:], *c[1:])]
        if unknown is not None and strange:
            yield Finding("warning", where, f"words that the tokenizer does not know in {some(strange)}")

    return row, tuple(findings())


def first_words_that_differ(family: Family, tokenizer: Any, lead: str) -> list[str]:
    """The words that begin a text and would have other ids after another word."""
    words = sorted({text.split()[0] for item in family.items for text in (item.target, item.control)})
    alone = plain_ids(tokenizer, [lead + word for word in words])
    repeated = plain_ids(tokenizer, [f"{lead}{word} {word}" for word in words])
    return [word for word, once, twice in zip(words, alone, repeated, strict=True) if twice != once + once]


def audit_task(task: Task, tokenizer: Any, context: int | None) -> tuple[TokenRow, tuple[Finding, ...]]:
    """Prompts of equal length and answers that their first tokens tell apart."""
    where = f"{task.domain}/{task.name}"
    clean = stimulus_ids(tokenizer, [pair.clean for pair in task.pairs])
    corrupted = stimulus_ids(tokenizer, [pair.corrupted for pair in task.pairs])
    row = TokenRow(
        task.domain,
        task.name,
        fmean(map(len, clean)),
        fmean(map(len, corrupted)),
        max(map(len, [*clean, *corrupted])),
    )

    def findings() -> Iterator[Finding]:
        unequal = [p.id for p, a, b in zip(task.pairs, clean, corrupted, strict=True) if len(a) != len(b)]
        if unequal:
            yield Finding(
                "note", where, f"clean and corrupted differ in tokens in {len(unequal)} of {len(task.pairs)} pairs"
            )
        if context is not None and row.longest > context:
            yield Finding("error", where, f"a prompt of {row.longest} tokens; the model takes {context}")
        prompts = [pair.clean for pair in task.pairs]
        try:
            correct = encode_answers(tokenizer, prompts, [pair.correct for pair in task.pairs])
            incorrect = encode_answers(tokenizer, prompts, [pair.incorrect for pair in task.pairs])
        except ValueError as error:
            yield Finding("error", where, str(error))
            return
        alike = [p.id for p, a, b in zip(task.pairs, correct, incorrect, strict=True) if a[0] == b[0]]
        if alike:
            yield Finding("warning", where, f"answers that begin with the same token in {some(alike)}")

    return row, tuple(findings())
