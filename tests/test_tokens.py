"""Every stimulus starts alike, whatever the tokenizer does with first words."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from observatory.stimuli.tokens import encode, encode_answers, first_token, leading_space

TEXTS = ["the cat sat on the mat", "sat the on mat the cat", "a dog ate the hat"]


def byte_level(bos: bool = False, eos: bool = True) -> PreTrainedTokenizerFast:
    """Like GPT-2's: words carry their space in front, the first word has none."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<end>", "<begin>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 5, trainer)
    named = ({"bos_token": "<begin>"} if bos else {}) | ({"eos_token": "<end>"} if eos else {})
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def metaspace(added: bool = True) -> PreTrainedTokenizerFast:
    """Like Llama's: the first word gets its space by itself, and a beginning token is added unasked."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<s>", "<unk>"], show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 5, trainer)
    if added:
        tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")


def words() -> PreTrainedTokenizerFast:
    """One id a word, no special token but for the unknown."""
    vocabulary = {word: i for i, word in enumerate(["<unk>", *sorted(set(" ".join(TEXTS).split()))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


TOKENIZERS = {
    "byte level with end": (byte_level(), " ", "eos"),
    "byte level with begin and end": (byte_level(bos=True), " ", "bos"),
    "byte level with neither": (byte_level(eos=False), " ", None),
    "metaspace that adds its begin": (metaspace(), "", "bos"),
    "metaspace that adds nothing": (metaspace(added=False), "", "bos"),
    "words": (words(), "", None),
}


@pytest.mark.parametrize(("tokenizer", "lead", "first"), TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_stimulus_is_the_first_token_once_and_then_the_words_as_they_are_later(
    tokenizer: Any, lead: str, first: str | None
) -> None:
    assert leading_space(tokenizer) == lead
    expected = None if first is None else getattr(tokenizer, f"{first}_token_id")
    assert first_token(tokenizer) == expected
    ordered, shuffled, _ = encode(tokenizer, TEXTS, context=32)
    assert sorted(ordered) == sorted(shuffled), "shuffling words must not change the tokens"
    assert list(ordered).count(expected) == (expected is not None)
    assert expected is None or ordered[0] == expected
    decoded = tokenizer.decode(ordered[0 if expected is None else 1 :])
    assert decoded.split() == TEXTS[0].split() or decoded.replace("▁", " ").split() == TEXTS[0].split()


def test_without_the_leading_space_shuffling_would_change_the_tokens() -> None:
    tokenizer = byte_level()
    ordered, shuffled = (tokenizer(text)["input_ids"] for text in TEXTS[:2])
    assert sorted(ordered) != sorted(shuffled)


def test_a_tokenizer_that_adds_its_first_token_against_orders_does_not_get_it_twice() -> None:
    class Stubborn:
        """Adds its beginning token whatever it is told."""

        bos_token_id = 0

        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            return {"input_ids": [0, *(len(word) for word in text.split())]}

    assert encode(Stubborn(), ["a bc def"]) == [(0, 1, 2, 3)]


def test_a_text_longer_than_the_context_is_refused_with_both_lengths() -> None:
    tokenizer = words()
    with pytest.raises(ValueError, match=r"'the cat sat on the mat' is 6 tokens long and the model takes 5; shorten"):
        encode(tokenizer, TEXTS, context=5)
    assert len(encode(tokenizer, TEXTS, context=6)) == 3
    assert len(encode(tokenizer, TEXTS)) == 3


def test_a_text_of_one_token_is_refused_because_position_0_is_never_read() -> None:
    with pytest.raises(ValueError, match=r"'cat' gives 1 token\(s\), and position 0 is never read"):
        encode(words(), ["the cat", "cat"])
    assert len(encode(metaspace(), ["the"])[0]) >= 2


def test_what_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(ValueError, match="str cannot be called; give one as transformers"):
        encode("gpt2", TEXTS)

    def silent(text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": []}

    with pytest.raises(ValueError, match="gives no token for the text"):
        encode(silent, TEXTS)


@pytest.mark.parametrize("name", ["byte level with end", "metaspace that adds its begin", "words"])
def test_an_answer_has_the_ids_that_follow_its_prompt(name: str) -> None:
    tokenizer = TOKENIZERS[name][0]
    prompt, answer = "the cat sat on the", " mat"
    (ids,) = encode_answers(tokenizer, [prompt], [answer])
    (whole,) = encode(tokenizer, [prompt + answer])
    assert whole[-len(ids) :] == ids
    assert encode(tokenizer, [prompt])[0] + ids == whole


def test_an_answer_that_melts_into_its_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="'t' does not begin with a token of its own after the prompt 'the ca'"):
        encode_answers(byte_level(), ["the ca"], ["t"])


def test_a_text_that_brings_a_space_of_its_own_starts_like_the_others() -> None:
    for tokenizer, _, _ in TOKENIZERS.values():
        with_space, without = encode(tokenizer, [" the cat", "the cat"])
        assert with_space == without
