"""When a level has emerged, which takes two observations running that lie apart, and when it is lost again."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.judge.evidence import CONDITIONS, GUARD, LEVELS, READOUT

NONE, UNKNOWN = "none", "can't say"
LASTING = 0.25
"""By how much of its steps training must have gone on while a level held: observations at steps 10 and 12 are nearly of
the same network, and confirm each other in whatever it does (docs/emergence.md)."""


@dataclass(frozen=True)
class Readout:
    """Where units are looked for, and how their activations are pooled over tokens."""

    space: str
    pooling: str

    def __str__(self) -> str:
        return f"{self.space}, {self.pooling}"


@dataclass(frozen=True)
class Episode:
    """From emergence to loss, each known to lie between two observations only."""

    after: int | None
    """The last observation before, at which the level did not hold; None if it was there from the start."""
    by: int
    """The first of the observations running at which it holds."""
    lost_after: int | None = None
    lost_by: int | None = None
    """The first of the observations running at which it holds no more; None while it lasts."""


@dataclass(frozen=True)
class Verdict:
    """What can be said of one domain."""

    domain: str
    level: str
    """The highest level that emerged and was not lost again; `none`, or `can't say`."""
    reason: str
    """Why no verdict can be given, or which conditions of the next level fail at the last observation."""
    readout: Readout | None
    """The one that numbers here are told of: which shows the domain most often, or is nearest to it at the end."""
    index: float
    """E at the last observation that says anything."""
    interval: tuple[float, float]
    """Of E over stimuli, 95%."""
    floor: float
    """What E had to be above."""
    holds_at_last: str
    """The highest level that holds at the last observation alone; `can't say` where that one says nothing."""
    episodes: dict[str, tuple[Episode, ...]]
    """Of each level."""


def verdict(evidence: xr.Dataset, domain: str) -> Verdict:
    """Judges one domain by the evidence of all its readouts."""
    here = evidence.sel(domain=domain)
    steps = evidence["step"].values
    known = here["level_p"].notnull().any(("level", *READOUT)).values
    holds = {level: here["holds"].sel(level=level).values for level in LEVELS}
    episodes = {level: _episodes(steps, holds[level], known) for level in LEVELS}
    if not known.any():
        return Verdict(domain, UNKNOWN, _why_unknown(here), None, np.nan, (np.nan, np.nan), np.nan, UNKNOWN, episodes)
    latest = int(np.flatnonzero(known)[-1])
    last = here.isel(step=latest)
    readout = _readout(here, latest, emerged=bool(episodes[LEVELS[0]]))
    at = last.sel(space=readout.space, pooling=readout.pooling)
    held_now = [level for level in LEVELS if bool(last["holds"].sel(level=level))]
    lasting = [level for level in LEVELS if episodes[level] and episodes[level][-1].lost_by is None]
    level = lasting[-1] if lasting else NONE
    if reason := _too_little(evidence, known, held_now):
        level = UNKNOWN
    else:
        reason = _failing(last, level)
    return Verdict(
        domain=domain,
        level=level,
        reason=reason,
        readout=readout,
        index=float(at["index"]),
        interval=(float(at["low"]), float(at["high"])),
        floor=float(at["floor"]),
        holds_at_last=UNKNOWN if not known[-1] else held_now[-1] if held_now else NONE,
        episodes=episodes,
    )


def _sustained(held: Array, steps: Array) -> Array:
    """Where it holds until training has gone on for a quarter of its steps, at two observations running or more."""
    sustained = np.zeros_like(held)
    for first in np.flatnonzero(held):
        far = int(np.searchsorted(steps, (1 + LASTING) * steps[first]))
        last = max(int(first) + 1, far)
        if last < len(steps) and held[first : last + 1].all():
            sustained[first : last + 1] = True
    return sustained


def _episodes(steps: Array, holds: Array, known: Array) -> tuple[Episode, ...]:
    """A level is lost as it emerges: where it is gone until a quarter more steps.

    An observation that says nothing parts those that emergence takes, but not those that show that the level lasts.
    """
    found: list[Episode] = []
    places = np.flatnonzero(known)
    on = _sustained(holds, steps)
    gone = _sustained(~_sustained(holds[places], steps[places]), steps[places])
    lasting: Episode | None = None
    for number, place in enumerate(places):
        before = places[number - 1] if number else None
        if lasting is None and on[place]:
            lasting = Episode(after=None if before is None else int(steps[before]), by=int(steps[place]))
        elif lasting is not None and gone[number]:
            found.append(Episode(lasting.after, lasting.by, int(steps[before]), int(steps[place])))
            lasting = None
    return (*found, lasting) if lasting else tuple(found)


def _too_little(evidence: xr.Dataset, known: Array, held_now: list[str]) -> str:
    """Why nothing could have emerged, whatever the model has."""
    smallest, needed = evidence.attrs["smallest_p"], evidence.attrs["alpha_of_domain"]
    readouts = evidence.sizes["space"] * evidence.sizes["pooling"]
    if smallest > needed:
        return (
            f"{evidence.sizes['draw']} draws give the best of {readouts} readouts a p-value of {smallest:.2g} at the "
            f"least, and {needed:.2g} is needed among {evidence.sizes['domain']} domains; observe again with "
            f"ContrastLocalizer(draws={ceil(readouts / needed)})"
        )
    held = held_now[-1] if held_now else "no level"
    if known.sum() == 1:
        return f"there is one observation, at which {held} holds; emergence takes two running"
    if not (known[:-1] & known[1:]).any():
        return f"no two observations running say anything, and emergence takes two; at the last, {held} holds"
    return ""


def _readout(here: xr.Dataset, latest: int, emerged: bool) -> Readout:
    """Of a domain that emerged the one that shows it most often; else, and of several, the best at the end."""
    p = (
        here["level_p"]
        .sel(level=LEVELS[0])
        .fillna(2.0)
        .transpose("step", *READOUT)
        .values.reshape(len(here["step"]), -1)
    )
    often = (p <= here.attrs["alpha_of_readout"]).sum(0) if emerged else np.zeros(p.shape[1])
    last = here.isel(step=latest)
    spread = last["draws"].std("draw")
    clear = ((last["index"] - last["floor"]) / spread.where(spread > 0)).transpose(*READOUT).values.ravel()
    best = int(np.lexsort((-np.nan_to_num(clear, nan=-np.inf), p[latest], -often))[0])
    return _readout_at(here, best)


def _readout_at(here: xr.Dataset, place: int) -> Readout:
    space, pooling = np.unravel_index(place, [here.sizes[dim] for dim in READOUT])
    return Readout(str(here["space"].values[space]), str(here["pooling"].values[pooling]))


def _failing(last: xr.Dataset, level: str) -> str:
    """What the next level lacks in the readout that is nearest to it: the guard, or the largest p-value."""
    further = LEVELS[LEVELS.index(level) + 1 :] if level in LEVELS else LEVELS
    if not further:
        return ""
    if bool(last["holds"].sel(level=further[0])):
        return f"{further[0]} holds at the last observation, and takes two running"
    p = last["level_p"].sel(level=further[0]).fillna(2.0).transpose(*READOUT).values.ravel()
    needed = [name for one in LEVELS[: LEVELS.index(further[0]) + 1] for name in CONDITIONS[one]]
    return f"not {further[0]}: {_worst(last, needed, int(p.argmin()))} in the best readout"


def _worst(last: xr.Dataset, needed: list[str], place: int) -> str:
    readout = _readout_at(last, place)
    conditions = last["condition_p"].sel(space=readout.space, pooling=readout.pooling)
    p = {name: float(conditions.sel(condition=name)) for name in needed}
    guard = p.pop(GUARD)
    worst = max(p, key=p.__getitem__)
    if guard > last.attrs["alpha"]:
        worst, p = GUARD, {GUARD: guard}
    return f"p = {p[worst]:.2g} for {worst} ({readout})"


def _why_unknown(here: xr.Dataset) -> str:
    if not np.isfinite(here["index"]).any():
        return (
            "the index is missing at every observation: a domain needs two families of stimuli or more, and units "
            "whose activations vary and are finite"
        )
    return "the untrained twins have no spread to compare with"
