"""Do domains of one group lean on each other's units more than on those of another group: formal against functional?

By lesions: what tasks of a domain lose without another domain's region, beyond matched random units. By attribution:
how much of what a task's own circuit does for its margin falls on another task's circuit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from observatory.observation import Array
from observatory.review.effects.lesion_effects import drawn_effects, lesion_steps, no_lesions
from observatory.review.sharing.captured import captured
from observatory.review.sharing.circuit_record import Choice, circuit_record, looked, no_circuits
from observatory.review.sharing.overlap import Tasks, alike

GROUPS: Mapping[str, str] = {"language": "formal"}
"""The group of a domain; of one that is not named here, OTHERWISE (Mahowald et al. 2024)."""
OTHERWISE = "functional"


@dataclass(frozen=True)
class Road:
    """From the domains whose units are taken to those whose tasks are looked at."""

    source: str
    target: str
    own: bool
    """Whether the two are one domain."""

    def __str__(self) -> str:
        """In words."""
        if self.own:
            return f"{self.source}, own domain"
        return f"{self.source}, other domain" if self.source == self.target else f"{self.source} to {self.target}"

    def cells(self, domains: Sequence[str], groups: Mapping[str, str]) -> Array:
        """(source, target): which pairs of what has these domains it is about."""
        group = np.array([groups.get(domain, OTHERWISE) for domain in domains])
        found: Array = (group == self.source)[:, None] & (group == self.target) & (alike(domains) == self.own)
        return found


def roads(domains: Sequence[str], groups: Mapping[str, str] = GROUPS) -> tuple[Road, ...]:
    """Those that there are: within domains, within a group across domains, across groups."""
    names = list(dict.fromkeys(groups.get(domain, OTHERWISE) for domain in domains))
    every = [*(Road(name, name, True) for name in names), *(Road(one, to, False) for one in names for to in names)]
    return tuple(one for one in every if one.cells(domains, groups).any())


def no_faithfulness(logbook: xr.Dataset) -> str | None:
    """Why there is nothing to draw, if so."""
    reasons = no_lesions(logbook), no_attribution(logbook)
    return "; ".join(reason for reason in reasons if reason) if all(reasons) else None


def no_attribution(logbook: xr.Dataset, choice: Choice | None = None) -> str | None:
    """Why nothing can be said by attribution, if so."""
    choice = choice or Choice()
    if reason := no_circuits(logbook, choice):
        return reason
    name = f"circuits_top_score_{choice.space}"
    return None if name in logbook else f"{name} was not recorded; observe again"


def by_lesions(logbook: xr.Dataset, groups: Mapping[str, str] = GROUPS) -> xr.Dataset:
    """By `step` and `road`: what is lost of margin, in nats, mean over pairs of domains with a region and with tasks.

    `low` and `high` are 95% intervals, over templates and masks drawn anew.
    """
    steps = lesion_steps(logbook)
    domains = [str(domain) for domain in steps["lesioned"].values]
    effect, drawn = drawn_effects(steps, "margin")
    drawn = np.where(np.isfinite(effect)[:, None], drawn, np.nan)
    found = roads(domains, groups)
    cells = [road.cells(domains, groups) for road in found]
    value = np.stack([_mean(effect[:, one]) for one in cells], -1)
    low, high = np.quantile(np.stack([_mean(drawn[:, :, one]) for one in cells], -1), (0.025, 0.975), axis=1)
    pairs = np.stack([np.isfinite(effect[:, one]).sum(-1) for one in cells], -1)
    return _dataset(steps, found, value, low, high, pairs)


def by_attribution(logbook: xr.Dataset, groups: Mapping[str, str] = GROUPS, choice: Choice | None = None) -> xr.Dataset:
    """By `step` and `road`: the share captured above chance, mean over pairs of tasks done, of other kind and format.

    `low` and `high` are 95% intervals over kinds of tasks, by leaving out one after another.
    """
    choice = choice or Choice()
    record, steps = circuit_record(logbook, choice), looked(logbook)
    rank = f"{choice.space}_rank"
    scores = steps[f"circuits_top_score_{choice.space}"].transpose("step", "task", rank).values.astype(float)
    done, share, tasks = record.done(choice.alpha), record.place(choice.share), record.tasks
    found = roads(tasks.domains, groups)
    rows = []
    for place in range(len(record.steps)):
        size = int(np.nanmax(record.sizes[place, share]))
        shares = captured(record.ranked[place], scores[place], size, record.units[place])
        known = np.where(np.outer(done[place], done[place]) & _apart(tasks), shares, np.nan)
        rows.append([_jackknifed(known, road.cells(tasks.domains, groups), tasks.own_kinds()) for road in found])
    value, low, high, pairs = np.moveaxis(np.array(rows, float).reshape(len(rows), len(found), 4), -1, 0)
    return _dataset(steps, found, value, low, high, pairs)


def _apart(tasks: Tasks) -> Array:
    """Pairs of tasks that share neither answer words nor the form of their prompts."""
    found: Array = ~alike(tasks.own_kinds())
    return found & ~alike(tasks.formats) if tasks.formats else found


def _jackknifed(values: Array, cells: Array, kinds: Sequence[str]) -> tuple[float, float, float, int]:
    """Mean over known cells, its interval, and of how many it is; no interval if it hangs on one kind."""
    known = cells & np.isfinite(values)
    if not known.any():
        return np.nan, np.nan, np.nan, 0
    mean, count = float(values[known].mean()), int(known.sum())
    label = np.array(kinds)
    there = np.unique(label[known.any(0) | known.any(1)])
    without = []
    for kind in there:
        rest = known & (label != kind)[:, None] & (label != kind)
        without.append(float(values[rest].mean()) if rest.any() else np.nan)
    left, many = np.array(without), len(there)
    half = float(stats.t.ppf(0.975, many - 1)) * np.sqrt((many - 1) / many * np.square(left - left.mean()).sum())
    return mean, mean - half, mean + half, count


def _mean(values: Array) -> Array:
    """Over the last axis, of what is known."""
    known = np.isfinite(values)
    count = known.sum(-1)
    found: Array = np.where(known, values, 0.0).sum(-1) / np.where(count > 0, count, np.nan)
    return found


def _dataset(
    steps: xr.Dataset, found: Sequence[Road], value: Array, low: Array, high: Array, pairs: Array
) -> xr.Dataset:
    dims = ("step", "road")
    tokens = steps["tokens"].values if "tokens" in steps else np.zeros(steps.sizes["step"], int)
    return xr.Dataset(
        {"value": (dims, value), "low": (dims, low), "high": (dims, high), "pairs": (dims, pairs.astype(int))},
        {"step": steps["step"].values, "tokens": ("step", tokens), "road": [str(road) for road in found]},
    )
