"""From what a logbook recorded to p-values: six conditions, and the three levels made of them.

Nothing here needs the model: with another alpha or another smallest size, the same logbook is judged again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from observatory.observation import Array

LEVELS = ("selective", "specific", "general")
"""Each has the conditions of the one before, and more."""
CONDITIONS: dict[str, tuple[str, ...]] = {
    "selective": ("twins", "labels", "growth", "size"),
    "specific": ("specificity",),
    "general": ("generality",),
}
"""What each level adds."""
GUARD = "labels"
"""Held to alpha in each readout, and not corrected for their number. Where all that tells targets from controls lies in
one dimension, permuted labels choose the region or its opposite, and the p-value cannot fall below about 2^-families,
however large the effect (docs/emergence.md)."""
READOUT = ("space", "pooling")
_OWN = 1 / 3
"""The part of the index that must be the domain's own: its regions are half as effective again as the others' are."""
_SAME = 1e-9
"""Twins that differ by less of their size are one twin several times, up to rounding: they have no spread."""
_NEEDED: dict[str, tuple[str, ...]] = {
    "contrast_index_twins": ("step", "twin", *READOUT, "domain"),
    "contrast_index_permuted": ("step", *READOUT, "domain", "draw"),
    "contrast_index_resampled": ("step", *READOUT, "domain", "draw"),
    "contrast_specificity": ("step", *READOUT, "domain"),
    "contrast_specificity_resampled": ("step", *READOUT, "domain", "draw"),
    "contrast_generality_resampled": ("step", *READOUT, "domain", "draw"),
}
"""With their axes."""


@dataclass(frozen=True)
class Criteria:
    """What a verdict is held to."""

    alpha: float = 0.05
    """The error rate of one logbook: shared out among its domains and the readouts of each."""
    delta: float = 0.2
    """How far above its untrained twins a region must be to count, in units of Hedges' g."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha is an error rate between 0 and 0.5; got {self.alpha}")
        if not 0 <= self.delta < float("inf"):
            raise ValueError(f"delta is the smallest effect that counts, 0 or more; got {self.delta}")


def observations(logbook: xr.Dataset) -> tuple[xr.Dataset, tuple[str, ...]]:
    """The steps at which regions were looked for, and what was left out: copies of the observation before.

    Two files with the same weights are one observation, whatever their names say; the rule of two consecutive
    observations must not be met by a copy.
    """
    if "contrast_index" not in logbook:
        held = ", ".join(map(str, logbook.data_vars)) or "nothing"
        raise ValueError(f"a verdict needs the contrast localizer's variables, and the logbook has {held}")
    steps = logbook["step"].values
    if (np.diff(steps) <= 0).any():
        raise ValueError(
            f"the steps of a logbook ascend, and here {_first_fall(steps)}; sort it by step, each step once"
        )
    if "recorded" in logbook:
        looked = logbook["recorded"].sel(recorded_name="contrast_index").values.astype(bool)
        logbook = logbook.isel(step=looked)
    effect = logbook["contrast_effect"].values if "contrast_effect" in logbook else logbook["contrast_index"].values
    same = [i for i in range(1, len(effect)) if _is_copy(effect[i], effect[i - 1])]
    kept = [i for i in range(len(effect)) if i not in same]
    steps = logbook["step"].values
    notes = tuple(f"step {steps[i]} is a copy of step {steps[i - 1]} and is not counted" for i in same)
    return logbook.isel(step=kept), notes


def lacking(logbook: xr.Dataset) -> str | None:
    """Why this logbook allows no verdict at all, if so."""
    if not logbook.sizes["step"]:
        return "it holds no observation"
    absent = [name for name in _NEEDED if name not in logbook]
    if "contrast_index_twins" in absent:
        return (
            "no re-initialised twins were measured; observe again with twins (and with fresh=, where the model is not "
            "of transformers and was first seen trained)"
        )
    if absent:
        return f"{absent[0]} was not recorded; observe again with ContrastLocalizer(draws=...) above 0"
    for name, dims in _NEEDED.items():
        if set(found := logbook[name].dims) != {*dims}:
            return f"{name} is along ({', '.join(map(str, found))}), where it is measured along ({', '.join(dims)})"
    if logbook.sizes["twin"] < 3:
        return f"{logbook.sizes['twin']} twins have too uncertain a spread; observe again with 3 or more"
    return None


def evidence(logbook: xr.Dataset, criteria: Criteria) -> xr.Dataset:
    """Of every step, readout and domain: the index with its interval, each condition's p-value, each level's.

    A level's p-value is the largest of its conditions', all of which must hold, and 1 where the guard fails. A domain's
    is that of its best readout, corrected for their number. NaN where an observation says nothing.
    """
    return judged_by(weighed(logbook), criteria)


