"""The audit sees what is wrong with a battery, and the built-in one passes it."""

from __future__ import annotations

import io
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import mannwhitneyu
from test_tokens import byte_level, words

from observatory.stimuli.audit import TOLERATED, audit
from observatory.stimuli.battery import Battery, Domain, Family, Item, Pair, Task, load_battery
from observatory.stimuli.battery_tables import tables
from observatory.stimuli.display import show, show_audit
from observatory.stimuli.generators import SURFACE_GRAMMARS
from observatory.stimuli.leaks import area_under_curve, leak, placed_words_of, scores, word_weights

DOCS = Path(__file__).parent.parent / "docs" / "battery.md"


def family(name: str, *contrasts: tuple[str, str], matched: bool = True) -> Family:
    """A family of the domain "d"."""
    items = tuple(Item(f"{name}-{i}", *contrast) for i, contrast in enumerate(contrasts))
    return Family("d", name, "", items, matched)


def battery(*families: Family, tasks: tuple[Task, ...] = ()) -> Battery:
    """A battery of one domain."""
    return Battery("b", (Domain("d", "", families, tasks),))


CLEAN = (
    family("f", ("the red cat runs", "the red box shuts"), ("a blue dog runs", "a blue lid shuts")),
    family("g", ("my old hen sings", "my old pen drops"), ("my new cow sings", "my new key drops")),
)


def found(audited: Battery, **options: object) -> list[tuple[str, str]]:
    """Severity and text of all findings but the one on the number of items."""
    findings = audit(audited, **options).findings  # type: ignore[arg-type]
    return [(f.severity, f"{f.where} {f.what}") for f in findings if "are advised" not in f.what]


def test_the_area_under_the_curve_is_that_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        positive, negative = rng.integers(0, 6, 17).astype(float), rng.integers(1, 8, 23).astype(float)
        expected = mannwhitneyu(positive, negative).statistic / (17 * 23)
        assert area_under_curve(positive, negative) == pytest.approx(expected)


def test_word_weights_are_the_smoothed_log_ratios_worked_out_by_hand() -> None:
    weights = word_weights(["a b", "a c"], ["b b", "c d"])
    # four words are known; each side has four tokens, so every share is (count + 1) / 8
    assert weights == pytest.approx({"a": np.log(3 / 1), "b": np.log(2 / 3), "c": np.log(2 / 2), "d": np.log(1 / 2)})
    assert scores(weights, ["a b", "z", "d a d"]) == pytest.approx([np.log(2), 0.0, np.log(3 / 4)])


def test_a_leak_is_measured_on_the_other_family() -> None:
    source = family("f", ("it hopes", "it rusts"), ("we hopes", "we rusts"))
    same = family("g", ("she hopes", "she rusts"), ("he hopes", "he rusts"))
    disjoint = family("h", ("she longs", "she spins"))
    reversed_ = family("i", ("she rusts", "she hopes"))
    assert [leak(source, g) for g in (same, disjoint, reversed_)] == [1.0, 0.5, 0.0]


def test_a_word_that_changes_its_place_alike_in_two_families_is_a_leak() -> None:
    """Person and thing exchanged: the same words, yet `the` came first in every control, and an untrained
    network told the targets apart by it in every such family (Hedges' g up to 1.6)."""
    swapped = (
        family("f", ("Ann by the sign thinks so", "the sign by Ann shows so")),
        family("g", ("Bob near the van hopes for rain", "the van near Bob calls for rain")),
    )
    assert leak(*swapped) == 0.5
    assert leak(*swapped, placed_words_of) == 1.0
    assert any("words and their places tell the targets" in text for _, text in found(battery(*swapped)))
    reordered = (family("f", ("the cat sat here", "cat the sat here")), family("g", ("the owl is in", "owl the is in")))
    assert leak(*reordered, placed_words_of) == 1.0
    assert found(battery(*reordered)) == []


def test_a_battery_without_faults_has_no_finding() -> None:
    assert found(battery(*CLEAN)) == []
    assert audit(battery(*CLEAN)).passed


@pytest.mark.parametrize(
    ("families", "said"),
    [
        ((CLEAN[0], family("g", ("my cat runs", "my box shuts"))), "tell the targets of 'g'"),
        ((*CLEAN, family("h", ("one two", "one"))), "d/h target and control differ in words in 'h-0'"),
        ((*CLEAN, family("h", ("the red cat runs", "x y z q"))), "occur more than once"),
        ((*CLEAN, family("h", ("the red box shuts", "x y z q"))), "target here and control there"),
    ],
)
def test_a_faulty_family_is_found(families: tuple[Family, ...], said: str) -> None:
    assert any(said in text for _, text in found(battery(*families)))


def test_a_surface_control_may_leak_and_differ_in_length() -> None:
    surface = family("s", ("the cat runs", "blick"), ("a box shuts", "dax"), matched=False)
    assert found(battery(*CLEAN, surface)) == []


