"""Where the built-in battery comes from: a grammar for every templated family and for every task.

The demo's corpus draws from the same grammars and leaves out what the battery holds (`Battery.texts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from observatory.stimuli.generators import (
    language,
    language_tasks,
    math,
    math_tasks,
    physical,
    physical_tasks,
    social,
    social_tasks,
    surface,
)
from observatory.stimuli.generators.contrast import Contrast as Contrast
from observatory.stimuli.generators.contrast import Grammar as Grammar
from observatory.stimuli.generators.prompt_formats import TaskGrammar as TaskGrammar
from observatory.stimuli.generators.prompt_formats import task_grammars
from observatory.stimuli.generators.written_language import CONTRASTS as WRITTEN_LANGUAGE
from observatory.stimuli.generators.written_math import CONTRASTS as WRITTEN_MATH
from observatory.stimuli.generators.written_physical import CONTRASTS as WRITTEN_PHYSICAL
from observatory.stimuli.generators.written_social import CONTRASTS as WRITTEN_SOCIAL

GRAMMARS: Mapping[str, Mapping[str, Grammar]] = {
    "language": language.GRAMMARS,
    "math": math.GRAMMARS,
    "physical": physical.GRAMMARS,
    "social": social.GRAMMARS,
}
"""Domain -> family -> grammar."""

SURFACE_GRAMMARS: Mapping[str, Mapping[str, Grammar]] = surface.GRAMMARS
"""Domain -> family -> grammar of a contrast that is not matched."""

WRITTEN: Mapping[str, Mapping[str, Sequence[Contrast]]] = {
    "language": {"written": WRITTEN_LANGUAGE},
    "math": {"written": WRITTEN_MATH},
    "physical": {"written": WRITTEN_PHYSICAL},
    "social": {"written": WRITTEN_SOCIAL},
}
"""Domain -> family -> the contrasts that were written by hand. No corpus may hold them."""

TASK_GRAMMARS: Mapping[str, Mapping[str, TaskGrammar]] = {
    "language": task_grammars(language_tasks.KERNELS),
    "math": task_grammars(math_tasks.KERNELS),
    "physical": task_grammars(physical_tasks.KERNELS),
    "social": task_grammars(social_tasks.KERNELS),
}
"""Domain -> task -> grammar. `pair.clean + pair.correct` is a text that tells the truth, as is
`pair.corrupted + pair.incorrect`."""
