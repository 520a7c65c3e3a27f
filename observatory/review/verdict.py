"""When a level holds for good enough: two observations running, in the same readout; and when it is lost again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.evidence import CONDITIONS, LEVELS, READOUT

NONE, UNKNOWN = "none", "can't say"


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
    """The first of two observations running at which it holds."""
    lost_after: int | None = None
    lost_by: int | None = None
    """The first of two observations running at which it holds no more; None while it lasts."""


@dataclass(frozen=True)
class Verdict:
    """What can be said of one domain."""

    domain: str
    level: str
    """The highest level that emerged and was not lost again; `none`, or `can't say`."""
    reason: str
    """Why no verdict can be given, or which conditions of the next level fail at the last observation."""
    readout: Readout | None
    """The one that everything here is told of: the first to emerge, else the one that is nearest to it."""
    index: float
    """E at the last observation that says anything."""
    interval: tuple[float, float]
    """Of E over stimuli, 95%."""
    floor: float
    """What E had to be above."""
    holds_at_last: str
    """The highest level that holds at the last observation alone."""
    episodes: dict[str, tuple[Episode, ...]]
    """Of each level, over all readouts."""


def verdict(evidence: xr.Dataset, domain: str) -> Verdict:
    """Judges one domain by the evidence of all its readouts."""
    here = evidence.sel(domain=domain)
    steps = evidence["step"].values
    known = here["level_p"].notnull().any(("level", *READOUT)).values
    states = {level: _confirmed(here["holds"].sel(level=level)) for level in LEVELS}
    episodes = {level: _episodes(steps, np.logical_or.reduce(states[level], axis=-1), known) for level in LEVELS}
    readout = _readout(here, states["selective"])
    if not known.any():
        return Verdict(domain, UNKNOWN, _why_unknown(here), None, np.nan, (np.nan, np.nan), np.nan, NONE, episodes)
    last = here.isel(step=int(np.flatnonzero(known)[-1]))
    at = last.sel(space=readout.space, pooling=readout.pooling)
    held_now = [level for level in LEVELS if bool(last["holds"].sel(level=level).any())]
    lasting = [level for level in LEVELS if episodes[level] and episodes[level][-1].lost_by is None]
    level = lasting[-1] if lasting else NONE
    if known.sum() < 2:
        level = UNKNOWN
        held = held_now[-1] if held_now else "no level"
        reason = f"there is one observation, at which {held} holds; emergence takes two running"
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
        holds_at_last=held_now[-1] if held_now else NONE,
        episodes=episodes,
    )


def _confirmed(holds: xr.DataArray) -> Array:
    """(step, readout): whether it holds here and at the observation before or after."""
    held = holds.transpose("step", *READOUT).values.reshape(holds.sizes["step"], -1)
    pair = held[:-1] & held[1:]
    never = np.zeros_like(held[:1])
    confirmed: Array = np.concatenate([pair, never]) | np.concatenate([never, pair])
    return confirmed


def _episodes(steps: Array, on: Array, known: Array) -> tuple[Episode, ...]:
    """A single observation without the level is no loss; one that says nothing is none either."""
    found: list[Episode] = []
    places = np.flatnonzero(known)
    lasting: Episode | None = None
    for number, place in enumerate(places):
        before = places[number - 1] if number else None
        gone = not on[place] and number + 1 < len(places) and not on[places[number + 1]]
        if lasting is None and on[place]:
            lasting = Episode(after=None if before is None else int(steps[before]), by=int(steps[place]))
        elif lasting is not None and gone:
            found.append(Episode(lasting.after, lasting.by, int(steps[before]), int(steps[place])))
            lasting = None
    return (*found, lasting) if lasting else tuple(found)


def _readout(here: xr.Dataset, confirmed: Array) -> Readout:
    """The first to be confirmed; of several at once, or of none, the one whose index stands out most at the end."""
    spread = here["draws"].std("draw")
    score = ((here["index"] - here["floor"]) / spread.where(spread > 0)).transpose("step", *READOUT)
    flat = score.values.reshape(len(confirmed), -1)
    first = np.where(confirmed.any(0), confirmed.argmax(0), len(confirmed))
    finite = np.isfinite(flat)
    latest = np.array(
        [flat[finite[:, one], one][-1] if finite[:, one].any() else -np.inf for one in range(flat.shape[1])]
    )
    best = int(np.lexsort((-latest, first))[0])
    space, pooling = np.unravel_index(best, [here.sizes[dim] for dim in READOUT])
    return Readout(str(here["space"].values[space]), str(here["pooling"].values[pooling]))


def _failing(last: xr.Dataset, level: str) -> str:
    """What the next level lacks in the readout that is nearest to it."""
    further = LEVELS[LEVELS.index(level) + 1 :] if level in LEVELS else LEVELS
    if not further:
        return ""
    if bool(last["holds"].sel(level=further[0]).any()):
        return f"{further[0]} holds at the last observation, and takes two running"
    p = last["level_p"].sel(level=further[0]).fillna(2.0).transpose(*READOUT).values
    space, pooling = np.unravel_index(int(p.argmin()), p.shape)
    nearest = Readout(str(last["space"].values[space]), str(last["pooling"].values[pooling]))
    conditions = last["condition_p"].sel(space=nearest.space, pooling=nearest.pooling)
    needed = [name for one in LEVELS[: LEVELS.index(further[0]) + 1] for name in CONDITIONS[one]]
    worst = max(needed, key=lambda name: float(conditions.sel(condition=name)))
    found = float(conditions.sel(condition=worst))
    return f"not {further[0]}: {worst} has p = {found:.2g} in the nearest readout ({nearest})"


def _why_unknown(here: xr.Dataset) -> str:
    if not np.isfinite(here["index"]).any():
        return (
            "the index is missing at every observation: a domain needs two families of stimuli or more, and units "
            "whose activations vary and are finite"
        )
    return "the untrained twins have no spread to compare with"
