"""The tasks of LLM_Modularity (Han, Andreas, Fedorenko and de Varda 2026): a data/ and a config/ folder of JSON.

A prompt is prefix + problem + concatenation, then a space and the suffix; a field that is null or missing
is nothing. The published suffix "Please just answer {correct_answer} or {incorrect_answer}." names the right
answer first in the clean and in the corrupted prompt, and so gives it away; `options="sorted"` names the two
in one order. Their chat templates, which depend on the model, are left to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from observatory.stimuli.battery import Pair, Task
from observatory.stimuli.entries import brief, listed, read_json

DOMAINS = {"Lan": "language", "MD": "math", "ToM": "social", "phys": "physical"}
"""Their names of the domains, and ours; another name is kept."""
ANSWERS = ("clean_correct", "clean_incorrect", "corrupted_correct", "corrupted_incorrect")
Options = Literal["published", "sorted"]


def read_llm_modularity(
    folder: str | Path, tasks: Sequence[str] | None = None, options: Options = "published"
) -> tuple[Task, ...]:
    """All tasks below a folder that holds config/ and data/, or those that are named."""
    root = Path(folder)
    configs = sorted(root.glob("config/*/config.json"))
    if not configs:
        raise ValueError(f"{root} holds no config/*/config.json; give the folder that holds config/ and data/.")
    found: list[Task] = []
    for path in configs:
        config = read_json(path)
        if not isinstance(config, dict):
            raise ValueError(f"{path} should map tasks to their settings, but is {brief(config)}.")
        for name, settings in config.items():
            if tasks is None or name in tasks:
                found.append(read_task(root / "data" / path.parent.name, name, settings, options))
    missing = sorted(set(tasks or ()) - {task.name for task in found})
    if missing:
        raise ValueError(f"{root} has no task {listed(missing)}; see the config.json files for those it has.")
    return tuple(found)


def read_task(folder: Path, name: str, settings: Mapping[str, Any], options: Options = "published") -> Task:
    """One task from the data folder of its domain and its entry in the config."""
    path = folder / str(settings.get("path") or f"{name}.json")
    if settings.get("single_answer"):
        raise ValueError(f"the task {name!r} has a single answer and so no pair; name the tasks that you want.")
    if not path.is_file():
        raise ValueError(f"the task {name!r} has no data at {path}; name the tasks that you want.")
    items = read_json(path)
    if not isinstance(items, list) or not items:
        raise ValueError(f"{path} should be a list of items, but is {brief(items)}.")
    pairs = tuple(pair(item, settings, options, f"{path}, item {i}", f"{name}-{i:03}") for i, item in enumerate(items))
    return Task(DOMAINS.get(folder.name, folder.name), name, prompt_format(pairs[0].clean), pairs)


def pair(item: object, settings: Mapping[str, Any], options: Options, where: str, key: str) -> Pair:
    """One item; it may hold more fields than are read."""
    if not isinstance(item, Mapping):
        raise ValueError(f"{where} should be an object, but is {brief(item)}.")
    for field in ("clean_problem", "corrupted_problem", *ANSWERS):
        if not isinstance(item.get(field), str | int | float):
            raise ValueError(f"{where} has {brief(item.get(field))} as its {field!r}; it must be a text.")
    correct, incorrect = (str(item[field]) for field in ("clean_correct", "clean_incorrect"))
    sign = str(settings.get("merging_sign") or "")
    return Pair(
        key,
        prompt(item, "clean", settings, options),
        prompt(item, "corrupted", settings, options),
        spaced(sign + correct),
        spaced(sign + incorrect),
        cluster(item),
    )


def prompt(item: Mapping[str, Any], side: str, settings: Mapping[str, Any], options: Options) -> str:
    """What the model reads of one side."""
    prefix, joined, suffix = (str(settings.get(field) or "") for field in ("prefix", "concatenation", "suffix"))
    if suffix:
        named = [str(item[f"{side}_correct"]), str(item[f"{side}_incorrect"])]
        first, second = sorted(named) if options == "sorted" else named
        suffix = " " + suffix.format(correct_answer=first, incorrect_answer=second).lstrip()
    return f"{prefix}{item[f'{side}_problem']}{joined}{suffix}"


def spaced(answer: str) -> str:
    """The answer with the space that parts it from its prompt."""
    return answer if answer[:1].isspace() else f" {answer}"


def cluster(item: Mapping[str, Any]) -> str:
    """The template where the item names one; otherwise the two problems, so that mirror images go together."""
    for field in ("template_id", "source_pairID"):
        if item.get(field) is not None:
            return str(item[field])
    return " / ".join(sorted((str(item["clean_problem"]), str(item["corrupted_problem"]))))


def prompt_format(text: str) -> str:
    """The format, which the files do not name, from the words of a prompt."""
    if "Context:" in text and "Answer:" in text:
        return "fewshot"
    if text.startswith("You will be given") or "Please" in text or "Answer with just" in text:
        return "instruction"
    return "question" if text.rstrip().endswith("?") else "completion"
