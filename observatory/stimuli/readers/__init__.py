"""Stimuli that others have published, read into families and tasks from the reader's own copy."""

from __future__ import annotations

from observatory.stimuli.readers.blimp import read_blimp as read_blimp
from observatory.stimuli.readers.language_localizer import read_language_localizer as read_language_localizer
from observatory.stimuli.readers.llm_modularity import read_llm_modularity as read_llm_modularity
from observatory.stimuli.readers.outside import read_outside as read_outside
from observatory.stimuli.readers.theory_of_mind import read_theory_of_mind as read_theory_of_mind
