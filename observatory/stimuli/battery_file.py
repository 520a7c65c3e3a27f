"""One data file: a domain as JSON, one item a line. docs/battery.md is its specification."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from observatory.stimuli.battery import Domain, Family, Item, Pair, Task
from observatory.stimuli.entries import Entry, brief, read_json

FORMAT = "observatory-battery/1"
FEWEST_FAMILIES = 2
"""A region is chosen on one family and measured on another."""


def read_domain(path: Path) -> Domain:
    """The domain that a file holds; a ValueError with one sentence where the file is faulty."""
    content = read_json(path)
    if isinstance(content, dict) and content.get("format") != FORMAT:
        found = brief(content["format"]) if "format" in content else "no format"
        raise ValueError(f'{path} declares {found}; this version reads "format": "{FORMAT}".')
    entry = Entry(content, str(path), ["format", "domain", "families"], ["description", "tasks"])
    name = entry.text("domain")
    families = tuple(family(value, name, i, path) for i, value in enumerate(entry.entries("families")))
    tasks = tuple(task(value, name, i, path) for i, value in enumerate(entry.entries("tasks")))
    matched = [one.name for one in families if one.matched]
    if len(matched) < FEWEST_FAMILIES:
        found = f"only the matched family {matched[0]!r}" if matched else "no matched family"
        raise ValueError(
            f"{path} has {found}; a domain needs at least two, because a region is chosen on one "
            "and measured on another."
        )
    refuse_doubles((one.name for one in families), f"{path}: the family name")
    refuse_doubles((one.name for one in tasks), f"{path}: the task name")
    refuse_doubles((i for one in families for i in (item.id for item in one.items)), f"{path}: the item id")
    refuse_doubles((i for one in tasks for i in (pair.id for pair in one.pairs)), f"{path}: the pair id")
    description = entry.text("description") if "description" in entry.value else ""
    return Domain(name, description, families, tasks)


def family(value: object, domain: str, index: int, path: Path) -> Family:
    """One entry of "families"."""
    entry = Entry(value, named(value, "family", index, path), ["name", "control", "items"], ["matched"])
    where = entry.where
    items = tuple(item(one, f"{where}, item", i) for i, one in enumerate(entry.entries("items")))
    if not items:
        raise ValueError(f"{where} is empty; give it items or leave it out.")
    controls = {one.control: one.id for one in items}
    for one in items:
        if one.target in controls:
            raise ValueError(
                f"{where}, item {one.id!r}: its target {brief(one.target)} is also the control of item "
                f"{controls[one.target]!r}; a text can be only one of the two."
            )
    return Family(domain, entry.text("name"), entry.text("control"), items, entry.yes_or_no("matched", True))


def item(value: object, where: str, index: int) -> Item:
    """One entry of "items"."""
    entry = Entry(value, identified(value, where, index), ["id", "target", "control"])
    one = Item(entry.text("id"), entry.text("target"), entry.text("control"))
    if one.target == one.control:
        raise ValueError(f"{entry.where} has the same text as target and control; they must differ.")
    return one


def task(value: object, domain: str, index: int, path: Path) -> Task:
    """One entry of "tasks"."""
    entry = Entry(value, named(value, "task", index, path), ["name", "format", "pairs"])
    pairs = tuple(pair(one, f"{entry.where}, pair", i) for i, one in enumerate(entry.entries("pairs")))
    if not pairs:
        raise ValueError(f"{entry.where} is empty; give it pairs or leave it out.")
    return Task(domain, entry.text("name"), entry.text("format"), pairs)


PAIR_FIELDS = ["id", "clean", "corrupted", "correct", "incorrect", "template"]


def pair(value: object, where: str, index: int) -> Pair:
    """One entry of "pairs"."""
    entry = Entry(value, identified(value, where, index), PAIR_FIELDS)
    one = Pair(*(entry.text(field) for field in PAIR_FIELDS))
    for first, second in (("clean", "corrupted"), ("correct", "incorrect")):
        if entry.value[first] == entry.value[second]:
            raise ValueError(f"{entry.where} has the same text as {first!r} and {second!r}; they must differ.")
    return one


def named(value: object, kind: str, index: int, path: Path) -> str:
    """`file.json, family 'beliefs'`, or its number where it has no name."""
    name = value.get("name") if isinstance(value, dict) else None
    return f"{path}, {kind} {name!r}" if isinstance(name, str) else f"{path}, {kind} number {index + 1}"


def identified(value: object, where: str, index: int) -> str:
    """The same for an item."""
    key = value.get("id") if isinstance(value, dict) else None
    return f"{where} {key!r}" if isinstance(key, str) else f"{where} number {index + 1}"


def refuse_doubles(names: Iterable[str], what: str) -> None:
    """Labels of the record must tell things apart."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} {name!r} occurs twice; every one needs its own.")
        seen.add(name)


def domain_text(domain: Domain) -> str:
    """The file that `read_domain` reads back as this domain."""
    families = [
        block(
            {"name": one.name, "control": one.control, "matched": one.matched},
            "items",
            [{"id": i.id, "target": i.target, "control": i.control} for i in one.items],
        )
        for one in domain.families
    ]
    tasks = [
        block(
            {"name": one.name, "format": one.format},
            "pairs",
            [{field: getattr(p, field) for field in PAIR_FIELDS} for p in one.pairs],
        )
        for one in domain.tasks
    ]
    head = {"format": FORMAT, "domain": domain.name, "description": domain.description}
    lines = [f" {quoted(key)}: {quoted(value)}," for key, value in head.items()]
    return "\n".join(
        ["{", *lines, ' "families": [', ",\n".join(families), " ],", ' "tasks": [', ",\n".join(tasks), " ]", "}", ""]
    )


def block(head: dict[str, object], name: str, entries: list[dict[str, str]]) -> str:
    """A family or a task: its head on the first lines, then one entry a line."""
    fields = "".join(f"   {quoted(key)}: {quoted(value)},\n" for key, value in head.items())
    body = ",\n".join(f"    {quoted(entry)}" for entry in entries)
    return f"  {{\n{fields}   {quoted(name)}: [\n{body}\n   ]\n  }}"


def quoted(value: object) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
