"""From which step on the model does a task when it is steered, from which when it is asked, and which comes first.

A margin has left its null where it is for two observations running above three things at once: one more untrained twin,
one more direction of no meaning (when steered), and zero; each one-sided at 5% over all tasks, or all domains
(Bonferroni), by Student's t, with the spread of these and the margin's own error over templates added up. Without that
error other templates, drawn for an interval, would soon be beyond a null by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.effects.spread import Spread
from observatory.review.judge.onset import crossings, interval, log_time
from observatory.review.judge.resampling import Clusters, owner, pooled, shares

WAYS = ("prompted", "steered")
ALPHA = 0.05
_NEEDED = ("hidden_pair_margin", "hidden_template", "hidden_control", "hidden_margin_twins")
_DRAWS = 500


@dataclass(frozen=True)
class Left:
    """When a margin left its null."""

    step: float
    """Infinite if it never did."""
    low: float
    high: float
    """95%, from other templates."""


@dataclass(frozen=True)
class Departure:
    """Of one task or domain, with templates drawn anew for both ways together."""

    name: str
    prompted: Left
    steered: Left
    lead: float
    """log(1 + tokens) at which the prompted margin left its null less that of the steered one: positive where steering
    was first, infinite where one of them never did, NaN where neither did. Of steps where no tokens are known."""
    interval: tuple[float, float]
    """95%, of the templates with which either did."""
    first: float
    """The probability that steering is first, a tie counting half."""

    def of(self, way: str) -> Left:
        return self.steered if way == "steered" else self.prompted


def no_hidden(logbook: xr.Dataset) -> str | None:
    """Why there is nothing to draw, if so."""
    if absent := [name for name in _NEEDED if name not in logbook]:
        return f"{absent[0]} was not recorded"
    if logbook.sizes["twin"] < 3:
        return f"{logbook.sizes['twin']} twins have too uncertain a spread; observe again with 3 or more"
    return None if hidden_steps(logbook).sizes["step"] else "no task was steered yet"


def hidden_steps(logbook: xr.Dataset) -> xr.Dataset:
    """The steps at which tasks were steered."""
    if "recorded" not in logbook:
        return logbook
    return logbook.isel(step=logbook["recorded"].sel(recorded_name="hidden_pair_margin").values.astype(bool))


def hidden(logbook: xr.Dataset) -> xr.Dataset:
    """Of each way, step and task, and domain: `task_margin` with `_low` and `_high`, 95% over templates, and its null.

    `task_null` is what has to be passed; `task_control_low` and `_high` hold 95% of directions that mean nothing, and
    `task_twins_low` and `_high` of untrained twins.
    """
    looked = _checked(logbook)
    values, clusters = _by_pair(looked)
    means, variances = clusters.means(values), clusters.variances(values)
    freedom = np.maximum(clusters.counts - 1.0, 0.0)
    tasks, domains = _names(looked)
    control = looked["hidden_control"].transpose("control", "step", "task").values.astype(float)
    twins = logbook["hidden_margin_twins"].isel(step=0).transpose("twin", "way", "task").values.astype(float)
    found: dict[str, tuple[tuple[str, ...], Array]] = {}
    for axis, names, share in (
        ("task", tasks, np.eye(len(tasks))),
        ("domain", domains, shares(list(map(owner, tasks)), domains, np.ones(len(tasks)))),
    ):
        alpha, middle = ALPHA / len(names), pooled(means, share)
        twin, drawn = (Spread.one_more(pooled(one, share)) for one in (twins, control))
        error = Spread.error(variances, freedom, share)
        null = np.maximum(error.quantile(1 - alpha), (error + twin[:, None]).quantile(1 - alpha))
        null[1] = np.maximum(null[1], (error[1] + drawn).quantile(1 - alpha))
        half = error.quantile(0.975)
        ways, once = ("way", "step", axis), ("step", axis)
        found |= {
            f"{axis}_margin": (ways, middle),
            f"{axis}_margin_low": (ways, middle - half),
            f"{axis}_margin_high": (ways, middle + half),
            f"{axis}_null": (ways, null),
            f"{axis}_control_low": (once, drawn.quantile(0.025)),
            f"{axis}_control_high": (once, drawn.quantile(0.975)),
            f"{axis}_twins_low": (("way", axis), twin.quantile(0.025)),
            f"{axis}_twins_high": (("way", axis), twin.quantile(0.975)),
        }
    coordinates = {"way": list(WAYS), "step": looked["step"].values, "task": tasks, "domain": domains}
    return xr.Dataset(found, coords=coordinates)


def departures(logbook: xr.Dataset, axis: str = "domain", draws: int = _DRAWS) -> list[Departure]:
    """Of every domain, or with `axis="task"` of every task."""
    looked = _checked(logbook)
    found = hidden(logbook)
    values, clusters = _by_pair(looked)
    tasks, domains = _names(looked)
    names = tasks if axis == "task" else domains
    share = np.eye(len(tasks)) if axis == "task" else shares(list(map(owner, tasks)), domains, np.ones(len(tasks)))
    drawn = pooled(clusters.resampled(values, draws), share)
    steps = looked["step"].values
    null = found[f"{axis}_null"].values.swapaxes(1, 2)
    curves = np.concatenate([found[f"{axis}_margin"].values[None], drawn]).swapaxes(2, 3)
    onsets = crossings(steps, curves, np.broadcast_to(null, curves.shape))
    return [_departure(name, onsets[:, 0, place], onsets[:, 1, place], looked) for place, name in enumerate(names)]


def _departure(name: str, asked: Array, pushed: Array, looked: xr.Dataset) -> Departure:
    """From the steps at which the two margins left their nulls, first their own and then those of replicates."""
    prompted, steered = (_log_tokens(looked, onsets) for onsets in (asked, pushed))
    either = np.isfinite(prompted) | np.isfinite(steered)
    leads = np.subtract(prompted, steered, out=np.full(len(prompted), nan), where=either)
    told = leads[1:][either[1:]]
    around = (nan, nan) if np.isnan(leads[0]) or not told.size else interval(told)[:2]
    first = float((prompted[1:] > steered[1:]).mean() + (prompted[1:] == steered[1:]).mean() / 2)
    return Departure(name, _left(asked), _left(pushed), float(leads[0]), around, first)


def _left(onsets: Array) -> Left:
    low, high, _ = interval(onsets[1:])
    return Left(float(onsets[0]), low, high)


def _log_tokens(looked: xr.Dataset, steps: Array) -> Array:
    """log(1 + tokens) at steps that may lie between observations, or never come."""
    at = looked["step"].values
    counts = looked["tokens"].values if looked["tokens"].max() > 0 else at
    finite = np.isfinite(steps)
    x = np.interp(np.log1p(np.where(finite, steps, 0.0)), log_time(at), np.log1p(counts.astype(float)))
    return np.where(finite, x, inf)


def _checked(logbook: xr.Dataset) -> xr.Dataset:
    if reason := no_hidden(logbook):
        raise ValueError(f"nothing can be said of hidden capability: {reason}")
    return hidden_steps(logbook)


def _names(looked: xr.Dataset) -> tuple[list[str], list[str]]:
    tasks = [str(label) for label in looked["task"].values]
    return tasks, list(dict.fromkeys(map(owner, tasks)))


def _by_pair(looked: xr.Dataset) -> tuple[Array, Clusters]:
    values = looked["hidden_pair_margin"].transpose("way", "step", "task", "steered_pair").values.astype(float)
    return values, Clusters.of(looked["hidden_template"].transpose("step", "task", "steered_pair").values[0])
