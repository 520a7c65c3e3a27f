"""The battery's files: what they hold, what identifies them, and what is said when one is faulty."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from observatory.stimuli.battery import BUILT_IN_FOLDER, Battery, load_battery
from observatory.stimuli.battery_file import domain_text, read_domain

FORMATS = {"completion", "question", "fewshot"}


def small_domain(name: str = "music") -> dict[str, Any]:
    """The least that a file must hold, and one task."""
    return {
        "format": "observatory-battery/1",
        "domain": name,
        "families": [
            {
                "name": family,
                "control": "the same words about a shed",
                "items": [
                    {"id": f"{family}-{i}", "target": f"the {family} sang {i}", "control": f"the {family} stood {i}"}
                    for i in range(3)
                ],
            }
            for family in ("choir", "band")
        ],
        "tasks": [
            {
                "name": "pitch",
                "format": "completion",
                "pairs": [
                    {
                        "id": "p1",
                        "clean": "a flute sounds",
                        "corrupted": "a tuba sounds",
                        "correct": " high",
                        "incorrect": " low",
                        "template": "1",
                    }
                ],
            }
        ],
    }


def written(folder: Path, content: object, name: str = "music.json") -> Path:
    """A file in the folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_the_built_in_battery_has_four_domains_with_enough_of_everything() -> None:
    battery = load_battery()
    assert [domain.name for domain in battery.domains] == ["language", "math", "physical", "social"]
    for domain in battery.domains:
        matched = [family for family in domain.families if family.matched]
        assert len(matched) >= (5 if domain.name == "social" else 4)
        assert len(matched) < len(domain.families), "a surface control stands beside the matched families"
        assert all(len(family.items) >= 48 for family in domain.families)
        assert {task.format for task in domain.tasks} == FORMATS
        assert all(len(task.pairs) >= 48 for task in domain.tasks)
    assert battery.families == tuple(f for d in battery.domains for f in d.families if f.matched)
    assert battery.tasks == tuple(task for domain in battery.domains for task in domain.tasks)


def test_a_domain_written_to_a_file_is_read_back_equal(tmp_path: Path) -> None:
    for domain in load_battery().domains:
        path = tmp_path / "any name.json"
        path.write_text(domain_text(domain), encoding="utf-8")
        assert read_domain(path) == domain


def test_one_item_stands_on_one_line() -> None:
    for path in BUILT_IN_FOLDER.glob("*.json"):
        lines = path.read_text(encoding="utf-8").splitlines()
        domain = read_domain(path)
        ids = [i.id for f in domain.families for i in f.items] + [p.id for t in domain.tasks for p in t.pairs]
        assert sum('"id": ' in line for line in lines) == len(ids)


def test_the_hash_ignores_layout_file_names_file_order_and_descriptions(tmp_path: Path) -> None:
    music, chess = small_domain("music"), small_domain("chess")
    plain = written(written(tmp_path / "plain", music), chess, "chess.json")
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.json").write_text(json.dumps({**music, "description": "Songs."}, indent=7), encoding="utf-8")
    (other / "b.json").write_text(json.dumps(chess, ensure_ascii=False), encoding="utf-8")
    assert load_battery(plain).hash == load_battery(other).hash
    assert load_battery(plain).domains[0].name == load_battery(other).domains[0].name == "chess"


@pytest.mark.parametrize("change", ["target", "matched", "order", "answer"])
def test_the_hash_changes_with_anything_that_a_model_is_shown(tmp_path: Path, change: str) -> None:
    before = small_domain()
    after = copy.deepcopy(before)
    if change == "target":
        after["families"][0]["items"][0]["target"] += " again"
    elif change == "matched":
        extra = copy.deepcopy(before["families"][0]) | {"name": "third"}
        extra["items"] = [item | {"id": f"third-{item['id']}"} for item in extra["items"]]
        before["families"].append(extra)
        after["families"].append(extra | {"matched": False})
    elif change == "order":
        after["families"].reverse()
    else:
        after["tasks"][0]["pairs"][0]["correct"] = " shrill"
    first, second = (load_battery(written(tmp_path / n, c)) for n, c in (("1", before), ("2", after)))
    assert first.hash != second.hash


def test_the_hash_is_the_same_in_every_process_and_needs_no_name() -> None:
    battery = load_battery()
    assert battery.hash == Battery("another name", tuple(reversed(battery.domains))).hash
    assert len(battery.hash) == 16
    assert int(battery.hash, 16) >= 0


def test_a_fifth_domain_is_one_more_file(tmp_path: Path) -> None:
    file = written(tmp_path, small_domain()) / "music.json"
    together = load_battery(["built-in", file])
    assert [d.name for d in together.domains] == ["language", "math", "music", "physical", "social"]
    assert load_battery(tmp_path).families[0].name == "choir"
    assert load_battery(file).hash == load_battery(tmp_path).hash
    assert together.name == "built-in+music"


