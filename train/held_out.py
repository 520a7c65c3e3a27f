"""What no training text may contain: the stimuli that the model is measured with."""

from __future__ import annotations

from collections.abc import Iterable

from observatory.stimuli.battery import Battery


def _normal(text: str) -> str:
    """The text without what does not make it another sentence: case, spacing, the final mark."""
    return " ".join(text.casefold().split()).rstrip(".?! ")


class HeldOut:
    """Recognises held-out texts; `sentence in held_out` is asked of every sentence drawn."""

    def __init__(self, texts: Iterable[str] = (), prompts: Iterable[str] = ()) -> None:
        self._texts = frozenset(map(_normal, texts))
        # A prompt is met inside a sentence that completes it, so it is looked for as a beginning.
        self._prompts = frozenset(map(_normal, prompts))
        self._lengths = sorted({prompt.count(" ") + 1 for prompt in self._prompts})

    @classmethod
    def of(cls, battery: Battery) -> HeldOut:
        """All items, targets and controls alike, and all prompts of a battery."""
        families = [family for domain in battery.domains for family in domain.families]
        pairs = [pair for domain in battery.domains for task in domain.tasks for pair in task.pairs]
        return cls(
            texts=(text for family in families for item in family.items for text in (item.target, item.control)),
            prompts=(prompt for pair in pairs for prompt in (pair.clean, pair.corrupted)),
        )

    def __contains__(self, sentence: str) -> bool:
        normal = _normal(sentence)
        if normal in self._texts or normal in self._prompts:
            return True
        if not self._lengths:
            return False
        words = normal.split(" ")
        return any(" ".join(words[:length]) in self._prompts for length in self._lengths)

    def __len__(self) -> int:
        return len(self._texts) + len(self._prompts)
