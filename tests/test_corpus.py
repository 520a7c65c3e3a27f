"""The synthetic corpus: what occurs, from when, in which form, and that no stimulus ever does."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import numpy as np
import pytest

from observatory.stimuli.battery import load_battery
from observatory.stimuli.generators import GRAMMARS, TASK_GRAMMARS
from observatory.train import Corpus, HeldOut, Mixture, Source, SyntheticData
from observatory.train.corpus import shuffled
from observatory.train.tokenizer import WordEncoder, train_tokenizer

DOMAINS = ("language", "math", "social", "physical")


@cache
def held_out() -> HeldOut:
    return HeldOut(load_battery().texts)


def corpus(mixture: Mixture | None = None) -> Corpus:
    return Corpus(GRAMMARS, TASK_GRAMMARS, mixture or Mixture(), held_out())


def synthetic(mixture: Mixture | None = None, seed: int = 0) -> SyntheticData:
    return SyntheticData(mixture, sequence_length=64, batch_size=2, seed=seed)


def some(mixture: Mixture | None = None, count: int = 1000, step: int = 0) -> list[tuple[str, str]]:
    made, rng = corpus(mixture), random.Random(0)
    documents = [made.document(rng, step) for _ in range(count)]
    return [(document.domain, document.condition) for document in documents]


def test_a_document_keeps_to_one_domain_and_one_form() -> None:
    drawn = {
        domain: {grammar(random.Random(n)) for grammar in families.values() for n in range(3)}
        for domain, families in GRAMMARS.items()
    }
    assert set(drawn) == set(DOMAINS)
    document = corpus().document_of("math", "control", random.Random(3))
    assert 3 <= len(document.sentences) <= 8
    assert document.text.count(". ") == len(document.sentences) - 1
    assert document.text.endswith(".")
    assert not any(mark in document.text for mark in "+=*")


def test_domains_occur_by_their_weights_and_forms_alike() -> None:
    drawn = some(Mixture({"language": Source(weight=3.0), "math": Source()}, task_share=0.2))
    domains = Counter(domain for domain, _ in drawn)
    forms = Counter(form for _, form in drawn)
    assert domains["language"] / 1000 == pytest.approx(0.75, abs=0.05)
    assert forms["task"] / 1000 == pytest.approx(0.2, abs=0.05)
    assert forms["control"] / 1000 == pytest.approx(0.4, abs=0.05)
    assert forms["target"] / 1000 == pytest.approx(0.4, abs=0.05)


def test_a_domain_that_starts_later_is_absent_in_all_forms_before() -> None:
    mixture = Mixture({"language": Source(), "math": Source(start=10)})
    assert {domain for domain, _ in some(mixture, 200, step=9)} == {"language"}
    after = Counter(some(mixture, 200, step=10))
    assert {form for domain, form in after if domain == "math"} == {"target", "control", "task"}


def test_a_later_start_changes_nothing_before_and_nothing_after() -> None:
    without = synthetic(Mixture({"language": Source()})).sequences
    late = synthetic(Mixture({"language": Source(), "math": Source(start=7)})).sequences
    whole = synthetic(Mixture({"language": Source(), "math": Source()})).sequences
    for number in range(20):
        assert np.array_equal(late(number, 6), without(number, 6))
        assert np.array_equal(late(number, 7), whole(number, 7))
    assert any(not np.array_equal(late(number, 7), without(number, 7)) for number in range(20))


def test_a_sequence_depends_on_its_number_and_the_seed_alone() -> None:
    one, same, other = synthetic().sequences, synthetic().sequences, synthetic(seed=1).sequences
    forward = [one(number, 0) for number in range(8)]
    backward = [same(number, 0) for number in reversed(range(8))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not any(np.array_equal(row, other(number, 0)) for number, row in enumerate(forward))
    assert len({row.tobytes() for row in forward}) == 8


def test_a_sequence_begins_as_a_stimulus_does() -> None:
    data = synthetic()
    row = data.sequences(0, 0)
    assert row.shape == (64,)
    assert row[0] == data.tokenizer.bos_token_id == data.tokenizer.eos_token_id
    assert data.tokenizer.decode(row[1]).startswith(" ")


@pytest.mark.parametrize("shuffle", [False, True])
def test_no_stimulus_and_no_prompt_enters_the_corpus(shuffle: bool) -> None:
    texts = [" ".join(text.casefold().split()) for text in load_battery().texts]
    assert len(texts) > 2000
    made, rng = corpus(Mixture({name: Source(shuffled=shuffle) for name in DOMAINS})), random.Random(1)
    written = " | ".join(sentence.casefold() for _ in range(1500) for sentence in made.document(rng, 0).sentences)
    assert not [text for text in texts if f" {text} " in f" {written} "]


def test_the_same_draws_without_holding_out_do_meet_stimuli() -> None:
    free, rng = Corpus(GRAMMARS, TASK_GRAMMARS, Mixture(), HeldOut()), random.Random(1)
    assert any(sentence in held_out() for _ in range(1000) for sentence in free.document(rng, 0).sentences)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("the cat sat", True),
        ("The  cat sat.", True),
        ("yesterday the cat sat on it", True),
        ("the cats sat", False),
        ("the cat", False),
        ("two plus two is", True),
        ("we know that Two plus two is four.", True),
        ("two plus two are", False),
        ("3 + 4 = 7", True),
        ("x = 3+4 = 7", True),
        ("oh no !", True),
        ("oh", False),
        ("", False),
    ],
)
def test_a_text_is_held_out_when_it_contains_one(text: str, held: bool) -> None:
    assert (text in HeldOut(["the cat sat", "two plus two is", "3 + 4 = 7", "oh no"])) is held


def test_shuffling_keeps_the_words_and_the_final_mark() -> None:
    sentence = "the cat that saw the dog ran away."
    results = {shuffled(sentence, random.Random(seed)) for seed in range(20)}
    assert len(results) == 20
    assert all(sorted(result.rstrip(".").split()) == sorted(sentence.rstrip(".").split()) for result in results)
    assert all(result.endswith(".") for result in results)


def test_a_shuffled_domain_keeps_its_words_and_loses_its_order() -> None:
    plain = corpus(Mixture({"social": Source()})).sample("social", "target", 200)
    mixed = corpus(Mixture({"social": Source(shuffled=True)})).sample("social", "target", 200)
    bigrams = [
        Counter(pair for d in documents for s in d.sentences for pair in zip(s.split(), s.split()[1:], strict=False))
        for documents in (plain, mixed)
    ]
    words = [{word for d in documents for s in d.sentences for word in s.split()} for documents in (plain, mixed)]
    assert words[0] == words[1]
    assert len(bigrams[1]) > 2 * len(bigrams[0])


def test_evaluation_documents_are_their_own_stream() -> None:
    made = corpus()
    assert made.sample("math", "target", 5, seed=1) == made.sample("math", "target", 5, seed=1)
    assert made.sample("math", "target", 5, seed=1) != made.sample("math", "target", 5, seed=2)


def test_grammars_that_hold_nothing_but_stimuli_are_reported() -> None:
    document = corpus().document_of("math", "target", random.Random(0))
    everything = Corpus(GRAMMARS, TASK_GRAMMARS, Mixture(), HeldOut(["the"]))
    assert document
    with pytest.raises(ValueError, match="drawn from the domain 'language' were all held out"):
        everything.document_of("language", "target", random.Random(0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Source(weight=0), "leave it out to withhold it"),
        (lambda: Source(start=-1), "starts at step 0 or later"),
        (lambda: Mixture({}), "at least one domain"),
        (lambda: Mixture({"math": Source(start=5)}), "no domain starts at step 0"),
        (lambda: Mixture(control_share=2), "control_share is a share"),
        (lambda: Mixture(task_share=-1), "task_share is a share"),
        (lambda: Mixture(shortest=4, longest=3), "1 <= shortest <= longest"),
        (lambda: corpus(Mixture({"music": Source()})), "no grammar for the domain music; there are language"),
    ],
)
def test_impossible_settings_are_refused(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=words):
        make()


def test_the_tokenizer_is_the_same_whatever_the_mixture_and_knows_every_domain() -> None:
    one = synthetic().tokenizer
    other = synthetic(Mixture({"math": Source()}), seed=5).tokenizer
    assert one.backend_tokenizer.to_str() == other.backend_tokenizer.to_str()
    text = "the baker who sold 7 pears believes that the wax melted"
    assert len(one(text).input_ids) == 11
    assert one.decode(one(text).input_ids).strip() == text


def test_words_encode_as_the_tokenizer_encodes_texts() -> None:
    tokenizer = synthetic().tokenizer
    encode = WordEncoder(tokenizer)
    made, rng = corpus(), random.Random(2)
    texts = [made.document(rng, 0).text for _ in range(200)]
    texts += ["two  spaces", "a line\nand  another \n\n one", "", " led by a space", "ends in one ", "don't é 😀"]
    for text in texts:
        assert encode(text) == tokenizer(text, add_special_tokens=False).input_ids


def test_training_a_tokenizer_twice_gives_the_same_one() -> None:
    texts = ["the cat sat on the mat", "the dog sat on the cat"] * 5
    one, other = train_tokenizer(texts, 270), train_tokenizer(iter(texts), 270)
    assert one.backend_tokenizer.to_str() == other.backend_tokenizer.to_str()
    assert (one.bos_token_id, one.eos_token_id, one.pad_token_id) == (0, 0, 1)