def test_too_few_items_are_mentioned() -> None:
    assert any("has 2 items; 32 or more" in finding.what for finding in audit(battery(*CLEAN)).findings)


PAIR = Pair("p", "two and two", "two and one", " four", " three", "1")
MIRROR = Pair("q", "two and one", "two and two", " three", " four", "1")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ((PAIR,), "answers that are not correct as often as incorrect: ' four', ' three'"),
        ((PAIR, MIRROR, replace(PAIR, corrupted="two and one more")), "clean and corrupted prompt differ in words"),
        ((replace(PAIR, correct="four"), replace(MIRROR, incorrect="four")), "an answer without its leading space"),
        ((PAIR, MIRROR), "has 1 templates; tests count them, so give 4"),
    ],
)
def test_a_faulty_task_is_found(pairs: tuple[Pair, ...], said: str) -> None:
    assert any(said in text for _, text in found(battery(*CLEAN, tasks=(Task("d", "t", "completion", pairs),))))


def test_a_format_that_one_domain_lacks_is_found() -> None:
    tasks = [Task("d", f, f, (PAIR, MIRROR)) for f in ("completion", "question")]
    both = Battery("b", (Domain("d", "", CLEAN, tuple(tasks)), Domain("e", "", CLEAN, tuple(tasks[:1]))))
    assert any("e has no task in the format 'question'" in text for _, text in found(both))


def test_a_tokenizer_shows_its_findings() -> None:
    tasks = (Task("d", "t", "completion", (PAIR, MIRROR)),)
    told = found(battery(*CLEAN, family("h", ("cat", "the")), tasks=tasks), tokenizer=words(), context=3)
    for severity, said in [
        ("note", "the first word stands at position 0"),
        ("error", "d/h a text of one token"),
        ("error", "d/f a text of more than the model's 3 tokens in 'f-0', 'f-1'"),
        ("warning", "d/f words that the tokenizer does not know"),
        ("warning", "d/t answers that begin with the same token in 'p', 'q'"),
    ]:
        assert any(severity == found_as and said in text for found_as, text in told), said


def test_controls_much_longer_in_tokens_are_found() -> None:
    long = family("h", ("the cat sat", "zwqxv jkqzx vvxqz"))
    assert any(
        "longer than targets in tokens" in text for _, text in found(battery(*CLEAN, long), tokenizer=byte_level())
    )


def test_a_first_word_with_other_ids_later_is_found() -> None:
    class NoSpace:
        """Every text begins in capitals, as no leading space can mend."""

        bos_token_id = 0

        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            first, *rest = text.split()
            return {"input_ids": [*map(ord, first.upper()), *(ord(letter) for word in rest for letter in word)]}

    told = found(battery(*CLEAN), tokenizer=NoSpace())
    assert any("first words that are other tokens later in a text: 'a', 'the'" in text for _, text in told)


def test_the_built_in_battery_passes_with_and_without_a_tokenizer() -> None:
    ours = load_battery()
    plain = audit(ours)
    assert plain.findings == ()
    for domain in plain.leaks:
        ranges = [domain.words] if domain.domain == "language" else [domain.words, domain.placed_words]
        for lowest, highest in ranges:
            assert TOLERATED[0] <= lowest
            assert highest <= TOLERATED[1]
    assert audit(ours, tokenizer=byte_level(), context=512).passed


def test_words_do_not_carry_over_between_domains_either() -> None:
    """A region is also measured on the other domains' contrasts, where a shared cue would look like a shared region."""
    families = load_battery().families
    areas = [leak(f, g) for f in families for g in families if f.domain != g.domain]
    assert min(areas) > 0.3
    assert max(areas) < 0.7


def test_the_published_kind_of_contrast_leaks_where_ours_does_not() -> None:
    """Two draws of hard and easy sums stand for two families: words alone tell them apart."""
    grammar = SURFACE_GRAMMARS["math"]["hard_sums"]
    first, second = (
        family(str(seed), *(grammar(rng) for rng in [random.Random(seed)] for _ in range(60))) for seed in (1, 2)
    )
    assert leak(first, second) > TOLERATED[1]


def test_the_documented_tables_are_those_of_the_battery() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for table in tables(load_battery()):
        assert table in text, "run `python -m observatory.stimuli.battery_tables` and put what it prints into the docs"


def test_the_documented_domain_is_added_as_the_docs_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = dict(re.findall(r"```(json|python)\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL))
    (tmp_path / "music.json").write_text(blocks["json"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(blocks["python"])
    assert capsys.readouterr().out == "['language', 'math', 'music', 'physical', 'social']\nTrue\n"


def test_the_battery_and_its_audit_are_shown() -> None:
    console = Console(record=True, width=160, file=io.StringIO())
    tasks = (Task("d", "t", "completion", (PAIR, MIRROR)),)
    small = battery(*CLEAN, tasks=tasks)
    show(small, console)
    show_audit(audit(small, tokenizer=words()), console)
    text = console.export_text()
    for said in ("the red cat runs", "two and two", "What words alone carry over", "0.50", "The battery passes."):
        assert said in text