def weighed(logbook: xr.Dataset) -> xr.Dataset:
    """What of the evidence no criterion has a part in, which is most of the work."""
    logbook = logbook.reset_coords(drop=True)
    index = logbook["contrast_index"]
    twins = logbook["contrast_index_twins"].isel(step=0, drop=True)
    middle, spread = twins.mean("twin", skipna=False), twins.std("twin", ddof=1, skipna=False)
    draws = _centred(logbook["contrast_index_resampled"], index)
    own = _centred(logbook["contrast_specificity_resampled"], logbook["contrast_specificity"])
    return xr.Dataset(
        {
            "index": index,
            "low": _quantile(draws, 0.025),
            "high": _quantile(draws, 0.975),
            "twins": middle,
            "twins_spread": spread,
            "chance": _quantile(logbook["contrast_index_permuted"], 0.95),
            "draws": draws,
            "p_twins": _p_of_twins(index, middle, spread, logbook.sizes["twin"]),
            "p_labels": _p_value(logbook["contrast_index_permuted"] < index),
            "p_specificity": _p_value(own > _OWN * draws),
            "p_generality": _p_value(logbook["contrast_generality_resampled"] > 0),
            "usable": np.isfinite(index) & np.isfinite(middle) & (spread > _SAME * abs(twins).max("twin")),
        }
    )


def judged_by(weighed: xr.Dataset, criteria: Criteria) -> xr.Dataset:
    """The evidence, where the criteria have their part."""
    index, middle, draws = weighed["index"], weighed["twins"], weighed["draws"]
    floor = middle.clip(min=0) + criteria.delta
    p = {name: weighed[f"p_{name}"] for name in ("twins", "labels", "specificity", "generality")}
    p["size"] = _p_value(draws > floor)
    at_first = {name: value.isel(step=0, drop=True) <= criteria.alpha for name, value in p.items()}
    trained_before = at_first["twins"] & at_first["labels"] & at_first["size"]
    start = draws.isel(step=0, drop=True).where(~trained_before & (int(weighed["step"][0]) == 0), middle)
    p["growth"] = _p_value(draws > start)
    conditions = xr.concat([p[name] for names in CONDITIONS.values() for name in names], "condition", join="exact")
    conditions = conditions.assign_coords(condition=[name for names in CONDITIONS.values() for name in names])
    conditions = conditions.where(weighed["usable"]).transpose("condition", "step", *READOUT, "domain")
    levels = xr.concat([_level(conditions, level, criteria.alpha) for level in LEVELS], "level")
    levels = levels.assign_coords(level=list(LEVELS))
    best = _best_of_readouts(levels)
    alpha = criteria.alpha / weighed.sizes["domain"]
    kept = ["index", "low", "high", "twins", "twins_spread", "chance", "draws"]
    return (
        weighed[kept]
        .assign(floor=floor, condition_p=conditions, level_p=levels, domain_p=best, holds=best <= alpha)
        .assign_attrs(
            alpha=criteria.alpha,
            alpha_of_domain=alpha,
            alpha_of_readout=alpha / (index.sizes["space"] * index.sizes["pooling"]),
            smallest_p=index.sizes["space"] * index.sizes["pooling"] * (1 / (1 + weighed.sizes["draw"])),
        )
    )


def _centred(draws: xr.DataArray, estimate: xr.DataArray) -> xr.DataArray:
    """Shifted to lie around the estimate: resamples repeat stimuli, which makes spreads smaller and effects larger.

    A draw that is missing takes the others with it, since without it their middle is not known.
    """
    return draws - draws.mean("draw", skipna=False) + estimate


def _quantile(draws: xr.DataArray, share: float) -> xr.DataArray:
    found: xr.DataArray = draws.quantile(share, "draw", skipna=False).drop_vars("quantile")
    return found


def _p_value(speaks_for: xr.DataArray) -> xr.DataArray:
    """Of a Monte Carlo test, never 0 (Phipson and Smyth 2010). A draw that says nothing, NaN, does not speak for it."""
    return (1 + (~speaks_for).sum("draw")) / (1 + speaks_for.sizes["draw"])


def _p_of_twins(index: xr.DataArray, middle: xr.DataArray, spread: xr.DataArray, count: int) -> xr.DataArray:
    """Whether a model is one more of its twins: Student's t for a new observation beside `count` others."""
    score = (index - middle) / (spread * np.sqrt(1 + 1 / count))
    p: xr.DataArray = xr.apply_ufunc(lambda t: stats.t.sf(t, count - 1), score)
    return p


def _level(conditions: xr.DataArray, level: str, alpha: float) -> xr.DataArray:
    upto = [name for one in LEVELS[: LEVELS.index(level) + 1] for name in CONDITIONS[one] if name != GUARD]
    p = conditions.sel(condition=upto).max("condition", skipna=False)
    guarded = conditions.sel(condition=GUARD, drop=True) <= alpha
    return p.where(guarded | p.isnull(), 1.0)


def _best_of_readouts(p: xr.DataArray) -> xr.DataArray:
    """The smallest p-value times the number of readouts, those that say nothing among them: Holm's first step."""
    best = p.fillna(1.0).min(READOUT) * p.sizes["space"] * p.sizes["pooling"]
    return best.clip(max=1.0).where(p.notnull().any(READOUT))


def _is_copy(effect: Array, before: Array) -> bool:
    """Bit for bit, wherever both say something: a value that is missing does not make an observation of a copy."""
    told = np.isfinite(effect) & np.isfinite(before)
    return bool(told.any() and np.array_equal(effect[told], before[told]))


def _first_fall(steps: Array) -> str:
    place = int(np.flatnonzero(np.diff(steps) <= 0)[0])
    return f"step {steps[place + 1]} follows step {steps[place]}"
