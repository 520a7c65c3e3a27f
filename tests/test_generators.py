"""The built-in battery comes from its grammars, and the grammars keep what they promise."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from observatory.stimuli.battery import BUILT_IN_FOLDER, Task, load_battery
from observatory.stimuli.generators import GRAMMARS, SURFACE_GRAMMARS, TASK_GRAMMARS, WRITTEN, Grammar, TaskGrammar
from observatory.stimuli.generators.battery_writer import ITEMS, TEMPLATES, write
from observatory.stimuli.generators.number_words import spelled
from observatory.stimuli.generators.prompt_formats import FORMATS
from observatory.stimuli.generators.shuffling import DETERMINERS, misplaced_determiners, shuffled
from observatory.stimuli.generators.written_contrasts import written

GRAMMAR_CASES = [
    pytest.param(grammar, id=f"{domain}-{name}")
    for domain, grammars in GRAMMARS.items()
    for name, grammar in grammars.items()
]
TASK_CASES = [
    pytest.param(domain, grammar, id=f"{domain}-{name}")
    for domain, grammars in TASK_GRAMMARS.items()
    for name, grammar in grammars.items()
]
TASKS = [pytest.param(task, id=f"{task.domain}-{task.name}") for task in load_battery().tasks]


def test_the_committed_files_are_what_the_command_writes(tmp_path: Path) -> None:
    names = [path.name for path in write(tmp_path)]
    assert sorted(names) == sorted(path.name for path in BUILT_IN_FOLDER.glob("*.json"))
    for name in names:
        assert (tmp_path / name).read_bytes() == (BUILT_IN_FOLDER / name).read_bytes(), (
            "run `python -m observatory.stimuli.generators` and commit what it writes"
        )


def test_another_seed_gives_another_battery(tmp_path: Path) -> None:
    write(tmp_path, seed=1)
    other, ours = load_battery(tmp_path), load_battery()
    assert other.hash != ours.hash
    assert [f.name for f in other.families] == [f.name for f in ours.families]


@pytest.mark.parametrize("grammar", GRAMMAR_CASES)
def test_a_grammar_gives_thousands_of_contrasts_of_equal_length_and_the_same_from_one_seed(grammar: Grammar) -> None:
    drawn = [grammar(rng) for rng in [random.Random(3)] for _ in range(3000)]
    again = [grammar(rng) for rng in [random.Random(3)] for _ in range(20)]
    assert drawn[:20] == again
    assert len({target for target, _ in drawn}) > 2200
    for target, control in drawn:
        assert target != control
        assert len(target.split()) == len(control.split())
        assert 7 <= len(target.split()) <= 14
        assert target == " ".join(target.split()), "single spaces and none at the ends"


@pytest.mark.parametrize("grammar", GRAMMAR_CASES)
def test_no_text_is_a_target_once_and_a_control_another_time(grammar: Grammar) -> None:
    rng = random.Random(5)
    targets, controls = zip(*(grammar(rng) for _ in range(3000)), strict=True)
    assert set(targets).isdisjoint(controls)


@pytest.mark.parametrize("domain", ["math", "physical", "social"])
def test_the_words_that_make_a_target_serve_one_family_of_a_domain_alone(domain: str) -> None:
    """What a family's targets have and its controls have not, and the reverse, is in no other family so."""
    told: dict[str, set[str]] = {}
    for name, grammar in GRAMMARS[domain].items():
        rng = random.Random(7)
        contrasts = [grammar(rng) for _ in range(1500)]
        count = [Counter(word for c in contrasts for word in c[side].split()) for side in (0, 1)]
        told[name] = {word for word in count[0] | count[1] if count[0][word] != count[1][word]}
    for first in told:
        for second in told.keys() - {first}:
            assert told[first].isdisjoint(told[second]), told[first] & told[second]


@pytest.mark.parametrize("family", [*GRAMMARS["language"], "written"])
def test_a_language_control_is_its_sentence_out_of_order(family: str) -> None:
    (domain,) = (d for d in load_battery().domains if d.name == "language")
    (items,) = (f.items for f in domain.families if f.name == family)
    for item in items:
        sentence, control = item.target.split(), item.control.split()
        assert sorted(sentence) == sorted(control)
        assert sentence[-1] == control[-1]
        assert set(pairwise(sentence)).isdisjoint(pairwise(control))
        assert misplaced_determiners(control) >= min(2, sum(word in DETERMINERS for word in sentence)) >= 1
        assert misplaced_determiners(sentence) == 0


def test_a_sentence_that_cannot_be_made_ungrammatical_is_refused() -> None:
    with pytest.raises(ValueError, match="no order that is plainly ungrammatical"):
        shuffled("birds sing songs", random.Random(0))


