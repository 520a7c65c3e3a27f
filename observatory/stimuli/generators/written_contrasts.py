"""How contrasts are written by hand: the target on one line, its control on the next, a blank line after."""

from __future__ import annotations

from collections.abc import Sequence

from observatory.stimuli.generators.contrast import Contrast


def written(text: str) -> Sequence[Contrast]:
    """The contrasts of such a text; a ValueError where a target and its control differ in length."""
    contrasts = [Contrast(*block.splitlines()) for block in text.strip().split("\n\n")]
    for target, control in contrasts:
        if len(target.split()) != len(control.split()):
            raise ValueError(f"these must have the same number of words: {target!r} and {control!r}")
    return contrasts