def test_texts_holds_every_stimulus_and_every_prompt(tmp_path: Path) -> None:
    texts = load_battery(written(tmp_path, small_domain())).texts
    assert {"the choir sang 0", "the band stood 2", "a flute sounds", "a tuba sounds"} <= texts
    assert len(texts) == 14


def spoilt(path: str, value: Any) -> dict[str, Any]:
    """The small domain with one value replaced; a path of keys, `-key` to remove and `key>new` to rename."""
    content = small_domain()
    *way, last = path.split("/")
    place: Any = content
    for key in way:
        place = place[int(key)] if key.isdigit() else place[key]
    if last.startswith("-"):
        del place[last[1:]]
    elif ">" in last:
        old, new = last.split(">")
        place[new] = place.pop(old)
    else:
        place[int(last) if last.isdigit() else last] = value
    return content


FAULTS: list[tuple[str, Any, list[str]]] = [
    ("format", "observatory-battery/9", ['"observatory-battery/9"', 'reads "format": "observatory-battery/1"']),
    ("-format", None, ["declares no format", "observatory-battery/1"]),
    ("domain>domian", None, ["'domian'", "did you mean 'domain'?"]),
    ("-domain", None, ["lacks the field 'domain'"]),
    ("domain", 7, ["has 7 as its 'domain'", "text in quotes"]),
    ("comment", "hello", ["unknown field 'comment'", "'format'"]),
    ("families", {}, ["'families'", "must be a list"]),
    ("families", [], ["no matched family", "at least two"]),
    ("families/0/matched", False, ["only the matched family 'band'", "measured on another"]),
    ("families/0/matched", "no", ['"no"', "true or false"]),
    ("families/0/items", [], ["family 'choir' is empty"]),
    ("families/0/name>nmae", None, ["family number 1", "did you mean 'name'?"]),
    ("families/1/name", "choir", ["the family name 'choir' occurs twice"]),
    ("families/0/items/1/target>traget", None, ["item 'choir-1'", "'traget'", "did you mean 'target'?"]),
    ("families/0/items/1/-control", None, ["item 'choir-1'", "lacks the field 'control'"]),
    ("families/0/items/1/target", ["a"], ["item 'choir-1'", '["a"]', "'target'"]),
    ("families/0/items/1/target", None, ["item 'choir-1'", "null"]),
    ("families/0/items/1/target", "  ", ["item 'choir-1'", "empty 'target'"]),
    ("families/0/items/1/target", "the choir stood 1", ["'choir-1'", "same text as target and control"]),
    ("families/0/items/1/target", "the choir stood 2", ["'choir-1'", "also the control of item 'choir-2'"]),
    ("families/0/items/1", "a text", ["item number 2", "should be an object"]),
    ("families/1/items/1/id", "choir-1", ["the item id 'choir-1' occurs twice"]),
    ("tasks/0/pairs", [], ["task 'pitch' is empty"]),
    ("tasks/0/pairs/0/incorrect", " high", ["pair 'p1'", "'correct' and 'incorrect'"]),
    ("tasks/0/pairs/0/-template", None, ["pair 'p1'", "lacks the field 'template'"]),
]


@pytest.mark.parametrize(("path", "value", "words"), FAULTS, ids=[f"{p}={v!r}" for p, v, _ in FAULTS])
def test_a_fault_is_told_in_one_sentence_with_the_place_and_the_remedy(
    tmp_path: Path, path: str, value: Any, words: list[str]
) -> None:
    with pytest.raises(ValueError, match="music") as raised:
        load_battery(written(tmp_path, spoilt(path, value)))
    said = str(raised.value)
    assert "music.json" in said
    assert "\n" not in said
    assert all(word in said for word in words), said


def test_invalid_json_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{\n "format": \n}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.json is not valid JSON: .* line 3, column 1"):
        load_battery(tmp_path)


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(json.dumps("é", ensure_ascii=False).encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.json is not UTF-8"):
        load_battery(tmp_path)


def test_an_empty_folder_and_a_missing_path_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no battery file"):
        load_battery(tmp_path)
    with pytest.raises(ValueError, match=r"no battery at .*nowhere.*built-in"):
        load_battery(tmp_path / "nowhere")


def test_a_domain_in_two_files_is_refused(tmp_path: Path) -> None:
    written(tmp_path, small_domain())
    written(tmp_path, small_domain(), "again.json")
    with pytest.raises(ValueError, match=r"music\.json and .*again\.json both hold the domain 'music'"):
        load_battery(tmp_path)