def test_equations_are_true_and_their_controls_hold_no_operator() -> None:
    rng = random.Random(11)
    for _ in range(300):
        target, control = GRAMMARS["math"]["symbols"](rng)
        known: dict[str, int] = {}
        for side in target.split(" so "):
            left, right = side.split(" = ")
            if left.isalpha():
                known[left] = int(eval(right, {}, known)) if not right.isalpha() else known[right]
            elif any(letter.isalpha() for letter in left):
                continue
            else:
                assert eval(left) == int(right)
        assert not set("+-*=") & set(control)
        assert [w for w in target.split() if w.isalnum()] == [w for w in control.split() if w.isalnum()]


def test_number_words_are_read_as_english_has_them() -> None:
    assert [spelled(n) for n in (0, 7, 13, 20, 21, 99)] == [
        "zero", "seven", "thirteen", "twenty", "twenty one", "ninety nine",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="got 100"):
        spelled(100)


def test_number_sentences_add_up() -> None:
    value = {spelled(n): n for n in range(100)}
    rng = random.Random(13)
    for _ in range(300):
        target, control = GRAMMARS["math"]["number_sentences"](rng)
        said = target.split(" ", 3)[3]
        for operator in ("plus", "minus", "times"):
            if f" {operator} " in said:
                first, rest = said.split(f" {operator} ")
                verb = next(word for word in rest.split() if word in {"makes", "equals", "leaves", "gives"})
                second, result = rest.split(f" {verb} ")
                a, b = value[first], value[second]
                assert {"plus": a + b, "minus": a - b, "times": a * b}[operator] == value[result]
                assert [w for w in control.split() if w in value] == [w for w in target.split() if w in value]


def test_written_contrasts_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="must have the same number of words: 'a b c' and 'a b'"):
        written("a b\nb a\n\na b c\na b")


@pytest.mark.parametrize("domain", WRITTEN)
def test_every_domain_has_a_family_written_by_hand_and_a_surface_control(domain: str) -> None:
    assert all(len(contrasts) == ITEMS for contrasts in WRITTEN[domain].values())
    assert SURFACE_GRAMMARS[domain]


@pytest.mark.parametrize(("domain", "grammar"), TASK_CASES)
def test_a_task_grammar_gives_prompts_that_differ_in_words_alone_and_end_without_a_space(
    domain: str, grammar: TaskGrammar
) -> None:
    rng = random.Random(17)
    pairs = [grammar(rng) for _ in range(400)]
    assert {pair.template for pair in pairs} == {str(i) for i in range(1, TEMPLATES + 1)}
    for pair in pairs:
        assert pair.clean != pair.corrupted
        assert len(pair.clean.split()) == len(pair.corrupted.split())
        assert pair.correct != pair.incorrect
        assert all(answer[0] == " " and len(answer.split()) == 1 for answer in (pair.correct, pair.incorrect))
        assert pair.clean == pair.clean.rstrip()
        assert pair.corrupted == pair.corrupted.rstrip()
        assert "{" not in pair.clean + pair.corrupted + pair.correct + pair.incorrect


@pytest.mark.parametrize("task", TASKS)
def test_every_answer_is_correct_as_often_as_incorrect_and_every_template_has_as_many_pairs(task: Task) -> None:
    assert Counter(p.correct for p in task.pairs) == Counter(p.incorrect for p in task.pairs)
    assert len(set(Counter(p.template for p in task.pairs).values())) == 1
    mirror = {(p.corrupted, p.clean, p.incorrect, p.correct) for p in task.pairs}
    assert {(p.clean, p.corrupted, p.correct, p.incorrect) for p in task.pairs} == mirror


def test_every_kind_of_question_is_asked_in_every_format_of_every_domain() -> None:
    for domain in load_battery().domains:
        kinds = Counter(task.name.removesuffix(f"_{task.format}") for task in domain.tasks)
        assert set(kinds.values()) == {len(FORMATS)}
        assert {task.format for task in domain.tasks} == set(FORMATS)


def test_worked_examples_do_not_hold_the_question_and_show_both_answers() -> None:
    for task in load_battery().tasks:
        if task.format == "fewshot":
            for pair in task.pairs:
                first, second, asked = (part.split(" Answer:") for part in pair.clean.split("Context: ")[1:])
                assert asked[0] not in (first[0], second[0])
                assert first[1] != second[1]


def test_sums_in_tasks_are_right() -> None:
    value = {spelled(n): n for n in range(100)}
    rng = random.Random(19)
    for _ in range(200):
        pair = TASK_GRAMMARS["math"]["arithmetic_completion"](rng)
        for prompt, answer in ((pair.clean, pair.correct), (pair.corrupted, pair.incorrect)):
            a, b = (value[word] for word in prompt.split() if word in value)
            assert value[answer.strip()] in ({a + b} if int(pair.template) <= 4 else {abs(a - b)})
