"""The same logbook, judged by other settings: how much of what is said hangs on a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.judge.evidence import Criteria, judged_by, observations, weighed
from observatory.review.judge.onset import OnsetInterval, crossings, interval
from observatory.review.judge.verdict import Verdict, verdict
from observatory.review.sharing.circuit_record import Choice, looked
from observatory.review.sharing.circuits import circuits
from observatory.review.sharing.sharing_verdict import SharingVerdict, sharing_verdict
from observatory.review.sharing.task_sharing import Effect


@dataclass(frozen=True)
class Judged:
    """A domain by one pair of alpha and delta."""

    verdict: Verdict
    crossing: float
    """The step at which E of the verdict's readout passes its floor, or inf; NaN where there is no readout."""
    interval: OnsetInterval
    """Of that over resampled stimuli, 95%."""


@dataclass(frozen=True)
class SharingAt:
    """What the tasks of the last step share, if circuits are so large."""

    share: float
    effects: Mapping[str, Effect]
    verdict: SharingVerdict


def by_criteria(logbook: xr.Dataset, settings: Sequence[Criteria]) -> list[dict[str, Judged]]:
    """Of each setting, every domain by its name."""
    looked_at, _ = observations(logbook)
    found = weighed(looked_at)
    return [_by(judged_by(found, criteria)) for criteria in settings]


def by_share(logbook: xr.Dataset, choice: Choice) -> tuple[list[SharingAt], str]:
    """Of every share that was recorded, ascending; or none of them, and why."""
    seen = looked(logbook)
    ends = seen.isel(step=sorted({0, seen.sizes["step"] - 1}))  # the first has the twins
    (*_, last) = circuits(ends, choice).steps
    found = [
        SharingAt(share, one.effects, sharing_verdict(one, choice.alpha))
        for share, one in sorted(last.by_share.items())
    ]
    return found, "" if found else "; ".join(last.verdict.reasons)


def _by(found: xr.Dataset) -> dict[str, Judged]:
    return {str(domain): _of_domain(found, str(domain)) for domain in found["domain"].values}


def _of_domain(found: xr.Dataset, domain: str) -> Judged:
    judged = verdict(found, domain)
    if judged.readout is None:
        return Judged(judged, np.nan, OnsetInterval(np.nan, np.nan, np.nan))
    here = found.sel(domain=domain, space=judged.readout.space, pooling=judged.readout.pooling)
    steps, floor = found["step"].values, float(here["floor"])
    draws: Array = here["draws"].transpose("draw", "step").values
    return Judged(
        judged, float(crossings(steps, here["index"].values, floor)), interval(crossings(steps, draws, floor))
    )
