"""Where the built-in battery comes from: a grammar for every templated family.

The demo's corpus draws from the same grammars; it leaves out what the battery holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from observatory.stimuli.generators import language, math, physical, social
from observatory.stimuli.generators.contrast import Contrast as Contrast
from observatory.stimuli.generators.contrast import Grammar as Grammar

GRAMMARS: Mapping[str, Mapping[str, Grammar]] = {
    "language": language.GRAMMARS,
    "math": math.GRAMMARS,
    "physical": physical.GRAMMARS,
    "social": social.GRAMMARS,
}
"""Domain -> family -> grammar."""
