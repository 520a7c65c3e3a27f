"""Everything in a run that has a time, on one axis: regions, what the model can do, losses, and instruments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from zlib import crc32

import numpy as np
import xarray as xr

from observatory.review.effects.change import Halfway, Series, halfway
from observatory.review.effects.competence import curves
from observatory.review.effects.headlines import headline_names, headlines
from observatory.review.effects.series import region_series, series
from observatory.review.judge.emergence import Emergence, Onset, emergence
from observatory.review.judge.evidence import LEVELS, Criteria, evidence, lacking, observations
from observatory.review.judge.order import Precedence, precedence
from observatory.review.judge.verdict import Verdict

REGION, ABILITY, LOSS, INSTRUMENT = "region", "competence", "loss", "instrument"
_MEASURES = {"margin": "margin", "loss": "held-out loss"}
_TRAINING = "train_loss"
_DRAWS = 500


@dataclass(frozen=True)
class Milestone:
    """One thing that changes, and when."""

    name: str
    """By which the command `lead` knows it."""
    label: str
    kind: str
    """REGION, ABILITY, LOSS or INSTRUMENT."""
    domain: str
    """Whose it is; empty for what is of no domain."""
    curve: Series | None
    halfway: Halfway | None
    """When it has gone half of its way: one measure for all, by which they are compared."""
    reason: str
    """Why there is no such time; empty where there is one."""
    verdict: Verdict | None = None
    onset: Onset | None = None
    """Of a region that emerged, when E passed its floor."""

    @property
    def step(self) -> float:
        """Where it stands among the others: of a region its onset, else half of the way; infinite if there is none."""
        if self.verdict is None:
            return inf if self.halfway is None else self.halfway.step
        first = next(iter(self.verdict.episodes[LEVELS[0]]), None)
        if first is None or first.after is None:
            return inf if first is None else 0.0
        return self.onset.crossing if self.onset is not None and isfinite(self.onset.crossing) else float(first.by)


def milestones(logbook: xr.Dataset) -> list[Milestone]:
    """The earliest first; what has no time stands at the end, with its reason."""
    if reason := no_milestones(logbook):
        raise ValueError(f"there is nothing to set on one time axis: {reason}")
    logbook = logbook.drop_dims([dim for dim in logbook.dims if str(dim).endswith("_unit")])  # most of it, not needed
    return sorted((*_of_regions(logbook), *_of_series(logbook), *of_headlines(logbook)), key=lambda one: one.step)


def no_milestones(logbook: xr.Dataset) -> str | None:
    """Why there is nothing to show, if so; one kind alone has a figure of its own."""
    there = (
        "contrast_index" in logbook,
        bool(curves(logbook)),
        _has_loss(logbook),
        any(np.isfinite(logbook[name].values.astype(float)).any() for name in headline_names(logbook)),
    )
    if there[-1] or sum(there) > 1:
        return None
    return "no instrument but one has recorded a number a step, such as contrast beside massive"


def precedences(found: Sequence[Milestone]) -> Mapping[tuple[str, str], Precedence]:
    """By names: how often the one has gone half of its way before the other, over replicates.

    Of those whose noise is known. There are many pairs: of twenty, one is on the wrong side of 95% by chance.
    """
    drawn = {one.name: one.halfway.draws for one in found if one.halfway is not None and one.halfway.draws.size}
    return precedence(drawn) if len(drawn) > 1 else {}


def _of_regions(logbook: xr.Dataset) -> Iterator[Milestone]:
    if "contrast_index" not in logbook:
        return
    judged: Emergence = emergence(logbook)
    looked, _ = observations(logbook)
    found = None if lacking(looked) else evidence(looked, Criteria())
    for one in judged.verdicts:
        curve = None if found is None or one.readout is None else region_series(found, one.domain, one.readout)
        half, reason = (None, one.reason) if curve is None else _halfway(one.domain, curve)
        onset = judged.onsets.get(one.domain)
        yield Milestone(one.domain, one.domain, REGION, one.domain, curve, half, reason, one, onset)


def _of_series(logbook: xr.Dataset) -> Iterator[Milestone]:
    known = set(curves(logbook))
    domains = [str(name) for name in logbook["domain"].values] if "domain" in logbook.coords else []
    named = [
        (f"{measure}/{domain}", f"{word}, {domain}", ABILITY, domain)
        for measure, word in _MEASURES.items()
        for domain in domains
        if f"{measure}/{domain}" in known
    ]
    if _has_loss(logbook):
        named.append((_TRAINING, "training loss", LOSS, ""))
    if logbook.sizes.get("benchmark", 0):
        named += [(str(name), str(name), ABILITY, "") for name in logbook["benchmark"].values]
    for name, label, kind, domain in named:
        curve = series(logbook, name)
        yield Milestone(name, label, kind, domain, curve, *_halfway(name, curve))


def of_headlines(logbook: xr.Dataset) -> list[Milestone]:
    """What instruments say of themselves, the earliest first."""
    found = [
        Milestone(one.name, one.label, INSTRUMENT, "", one.curve, *_halfway(one.name, one.curve))
        for one in headlines(logbook)
    ]
    return sorted(found, key=lambda one: one.step)


def _halfway(name: str, curve: Series) -> tuple[Halfway | None, str]:
    """Replicates of one number are drawn together: those of regions are of one resample. Errors are independent."""
    seed = 0 if curve.replicates is not None else crc32(name.encode())
    found = halfway(curve, _DRAWS, seed)
    return (None, found) if isinstance(found, str) else (found, "")


def _has_loss(logbook: xr.Dataset) -> bool:
    return _TRAINING in logbook and bool(np.isfinite(logbook[_TRAINING]).any())
