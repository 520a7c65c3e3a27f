"""Emergence: what can be said of every domain of a logbook, when each appeared, and in which order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.judge.doubts import doubts
from observatory.review.judge.evidence import LEVELS, Criteria, evidence, lacking, observations
from observatory.review.judge.onset import OnsetInterval, crossings, interval
from observatory.review.judge.order import Order, order_probabilities
from observatory.review.judge.rise import FEWEST, Rise, Sigmoid, describe_rise, midpoints
from observatory.review.judge.verdict import UNKNOWN, Verdict, verdict

_UNFITTED = OnsetInterval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Onset:
    """When a region appeared, by the index of the readout that the verdict is told of."""

    crossing: float
    """The step at which E passed the floor for two observations running, interpolated in log(1 + step), or inf."""
    crossing_interval: OnsetInterval
    """Over resampled stimuli with fixed regions: 95%, and the share of resamples in which it never does."""
    rise: Rise
    """A sigmoid, or why none fits and a single change instead."""
    midpoint_interval: OnsetInterval
    """Of the sigmoid's middle, over the same resamples; nan where there is none, as with few observations."""
    draws: Array
    """The crossing in each resample; paired over domains and runs of one battery."""


@dataclass(frozen=True)
class Emergence:
    """The verdicts on a logbook: all of it follows from what was recorded, and needs no model."""

    criteria: Criteria
    steps: tuple[int, ...]
    tokens: tuple[int, ...]
    verdicts: tuple[Verdict, ...]
    onsets: Mapping[str, Onset]
    """Of the domains that emerged at some time."""
    orders: tuple[Order, ...]
    """Of those same domains, the most probable first."""
    notes: tuple[str, ...]
    """What a reader should know before believing it."""

    def tokens_at(self, step: float) -> float:
        """Tokens seen by a step between observations."""
        return float(np.interp(step, self.steps, self.tokens)) if math.isfinite(step) else step

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not a number is null, and a step that is never reached is "never"."""
        content = asdict(self)
        for onset in content["onsets"].values():
            del onset["draws"]
        return {"format": "observatory-emergence", "format_version": "1.0", **plain(content)}


def emergence(logbook: xr.Dataset, criteria: Criteria | None = None) -> Emergence:
    """Judges a logbook. ValueError where it is none of regions; an honest "can't say" where its data do not suffice."""
    criteria = criteria or Criteria()
    looked, notes = observations(logbook)
    domains = [str(name) for name in looked["domain"].values]
    steps = tuple(int(step) for step in looked["step"].values)
    tokens = tuple(int(count) for count in looked["tokens"].values) if "tokens" in looked else ()
    if reason := lacking(looked):
        unknown = tuple(_unknown(domain, reason) for domain in domains)
        return Emergence(criteria, steps, tokens, unknown, {}, (), notes)
    found = evidence(looked, criteria)
    verdicts = tuple(verdict(found, domain) for domain in domains)
    onsets = {one.domain: _onset(found, one) for one in verdicts if any(one.episodes.values())}
    orders = (
        tuple(order_probabilities({name: onset.draws for name, onset in onsets.items()})) if len(onsets) > 1 else ()
    )
    return Emergence(criteria, steps, tokens, verdicts, onsets, orders, (*notes, *_notes(logbook, found, verdicts)))


def _onset(found: xr.Dataset, judged: Verdict) -> Onset:
    assert judged.readout is not None  # only a domain that emerged has an onset
    here = found.sel(domain=judged.domain, space=judged.readout.space, pooling=judged.readout.pooling)
    steps, index = found["step"].values, here["index"].values
    draws = here["draws"].transpose("draw", "step").values
    floor = float(here["floor"])
    crossed = crossings(steps, draws, floor)
    rise = describe_rise(steps, index)
    return Onset(
        crossing=float(crossings(steps, index, floor)),
        crossing_interval=interval(crossed),
        rise=rise,
        midpoint_interval=interval(midpoints(steps, draws))
        if isinstance(rise.shape, Sigmoid) and np.isfinite(draws).all(0).sum() >= FEWEST
        else _UNFITTED,
        draws=crossed,
    )


def _notes(logbook: xr.Dataset, found: xr.Dataset, verdicts: tuple[Verdict, ...]) -> list[str]:
    notes = []
    if int(found["step"][0]) > 0:
        notes.append("step 0 was not observed: growth is judged against the untrained twins instead")
    silent = found["index"].isnull().all(("space", "pooling"))
    for domain in found["domain"].values:
        steps = found["step"].values[silent.sel(domain=domain).values]
        if 0 < len(steps) < found.sizes["step"]:
            notes.append(f"{domain}: {len(steps)} observations say nothing, the last of them at step {steps[-1]}")
    order = [verdict for verdict in verdicts if verdict.episodes["selective"]]
    together = [one.domain for one in order if sum(_overlap(one, other) for other in order) > 1]
    if together:
        notes.append(
            f"{', '.join(together)} emerged between observations that overlap: their order rests on interpolation"
        )
    if missed := logbook.sizes.get("gap", 0):
        notes.append(
            "1 observation that was due is missing"
            if missed == 1
            else f"{missed} observations that were due are missing"
        )
    notes += [f"the doctor of checkpoints says, {one['severity']}: {one['text']}" for one in doubts(logbook)]
    return notes


def _overlap(one: Verdict, other: Verdict) -> bool:
    a, b = one.episodes["selective"][0], other.episodes["selective"][0]
    return (a.after is None or a.after < b.by) and (b.after is None or b.after < a.by)


def _unknown(domain: str, reason: str) -> Verdict:
    return Verdict(
        domain, UNKNOWN, reason, None, math.nan, (math.nan, math.nan), math.nan, UNKNOWN, dict.fromkeys(LEVELS, ())
    )


def plain(value: Any) -> Any:
    """Values that JSON knows; NaN becomes null, and infinity, a step never reached, "never"."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "never" if value == math.inf else None
    return value
