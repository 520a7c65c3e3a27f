"""`python -m observatory.stimuli.battery_tables`: the tables of docs/battery.md, from the battery itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from observatory.stimuli.audit import audit
from observatory.stimuli.battery import Battery, load_battery


def tables(battery: Battery) -> Sequence[str]:
    """What words carry over by domain, the families with an example each, and the tasks with an example each."""
    leaks = markdown(
        ["domain", "ordered pairs of families", "AUC of words", "AUC of words and places"],
        (
            [d.domain, str(len(d.leaks)), *(f"{low:.2f} to {high:.2f}" for low, high in (d.words, d.placed_words))]
            for d in audit(battery).leaks
        ),
    )
    families = markdown(
        ["family", "items", "matched", "a target", "its control", "what the controls are"],
        (
            [
                f"`{one.domain}/{one.name}`",
                str(len(one.items)),
                "yes" if one.matched else "no",
                one.items[0].target,
                one.items[0].control,
                one.control,
            ]
            for domain in battery.domains
            for one in domain.families
        ),
    )
    tasks = markdown(
        ["task", "pairs", "clean", "correct", "corrupted", "incorrect"],
        (
            [
                f"`{one.domain}/{one.name}`",
                str(len(one.pairs)),
                one.pairs[0].clean,
                one.pairs[0].correct.strip(),
                one.pairs[0].corrupted,
                one.pairs[0].incorrect.strip(),
            ]
            for one in battery.tasks
            if one.format != "fewshot"
        ),
    )
    return [f"Hash of the battery: `{battery.hash}`.", leaks, families, tasks]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar or a star in a cell would end it or slant it, so both are escaped."""
    lines = [
        head,
        ["---"] * len(head),
        *([cell.replace("|", "\\|").replace("*", "\\*") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print("\n\n".join(tables(load_battery())))
