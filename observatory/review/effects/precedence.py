"""Whether alignment with an outside representation precedes performance in a run, as Shen et al. (2025) find of models.

Performance is what the model can do in its tasks and imported benchmarks, and its loss, held-out and in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from observatory.review.effects.alignment import alignments
from observatory.review.effects.competence import curves
from observatory.review.effects.lead import Lead, lead
from observatory.review.effects.lead_text import lead_text
from observatory.review.effects.series import OF_ALL_DOMAINS, series

Answer = Literal["confirmed", "denied", "open", "can't say"]
_LOSS = "train_loss"


@dataclass(frozen=True)
class Precedence:
    """One alignment beside one performance."""

    lead: Lead

    @property
    def answer(self) -> Answer:
        """By where each has gone half of its way, unless the best shift clearly says the opposite."""
        half = self.lead.halfway
        if half is None or half.interval is None:
            return "can't say"
        low, high = half.interval
        shift = self.lead.shift
        other_low, other_high = shift.interval if shift is not None and shift.interval is not None else (low, high)
        if low > 0:
            return "confirmed" if other_high >= 0 else "open"
        if high < 0:
            return "denied" if other_low <= 0 else "open"
        return "open"

    @property
    def sentence(self) -> str:
        """With the interval that it rests on."""
        claim = f"{self.lead.first} precedes {self.lead.second}: {self.answer}"
        half = self.lead.halfway
        if half is None or half.ratio_interval is None:
            return f"{claim}, because {self.lead.reason}"
        low, high = half.ratio_interval
        return f"{claim}; the latter is half-way at {half.ratio:.2g} [{low:.2g}, {high:.2g}] times the steps"

    @property
    def text(self) -> str:
        """The sentence, and below it both estimates."""
        return "\n".join([self.sentence, *(f"  {line}" for line in lead_text(self.lead).splitlines())])


def precedences(logbook: xr.Dataset, first: str | None = None) -> list[Precedence]:
    """Every alignment of a logbook, or any one curve, beside every performance."""
    firsts = alignments(logbook) if first is None else [first]
    beside = [series(logbook, name) for name in performances(logbook)]
    return [Precedence(lead(series(logbook, name), one)) for name in firsts for one in beside]


def performances(logbook: xr.Dataset) -> list[str]:
    """Names of `series`."""
    competence = list(OF_ALL_DOMAINS) if curves(logbook) else []
    benchmarks = [str(name) for name in logbook["benchmark"].values] if "benchmark" in logbook.coords else []
    loss = [_LOSS] if _LOSS in logbook and np.isfinite(logbook[_LOSS]).any() else []
    return [*competence, *benchmarks, *loss]
