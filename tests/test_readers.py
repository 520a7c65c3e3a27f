"""Published formats become families and tasks, from small files of our own and, where it lies, from the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from observatory.stimuli.readers import (
    read_blimp,
    read_language_localizer,
    read_llm_modularity,
    read_theory_of_mind,
)
from observatory.stimuli.readers.llm_modularity import prompt_format

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the published data does not lie in {SHARED}")


def modularity(root: Path, settings: dict[str, Any], items: list[dict[str, Any]], domain: str = "MD") -> Path:
    """A folder with one task called "sums"."""
    for folder, content in (("config", {"sums": {"path": "sums.json"} | settings}), ("data", items)):
        (root / folder / domain).mkdir(parents=True)
        name = "config.json" if folder == "config" else "sums.json"
        (root / folder / domain / name).write_text(json.dumps(content), encoding="utf-8")
    return root


ITEM = {
    "clean_problem": "2 + 2",
    "corrupted_problem": "2 + 1",
    "clean_correct": "4",
    "clean_incorrect": "3",
    "corrupted_correct": "3",
    "corrupted_incorrect": "4",
}


@pytest.mark.parametrize(
    ("settings", "clean", "corrupted", "correct"),
    [
        ({}, "2 + 2", "2 + 1", " 4"),
        ({"prefix": None, "suffix": None, "concatenation": None}, "2 + 2", "2 + 1", " 4"),
        ({"prefix": "Say ", "concatenation": "? Be brief."}, "Say 2 + 2? Be brief.", "Say 2 + 1? Be brief.", " 4"),
        (
            {"suffix": " Say {correct_answer} or {incorrect_answer}."},
            "2 + 2 Say 4 or 3.",
            "2 + 1 Say 3 or 4.",
            " 4",
        ),
        (
            {"concatenation": "?", "suffix": "Say {correct_answer}."},
            "2 + 2? Say 4.",
            "2 + 1? Say 3.",
            " 4",
        ),
        ({"merging_sign": " is "}, "2 + 2", "2 + 1", " is 4"),
        ({"merging_sign": "=", "force_base_evaluation": True, "anything": [1]}, "2 + 2", "2 + 1", " =4"),
    ],
)
def test_every_way_of_building_a_prompt_is_read(
    tmp_path: Path, settings: dict[str, Any], clean: str, corrupted: str, correct: str
) -> None:
    (task,) = read_llm_modularity(modularity(tmp_path, settings, [ITEM | {"note": "more"}]))
    (pair,) = task.pairs
    assert (task.domain, task.name) == ("math", "sums")
    assert (pair.clean, pair.corrupted, pair.correct) == (clean, corrupted, correct)


def test_the_two_options_can_be_named_in_one_order(tmp_path: Path) -> None:
    folder = modularity(tmp_path, {"suffix": "Say {correct_answer} or {incorrect_answer}."}, [ITEM])
    (task,) = read_llm_modularity(folder, options="sorted")
    assert task.pairs[0].clean == "2 + 2 Say 3 or 4."
    assert task.pairs[0].corrupted == "2 + 1 Say 3 or 4."


def test_numbers_are_read_as_text_and_mirror_images_fall_into_one_cluster(tmp_path: Path) -> None:
    mirror = ITEM | {"clean_problem": "2 + 1", "corrupted_problem": "2 + 2", "clean_correct": 3, "clean_incorrect": 4}
    other = ITEM | {"clean_problem": "5 + 2", "template_id": "T9"}
    (task,) = read_llm_modularity(modularity(tmp_path, {}, [ITEM, mirror, other]))
    first, second, third = task.pairs
    assert second.correct == " 3"
    assert first.template == second.template != third.template == "T9"


@pytest.mark.parametrize(
    ("settings", "item", "said"),
    [
        ({"single_answer": True}, ITEM, "'sums' has a single answer and so no pair"),
        ({"path": "other.json"}, ITEM, "'sums' has no data at"),
        ({}, ITEM | {"clean_correct": None}, "item 0 has null as its 'clean_correct'"),
        ({}, {k: v for k, v in ITEM.items() if k != "corrupted_problem"}, "null as its 'corrupted_problem'"),
    ],
)
def test_what_is_no_minimal_pair_is_refused(
    tmp_path: Path, settings: dict[str, Any], item: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        read_llm_modularity(modularity(tmp_path, settings, [item]))


def test_a_folder_without_the_layout_and_a_task_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the folder that holds config/ and data/"):
        read_llm_modularity(tmp_path)
    with pytest.raises(ValueError, match="has no task 'chess'"):
        read_llm_modularity(modularity(tmp_path, {}, [ITEM]), tasks=["chess"])


@pytest.mark.parametrize(
    ("prompt", "form"),
    [
        ("The doctors", "completion"),
        ("2 + 2 =", "completion"),
        ("Where is Ali?", "question"),
        ("Say. Context: ice Answer: melt Context: water Answer:", "fewshot"),
        ("You will be given a snippet. print(1)", "instruction"),
        ("2 + 2? Please answer.", "instruction"),
    ],
)
def test_the_format_is_inferred_from_the_words(prompt: str, form: str) -> None:
    assert prompt_format(prompt) == form


@needs_shared
def test_the_published_tasks_are_read_whole() -> None:
    tasks = {task.name: task for task in read_llm_modularity(SHARED / "tasks")}
    assert len(tasks) == 18
    assert {task.domain for task in tasks.values()} == {"language", "math", "social", "physical"}
    for task in tasks.values():
        assert len(task.pairs) >= 288
        for pair in task.pairs:
            assert pair.clean != pair.corrupted
            assert pair.correct != pair.incorrect
            assert pair.correct.startswith(" ")
            assert "{" not in pair.clean or task.name == "code_loop"
    formats = {name: task.format for name, task in tasks.items()}
    assert {formats[name] for name in ("physics_brightness", "physics_temperature")} == {"fewshot"}
    assert {formats[name] for name in ("npi", "hypernymy", "subject_verb_agreement")} == {"completion"}
    assert {formats[name] for name in ("agent", "desires_goals", "primary_emotions")} == {"question"}
    assert {formats[name] for name in ("phys_prost", "code_loop", "add_sub_2op_verbal")} == {"instruction"}


@needs_shared
def test_the_prompts_are_those_that_the_published_code_gave() -> None:
    reference = json.loads((SHARED / "reference" / "subject_verb_agreement.json").read_text(encoding="utf-8"))
    (task,) = read_llm_modularity(SHARED / "tasks", tasks=["subject_verb_agreement"])
    pairs = [task.pairs[i] for i in reference["items"]]
    assert [pair.clean for pair in pairs] == reference["clean_prompt"]
    assert [pair.corrupted for pair in pairs] == reference["corrupted_prompt"]
    assert [pair.correct for pair in pairs] == reference["correct"]
    assert [pair.incorrect for pair in pairs] == reference["incorrect"]


LOCALIZER = """\
stim1,stim2,stim3,stim4,stim5
1,THE,CAT,SLEPT,S
2,NA,BLICK,FEP,N
3,null,DAXES,NA,N
4,A,DOG,ATE,S
"""


def test_a_localizer_row_is_its_words_and_the_non_word_na_stays_a_word(tmp_path: Path) -> None:
    path = tmp_path / "run1.csv"
    path.write_text(LOCALIZER, encoding="utf-8")
    family = read_language_localizer(path)
    assert [(i.target, i.control) for i in family.items] == [
        ("the cat slept", "na blick fep"),
        ("a dog ate", "null daxes na"),
    ]
    assert not family.matched
    assert read_language_localizer(path, lowercase=False).items[0].control == "NA BLICK FEP"


def test_the_files_of_a_folder_are_read_together_and_columns_may_be_named_otherwise(tmp_path: Path) -> None:
    (tmp_path / "run1.csv").write_text(LOCALIZER, encoding="utf-8")
    (tmp_path / "run2.csv").write_text("condition,stim1,stim10,stim2\nS,we,here,sat\nN,fa,fo,fi\n", encoding="utf-8")
    items = read_language_localizer(tmp_path).items
    assert (items[-1].target, items[-1].control) == ("we sat here", "fa fi fo")
    assert len(items) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("stim1,stim2,stim3\na,b,S\n", "1 sentences and 0 non-word strings"),
        ("stim1,stim2,stim3\na,b,X\n", "0 columns that hold nothing but S and N"),
        ("word,condition\na,S\nb,N\n", "no columns stim1, stim2"),
        ("stim1,stim2\n", "no rows"),
    ],
)
def test_a_localizer_file_of_another_kind_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "run1.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_language_localizer(tmp_path / "run1.csv")
    with pytest.raises(ValueError, match="there is no CSV"):
        read_language_localizer(tmp_path / "nowhere")


@pytest.mark.parametrize("ending", ["_story.txt", ".txt"])
def test_belief_and_photo_stories_are_paired_by_number(tmp_path: Path, ending: str) -> None:
    for number in (2, 10):
        (tmp_path / f"{number}b{ending}").write_text(f"Ann thinks {number} old-\nfashioned\r\nlamps.", encoding="utf-8")
        (tmp_path / f"{number}p{ending}").write_text(f"A photo shows {number} lamps.", encoding="utf-8")
        for kind in "bp":
            (tmp_path / f"{number}{kind}_question.txt").write_text("Is it so?\nTrue    False\n", encoding="utf-8")
    family = read_theory_of_mind(tmp_path)
    assert [item.id for item in family.items] == ["tom-02", "tom-10"]
    assert family.items[0].target == "Ann thinks 2 old-fashioned lamps."
    assert not family.matched
    asked = read_theory_of_mind(tmp_path, questions=True)
    assert asked.items[1].control == "A photo shows 10 lamps. Is it so?"


def test_a_belief_story_without_its_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no belief story"):
        read_theory_of_mind(tmp_path)
    (tmp_path / "1b.txt").write_text("Ann thinks so.", encoding="utf-8")
    with pytest.raises(ValueError, match=r"lacks 1p_story\.txt"):
        read_theory_of_mind(tmp_path)
    with pytest.raises(ValueError, match=r"lacks 1b_question\.txt"):
        read_theory_of_mind(tmp_path, questions=True)


def blimp_line(good: str, bad: str, pair: str, paradigm: str = "agreement") -> str:
    """A line with a field that is not read."""
    return json.dumps({"sentence_good": good, "sentence_bad": bad, "UID": paradigm, "pairID": pair, "field": "syntax"})


def test_a_paradigm_of_blimp_is_a_family_matched_where_its_twins_are_of_one_length(tmp_path: Path) -> None:
    path = tmp_path / "agreement.jsonl"
    lines = [blimp_line("The dogs bark.", "The dogs barks.", "0"), blimp_line("Cats sleep.", "Cats sleeps.", "1")]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    family = read_blimp(path)
    assert (family.domain, family.name, family.matched) == ("language", "agreement", True)
    assert (family.items[1].id, family.items[1].target) == ("agreement-1", "Cats sleep.")
    assert len(read_blimp(path, limit=1).items) == 1
    path.write_text("\n".join([*lines, blimp_line("He left.", "He did left.", "2")]), encoding="utf-8")
    assert not read_blimp(path).matched


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"sentence_good": "a"}', "line 1 lacks the field 'sentence_bad'"),
        ("nonsense", "line 1 is not valid JSON"),
        ("", "is empty"),
        (blimp_line("a", "b", "0") + "\n" + blimp_line("a", "b", "0", "other"), "mixes the paradigms agreement, other"),
    ],
)
def test_a_file_that_is_not_blimp_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_blimp(tmp_path / "x.jsonl")
