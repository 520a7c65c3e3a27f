"""Whole numbers below one hundred in words."""

from __future__ import annotations

from observatory.stimuli.generators.words import words

ONES = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")


def spelled(number: int) -> str:
    """`21` is "twenty one": two words, no hyphen."""
    if not 0 <= number < 100:
        raise ValueError(f"only numbers from 0 to 99 are spelled here, got {number}")
    if number < 20:
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (f" {ONES[ones]}" if ones else "")
