"""What the model can do, with how sure that is: margins and accuracy of tasks and domains, and held-out loss.

Intervals are over templates, or texts: Student's t of their means, and for shares of pairs Wilson's with as many
trials as the templates are worth (Korn and Graubard 1998), which does not shrink to nothing where all are right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from observatory.observation import Array
from observatory.review.judge.resampling import Clusters, owner, pooled, shares

MEASURES = ("margin", "accuracy", "loss")
CHANCE = {"margin": 0.0, "accuracy": 0.25}
"""What guessing gives; after either prompt, the right answer is guessed half of the time."""
_NEEDED = ("competence_log_probability", "competence_template", "competence_loss")


def competence(logbook: xr.Dataset) -> xr.Dataset:
    """Of each step: `task_*` and `domain_*` with `_low` and `_high`, 95%, and `_twins_low` and `_twins_high`.

    Between these two lie 95% of untrained twins.
    """
    looked, domains = _looked(logbook)
    found: dict[str, tuple[tuple[str, ...], Array]] = {}
    for measure in MEASURES:
        one = _measured(looked, measure)
        share = shares(one.owners, domains, one.weight)
        means, variances = one.clusters.means(one.values), one.clusters.variances(one.values)
        freedom = np.broadcast_to(np.maximum(one.clusters.counts - 1, 0).astype(float), means.shape)
        by_domain = pooled(means, share)
        terms = [variances[..., own > 0] * own[own > 0] ** 2 for own in share.T]
        variance = np.stack([term.sum(-1) if term.size else np.full(term.shape[:-1], np.nan) for term in terms], -1)
        squares = [np.square(term) / freedom[..., own > 0] for term, own in zip(terms, share.T, strict=True)]
        with np.errstate(invalid="ignore", divide="ignore"):
            joint = np.square(variance) / np.stack([square.sum(-1) for square in squares], -1)  # Satterthwaite's
        least = np.stack([freedom[..., own > 0].sum(-1) for own in share.T], -1)
        joint = np.where(np.isfinite(joint), joint, least)
        clusters = np.stack([one.clusters.counts[own > 0].sum() for own in share.T])
        interval = _of_share if measure == "accuracy" else _of_mean
        for name, values, spread, degrees, count in (
            ("task", means, variances, freedom, one.clusters.counts),
            ("domain", by_domain, variance, joint, clusters),
        ):
            if name == "task" and measure == "loss":
                continue  # families of texts are no tasks
            low, high = interval(values, spread, degrees, count)
            dims = ("step", name)
            found |= {
                f"{name}_{measure}": (dims, values),
                f"{name}_{measure}_low": (dims, low),
                f"{name}_{measure}_high": (dims, high),
                **_twins(logbook, f"{name}_{measure}", name, share),
            }
    coordinates = {"step": looked["step"].values, "task": looked["task"].values, "domain": domains}
    return xr.Dataset(found, coords=coordinates)


def no_competence(logbook: xr.Dataset) -> str | None:
    """Why there is nothing to draw, if so."""
    if any(name not in logbook for name in _NEEDED):
        return "competence was not recorded"
    return None if _at_steps(logbook).sizes["step"] else "competence was not measured yet"


def curves(logbook: xr.Dataset) -> list[str]:
    """What `curve` knows: margin/math, accuracy/math and loss/math, and by its label each task, its margin."""
    if no_competence(logbook):
        return []
    _, domains = _looked(logbook)
    return [f"{measure}/{domain}" for measure in MEASURES for domain in domains] + list(
        map(str, logbook["task"].values)
    )


@dataclass(frozen=True)
class Curve:
    """A number over training, and the same from other templates or texts."""

    steps: Array
    values: Array
    replicates: Array
    """replicate, step; the templates of a replicate are the same at every step."""


def curve(logbook: xr.Dataset, name: str, draws: int = 500) -> Curve:
    """One of `curves`."""
    looked, domains = _looked(logbook)
    measure, _, domain = name.partition("/")
    if measure in MEASURES and domain in domains:
        one = _measured(looked, measure)
        share = shares(one.owners, domains, one.weight)[:, [domains.index(domain)]]
        values = pooled(one.clusters.means(one.values), share)[:, 0]
        return Curve(looked["step"].values, values, pooled(one.clusters.resampled(one.values, draws), share)[..., 0])
    one = _measured(looked.sel(task=[name]), "margin")
    drawn = one.clusters.resampled(one.values, draws)[..., 0]
    return Curve(looked["step"].values, one.clusters.means(one.values)[:, 0], drawn)


@dataclass(frozen=True, eq=False)
class _Measured:
    values: Array
    """step, group, item"""
    clusters: Clusters
    owners: list[str]
    weight: Array
    """What a group is worth in its domain: tasks are worth the same, families as much as they have texts."""


def competence_steps(logbook: xr.Dataset) -> xr.Dataset:
    """The steps at which competence was measured."""
    absent = [name for name in _NEEDED if name not in logbook]
    if absent:
        raise ValueError(f"{absent[0]} was not recorded; observe with the instrument competence")
    looked = _at_steps(logbook)
    if not looked.sizes["step"]:
        raise ValueError("competence was not measured yet at any step")
    return looked


def _at_steps(logbook: xr.Dataset) -> xr.Dataset:
    if "recorded" not in logbook:
        return logbook
    return logbook.isel(step=logbook["recorded"].sel(recorded_name=_NEEDED[0]).values.astype(bool))


def _looked(logbook: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    logbook = competence_steps(logbook)
    labels = [*map(str, logbook["task"].values), *map(str, logbook["family"].values)]
    known = [str(name) for name in logbook["domain"].values] if "domain" in logbook.coords else []
    return logbook, known or list(dict.fromkeys(map(owner, labels)))


def _measured(looked: xr.Dataset, measure: str) -> _Measured:
    if measure == "loss":
        values = looked["competence_loss"].transpose("step", "family", "text").values.astype(float)
        there = ~np.isnan(values).all(0)
        clusters = Clusters.of(np.where(there, np.arange(there.shape[1]), -1))
        return _Measured(
            values, clusters, list(map(owner, map(str, looked["family"].values))), there.sum(-1).astype(float)
        )
    logs = (
        looked["competence_log_probability"].transpose("step", "task", "pair", "prompt", "answer").values.astype(float)
    )
    margins = np.stack((logs[..., 0, 0] - logs[..., 0, 1], logs[..., 1, 1] - logs[..., 1, 0]), -1)
    right = np.where(np.isnan(margins).any(-1), np.nan, (margins > 0).all(-1))
    clusters = Clusters.of(looked["competence_template"].transpose("step", "task", "pair").values[0])
    owners = list(map(owner, map(str, looked["task"].values)))
    return _Measured(margins.mean(-1) if measure == "margin" else right, clusters, owners, np.ones(len(owners)))


def _of_mean(values: Array, variance: Array, freedom: Array, _: Array) -> tuple[Array, Array]:
    half = stats.t.ppf(0.975, np.where(freedom > 0, freedom, np.nan)) * np.sqrt(variance)
    return values - half, values + half


def _of_share(values: Array, variance: Array, freedom: Array, clusters: Array) -> tuple[Array, Array]:
    """Wilson's interval; where templates do not differ, each is worth one trial."""
    spread = values * (1 - values)
    trials = np.divide(
        spread, variance, out=np.array(np.broadcast_to(clusters, values.shape), float), where=variance > 1e-12
    )
    trials = np.where(np.isnan(variance), np.nan, np.maximum(trials, 1.0))
    z = stats.t.ppf(0.975, np.where(freedom > 0, freedom, np.nan))
    middle = (values + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(spread / trials + z**2 / (4 * trials**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def _twins(logbook: xr.Dataset, name: str, axis: str, share: Array) -> dict[str, tuple[tuple[str, ...], Array]]:
    recorded = "competence_domain_loss" if name == "domain_loss" else f"competence_{name.partition('_')[2]}"
    if f"{recorded}_twins" not in logbook or logbook.sizes.get("twin", 0) < 2:
        return {}
    twins = logbook[f"{recorded}_twins"].isel(step=0).transpose("twin", ...).values.astype(float)
    if axis == "domain" and name != "domain_loss":
        twins = pooled(twins, share)
    count = len(twins)
    half = stats.t.ppf(0.975, count - 1) * np.sqrt(1 + 1 / count) * twins.std(0, ddof=1)
    middle = twins.mean(0)
    return {f"{name}_twins_low": ((axis,), middle - half), f"{name}_twins_high": ((axis,), middle + half)}
