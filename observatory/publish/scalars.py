"""The numbers of one observation that are worth a curve, by the names under which every tracker shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
import xarray as xr
from scipy import stats

from observatory.observation import Array, Observation
from observatory.review.effects.competence import competence, no_competence
from observatory.review.effects.headlines import headline_names
from observatory.review.effects.lesion_effects import lesion_effects, no_lesions
from observatory.review.effects.series import error_of
from observatory.review.sharing.circuit_record import Choice, circuit_record, no_circuits
from observatory.review.sharing.overlap import contrast, means
from observatory.review.sharing.sharing_verdict import too_few

PREFIX = "observatory"
STEP, TOKENS = f"{PREFIX}/step", f"{PREFIX}/tokens"
MOST = 60
"""A tracker draws a chart for each name, and stops being of use long before thousands."""
BY_DOMAIN = {
    "index": "E",
    "chance": "what E of regions chosen by swapped labels stays below in 95% of draws",
    "untrained": "what E of an untrained twin stays below in 97.5%",
    "margin": "nats by which right answers beat wrong ones",
    "lesion": "nats of margin that the lesion of the region costs its own domain more than the others",
    "specificity": "E less the effect on other domains' families",
    "loss": "held-out nats a token",
    "accuracy": "share of pairs answered right both ways",
    "stability": "of the region, with the observation before",
    "generality": "E in the family on which it is least",
    "index_elsewhere": "E with the other pooling",
}
"""What is told of every domain, the most useful first: with more domains, less of it."""
_GENERAL = 7
_BESIDE, _LEAST_BESIDE = 17, 3
"""Numbers a step of other instruments or the trainer's: for so many room is kept before less is told of each domain,
and for so many in any case."""
_LEAST_TOLD = 5
_LOSS = "train_loss"
_SPACE, _POOLING = "mlp", "mean"
_LONGEST = 40


@dataclass(frozen=True)
class Row:
    """What is told of one observation."""

    step: int
    tokens: int
    scalars: Mapping[str, float]
    """By their full names. What is missing or not finite has no entry."""


def row(logbook: xr.Dataset) -> Row:
    """Of a Dataset of one step. It depends on nothing else, so live runs and finished logbooks are told alike."""
    if logbook.sizes.get("step") != 1:
        raise ValueError(f"a row is of one step, and this Dataset has {logbook.sizes.get('step', 'none')}")
    step, tokens = int(logbook["step"].item()), int(logbook["tokens"].item())
    found = {"step": float(step), "tokens": float(tokens), **_general(logbook)}
    names = domain_names(_domains(logbook))
    told = _told(len(names))
    for what, values in _by_domain(logbook):
        if what in told:
            found |= {f"{key}/{what}": values[domain] for domain, key in names.items() if domain in values}
    numbers = {f"{PREFIX}/{name}": float(value) for name, value in found.items() if isfinite(value)}
    return Row(step, tokens, numbers)


def observed(observation: Observation) -> xr.Dataset:
    """An observation as the step of a logbook that it becomes."""
    one = observation.to_xarray().expand_dims("step").assign_coords(tokens=("step", [observation.tokens]))
    return one.assign_coords(seconds=("step", [observation.seconds]))


def left_out(domains: int, numbers: Sequence[str] = ()) -> str:
    """What there is no room for with so many domains, and of such `numbers_beside`; empty where all is told."""
    told, unseen = _told(domains), list(numbers[_room(domains) :])
    shown = f"only {', '.join(told)}" if told else "nothing"
    parts = [f"{domains} domains: {shown} is shown of each"] if len(told) < len(BY_DOMAIN) else []
    if unseen:
        parts.append(f"{', '.join(unseen)} {'is' if len(unseen) == 1 else 'are'} not shown")
    return f"{'; '.join(parts)}, to stay within {MOST} charts; the logbook has the rest" if parts else ""


def numbers_beside(logbook: xr.Dataset) -> list[str]:
    """Numbers a step, the most useful first; what is only the error of another is seen in figures."""
    numbers = sorted(str(name) for name, one in logbook.data_vars.items() if one.dims == ("step",))
    first = headline_names(logbook)
    errors = {error_of(logbook, name) for name in first}
    return [
        *(name for name in numbers if name == _LOSS),
        *(name for name in first if name != _LOSS),
        *(name for name in numbers if name not in (_LOSS, *first, *errors)),
    ]


def domain_names(domains: Sequence[str]) -> dict[str, str]:
    """Names that any tracker, address or alert takes as they are, by domain: a data file may call its domain anything.

    Two domains never share one.
    """
    names: dict[str, str] = {}
    for domain in domains:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", domain).strip("_")[:_LONGEST] or "domain"
        taken, number = set(names.values()), 2
        name = plain
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        names[domain] = name
    return names


def _told(domains: int) -> list[str]:
    """Whatever was measured: what is told must not change from one observation to the next."""
    left = MOST - _GENERAL
    count = max(min(_LEAST_TOLD, (left - _LEAST_BESIDE) // max(domains, 1)), (left - _BESIDE) // max(domains, 1))
    return list(BY_DOMAIN)[:count]


def _room(domains: int) -> int:
    """For numbers of no domain."""
    return MOST - _GENERAL - domains * len(_told(domains))


def _domains(logbook: xr.Dataset) -> list[str]:
    return [str(name) for name in logbook["domain"].values] if "domain" in logbook.coords else []


def _general(logbook: xr.Dataset) -> dict[str, float]:
    own = numbers_beside(logbook)[: _room(len(_domains(logbook)))]
    kept = {name: float(logbook[name].item()) for name in own if _recorded(logbook, name)}
    named = {key: kept[name] for name, key in domain_names(list(kept)).items()}
    seconds = {"seconds": float(logbook["seconds"].item())} if "seconds" in logbook.coords else {}
    return {**named, **seconds, **_overlap(logbook)}


def _recorded(logbook: xr.Dataset, name: str) -> bool:
    if "recorded" not in logbook or name not in logbook["recorded_name"].values:
        return name in logbook and logbook[name].dtype.kind in "biuf"
    return bool(logbook["recorded"].sel(recorded_name=name).values.item())


def _overlap(logbook: xr.Dataset) -> dict[str, float]:
    """How far domains bind more than formats do, for what the model can do; see `review.overlap`."""
    choice = Choice()
    if no_circuits(logbook, choice):
        return {}
    record = circuit_record(logbook, choice)
    done, share = record.done(choice.alpha)[0], record.place(choice.share)
    kept, told = record.tasks.only(done), {"tasks_done": float(done.sum())}
    if too_few(len(kept.names), len(set(kept.domains))):
        return told
    found = means(record.overlaps(0, share, done)[0].corrected[np.ix_(done, done)], kept)
    ceiling = record.ceiling(0, share, done).corrected
    told |= {f"overlap_{name}": float(contrast(name, found)) for name in ("index", "difference")}
    return {**told, "overlap_ceiling": float(np.nanmean(ceiling)) if np.isfinite(ceiling).any() else np.nan}


def _by_domain(logbook: xr.Dataset) -> Iterator[tuple[str, dict[str, float]]]:
    """By the names of BY_DOMAIN, of each domain of which anything was measured."""
    if "contrast_index" in logbook and _recorded(logbook, "contrast_index"):
        yield from _of_contrast(logbook)
    if not no_competence(logbook):
        measured = competence(logbook).isel(step=0)
        for what in ("margin", "loss", "accuracy"):
            yield what, _values(measured[f"domain_{what}"], "domain")
    if not no_lesions(logbook):
        effects = lesion_effects(logbook, draws=2).isel(step=0)  # intervals are not told
        yield "lesion", _values(effects["specificity"].sel(measure="margin", against="matched"), "lesioned")


def _of_contrast(logbook: xr.Dataset) -> Iterator[tuple[str, dict[str, float]]]:
    """Of one readout said beforehand: the better of several would be a number without an error rate."""
    spaces, poolings = ([str(name) for name in logbook[axis].values] for axis in ("space", "pooling"))
    space = _SPACE if _SPACE in spaces else spaces[0]
    pooling = _POOLING if _POOLING in poolings else poolings[0]
    there = logbook.isel(step=0).sel(space=space)
    here = there.sel(pooling=pooling)
    for what in ("index", "specificity", "generality", "stability"):
        if (name := f"contrast_{what}") in here:
            yield what, _values(here[name], "domain")
    if "contrast_index_permuted" in here:
        drawn = here["contrast_index_permuted"].transpose("domain", "draw").values.astype(float)
        yield "chance", _named(here, np.quantile(drawn, 0.95, axis=1)) if drawn.shape[1] else {}
    if "contrast_index_twins" in here:
        yield "untrained", _named(here, _of_twins(here["contrast_index_twins"].transpose("twin", "domain").values))
    if other := [name for name in poolings if name != pooling]:
        yield "index_elsewhere", _values(there["contrast_index"].sel(pooling=other[0]), "domain")


def _of_twins(twins: Array) -> Array:
    """Student's t for one more twin beside them."""
    count = len(twins)
    if count < 2:
        return np.full(twins.shape[1], np.nan)
    upper = twins.mean(0) + stats.t.ppf(0.975, count - 1) * sqrt(1 + 1 / count) * twins.std(0, ddof=1)
    return np.asarray(upper)


def _values(one: xr.DataArray, axis: str) -> dict[str, float]:
    return _labelled(one[axis].values, one.values)


def _named(here: xr.Dataset, values: Array) -> dict[str, float]:
    return _labelled(here["domain"].values, values)


def _labelled(labels: Array, values: Array) -> dict[str, float]:
    return {str(label): float(value) for label, value in zip(labels, values, strict=True)}
