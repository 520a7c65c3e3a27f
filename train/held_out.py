"""What no training text may contain: the stimuli that the model is measured with."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

_WORD = re.compile(r"\w+|[^\w\s]")
_KEY = 3
"""Words that a held-out text is looked up by; a shorter text is found by all it has."""


class HeldOut:
    """Recognises held-out texts, whole or inside a longer text: `text in held_out` is asked of every draw.

    Case, spacing and the mark at the end make no difference. A prompt is never seen as a whole, since text goes
    on where it stops, so containment is the only rule that keeps prompts out.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
        for words in {_words(text) for text in texts} - {()}:
            self._texts[words[:_KEY]].append(words)
        self._short = any(len(key) < _KEY for key in self._texts)

    def __contains__(self, text: str) -> bool:
        words = _words(text)
        for start in range(len(words)):
            for length in range(1, _KEY + 1) if self._short else (_KEY,):
                for held in self._texts.get(words[start : start + length], ()):
                    if words[start : start + len(held)] == held:
                        return True
        return False


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold().rstrip(".?! ")))
