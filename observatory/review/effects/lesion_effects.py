"""What a domain's region does for every domain: its lesion against lesions of random units in the same layers.

An effect is positive where the region's lesion hurts more: nats of margin, or nats a token of held-out loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from observatory.observation import Array
from observatory.review.judge.resampling import Clusters, drawn_with_replacement, owner, pooled, shares

MEASURES = {"margin": 1.0, "loss": -1.0}
"""And whether more of it is better."""
AGAINST = ("matched", "random", "intact")
"""Random masks with as many units in every layer; with as many anywhere; no lesion."""
_DRAWS = 1000
_SAME = 1e-9
"""Masks that differ by less of their size have no spread."""


@dataclass(frozen=True)
class LesionCriteria:
    """What an effect is held to."""

    alpha: float = 0.05
    """The error rate of one matrix, all effects of all regions at one step; shared out among them by Holm's method."""
    margin: float = 0.1
    """The smallest effect on margins that counts, in nats."""
    loss: float = 0.01
    """The smallest on held-out loss, in nats a token."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha is an error rate between 0 and 0.5; got {self.alpha}")
        if not (0 <= self.margin < np.inf and 0 <= self.loss < np.inf):
            raise ValueError(
                f"margin and loss are the smallest effects that count, 0 or more; got {self.margin} and {self.loss}"
            )


def lesion_steps(logbook: xr.Dataset, name: str = "lesions") -> xr.Dataset:
    """The steps at which this instrument made lesions."""
    if f"{name}_units" not in logbook:
        ending = "_lesioned_margin"
        held = [str(v).removesuffix(ending) for v in logbook.data_vars if str(v).endswith(ending)]
        there = ", ".join(held) or "none"
        raise ValueError(f"no lesions called {name!r} were recorded in this logbook; those recorded are {there}")
    return logbook.isel(step=np.isfinite(logbook[f"{name}_units"].transpose("step", ...).values).all(-1))


def no_lesions(logbook: xr.Dataset) -> str | None:
    """Why there is nothing to draw of the instrument `lesions`, if so."""
    if "lesions_units" not in logbook:
        return "no lesions were recorded"
    return None if lesion_steps(logbook).sizes["step"] else "no lesions were made yet"


def lesion_effects(
    logbook: xr.Dataset, criteria: LesionCriteria | None = None, name: str = "lesions", draws: int = _DRAWS
) -> xr.Dataset:
    """Of every step, region (`lesioned`) and `domain`, by `measure`: effects with 95% intervals, and which count.

    Intervals are over templates, or texts, and over random masks. NaN, and why in `unsaid`, where nothing can be said.
    """
    criteria = criteria or LesionCriteria()
    looked = lesion_steps(logbook, name)
    if not looked.sizes["step"]:
        raise ValueError(f"no lesions called {name!r} were made yet at any of {logbook.sizes['step']} steps")
    domains = [str(domain) for domain in looked["lesioned"].values]
    steps = [_Step(looked.isel(step=place), name, domains, draws) for place in range(looked.sizes["step"])]
    measures = [xr.concat([step.of(measure) for step in steps], "step") for measure in MEASURES]
    found = xr.concat(measures, "measure").assign_coords(measure=list(MEASURES), step=looked["step"].values)
    least = xr.DataArray([criteria.margin, criteria.loss], dims="measure", coords={"measure": list(MEASURES)})
    found["beyond_masks"] = _by_holm(found["p"], ["lesioned", "domain"]) <= criteria.alpha
    found["counts"] = found["beyond_masks"] & (found["low"].sel(against="matched", drop=True) > least)
    matched = found["specificity_low"].sel(against="matched", drop=True)
    found["specific"] = (_by_holm(found["specificity_p"], ["lesioned"]) <= criteria.alpha) & (matched > 0)
    tokens = looked["tokens"].values if "tokens" in looked else np.zeros(looked.sizes["step"], int)
    return found.assign_coords(tokens=("step", tokens)).assign_attrs(
        alpha=criteria.alpha, margin=criteria.margin, loss=criteria.loss, name=name
    )


def drawn_effects(looked: xr.Dataset, measure: str, name: str = "lesions", draws: int = _DRAWS) -> tuple[Array, Array]:
    """(step, lesioned, domain) against matched masks, and what other templates and masks give: (step, draw, ...)."""
    domains = [str(domain) for domain in looked["lesioned"].values]
    found = [
        _Step(looked.isel(step=place), name, domains, draws).drawn(measure) for place in range(looked.sizes["step"])
    ]
    return np.stack([effect for effect, _ in found]), np.stack([drawn for _, drawn in found])


def holm(p: Array) -> Array:
    """p-values corrected for their number by Holm's method; those that are missing are not counted."""
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p.flat[known])]
    corrected.flat[order] = np.minimum(np.maximum.accumulate(p.flat[order] * np.arange(order.size, 0, -1)), 1.0)
    return corrected


def _by_holm(p: xr.DataArray, over: list[str]) -> xr.DataArray:
    found: xr.DataArray = xr.apply_ufunc(holm, p, input_core_dims=[over], output_core_dims=[over], vectorize=True)
    return found


@dataclass(frozen=True, eq=False)
class _Step:
    """One step of a logbook."""

    logbook: xr.Dataset
    name: str
    domains: list[str]
    draws: int

    def of(self, measure: str) -> xr.Dataset:
        intact, lesioned, matched, random, resampled = self._scores(measure)
        masks = matched.shape[-2]
        matched = matched if masks > 1 else np.full(matched.shape, np.nan)  # one mask has no spread to be judged by
        effect = _against(intact, lesioned, matched.mean(-2), random.mean(0))
        drawn = _against(*resampled)
        by_mask = matched.mean(-2, keepdims=True) - matched  # what a mask does beside the others, as an effect is
        one_more = _spread_of_one_more(by_mask, np.abs(matched).max(-2))
        own, others = _own_and_others(effect), _own_and_others(drawn)
        specific = np.subtract(*_own_and_others(by_mask.swapaxes(0, 1)))  # (mask, lesioned)
        one_more_specific = _spread_of_one_more(specific.T[..., None], np.abs(matched).max((-2, -1))[:, None])[:, 0]
        by_cell, by_region = ("against", "lesioned", "domain"), ("against", "lesioned")
        return xr.Dataset(
            {
                "effect": (by_cell, effect),
                **_interval("", by_cell, drawn, effect),
                "p": (by_cell[1:], stats.t.sf(effect[0] / one_more, masks - 1)),
                "of_masks": (by_cell[1:], stats.t.ppf(0.975, max(masks - 1, 1)) * one_more),
                "own": (by_region, own[0]),
                **_interval("own_", by_region, others[0], own[0]),
                "others": (by_region, own[1]),
                **_interval("others_", by_region, others[1], own[1]),
                "specificity": (by_region, own[0] - own[1]),
                **_interval("specificity_", by_region, others[0] - others[1], own[0] - own[1]),
                "specificity_p": (
                    by_region[1:],
                    stats.t.sf((own[0] - own[1])[0] / one_more_specific, masks - 1),
                ),
                "intact": (("domain",), MEASURES[measure] * intact),
                "units": (("lesioned",), self.logbook[f"{self.name}_units"].values.astype(int)),
                "unsaid": (("lesioned",), self._unsaid(effect, one_more, masks)),
            },
            coords={"against": list(AGAINST), "lesioned": self.domains, "domain": self.domains},
        )

    def drawn(self, measure: str) -> tuple[Array, Array]:
        """Effects against matched masks, and resampled ones."""
        intact, lesioned, matched, random, resampled = self._scores(measure)
        matched = matched if matched.shape[-2] > 1 else np.full(matched.shape, np.nan)
        return _against(intact, lesioned, matched.mean(-2), random.mean(0))[0], _against(*resampled)[:, 0]

    def _scores(self, measure: str) -> tuple[Array, Array, Array, Array, tuple[Array, Array, Array, Array]]:
        """Intact, with regions replaced, with matched masks and with random ones: higher is better; and resampled."""
        groups, items = ("task", "tried_pair") if measure == "margin" else ("family", "tried_text")
        dims = {
            "intact": (groups, items),
            "lesioned": ("lesioned", "mask", groups, items),
            "random": ("random_mask", groups, items),
        }
        values = {}
        for name, order in dims.items():
            variable = self.logbook[f"{self.name}_{name}_{measure}"]
            variable = variable.mean("prompt", skipna=False) if "prompt" in variable.dims else variable
            values[name] = MEASURES[measure] * variable.transpose(*order).values.astype(float)
        missing = np.isnan(values["intact"])
        if measure == "margin":
            clusters = Clusters.of(self.logbook[f"{self.name}_template"].transpose(groups, items).values)
        else:
            clusters = Clusters.of(np.where(missing.all(-1, keepdims=True) | ~missing, np.arange(missing.shape[1]), -1))
        labels = [str(label) for label in self.logbook[groups].values]
        there = clusters.sizes.sum(-1)
        weight = (there > 0).astype(float) if measure == "margin" else there  # tasks alike, texts alike
        share = shares([owner(label) for label in labels], self.domains, weight)
        kept = {name: pooled(clusters.means(one), share) for name, one in values.items()}
        drawn = {name: pooled(clusters.resampled(one, self.draws), share) for name, one in values.items()}
        regions, masks = kept["lesioned"].shape[0], kept["lesioned"].shape[1] - 1
        random = np.random.default_rng(1)
        weights = drawn_with_replacement(random, masks, (self.draws, regions))
        anywhere = drawn_with_replacement(random, kept["random"].shape[0], (self.draws,))
        matched = np.einsum("nlm,nlmd->nld", weights / weights.sum(-1, keepdims=True), drawn["lesioned"][:, :, 1:])
        if masks < 2:
            matched = np.full_like(matched, np.nan)
        resampled = (
            drawn["intact"],
            drawn["lesioned"][:, :, 0],
            matched,
            np.einsum("nm,nmd->nd", anywhere / anywhere.sum(-1, keepdims=True), drawn["random"]),
        )
        return kept["intact"], kept["lesioned"][:, 0], kept["lesioned"][:, 1:], kept["random"], resampled

    def _unsaid(self, effect: Array, one_more: Array, masks: int) -> Array:
        """Why nothing can be said of a region, for each; empty where something can."""
        units = self.logbook[f"{self.name}_units"].values
        reasons = np.full(len(units), "", dtype=object)
        for place, count in enumerate(units):
            if not count:
                reasons[place] = "it has no region at this step"
            elif masks < 2:
                reasons[place] = f"{masks} random mask has no spread; observe again with Lesions(controls=8)"
            elif not np.isfinite(effect[0, place]).any():
                reasons[place] = "nothing was measured, or what was is not finite"
            elif not np.isfinite(one_more[place]).any():
                reasons[place] = "its random masks do not differ in what they do"
        return reasons.astype(str)


def _spread_of_one_more(by_mask: Array, size: Array) -> Array:
    """(lesioned, domain) of (lesioned, mask, domain): how far one more mask lies off the mean of these, as an sd."""
    masks = by_mask.shape[-2]
    if masks < 2:
        return np.full(size.shape, np.nan)
    spread = by_mask.std(-2, ddof=1)
    return np.where(spread > _SAME * size, spread * np.sqrt(1 + 1 / masks), np.nan)


def _against(intact: Array, lesioned: Array, matched: Array, random: Array) -> Array:
    """(against, ..., lesioned, domain)"""
    return np.stack([matched - lesioned, random[..., None, :] - lesioned, intact[..., None, :] - lesioned], -3)


def _own_and_others(effect: Array) -> tuple[Array, Array]:
    """On the region's own domain, and on the others on the average; those of which nothing is known are left out."""
    own = np.eye(effect.shape[-1], dtype=bool)
    known = np.isfinite(effect) & ~own
    count = known.sum(-1)
    others = np.where(known, effect, 0.0).sum(-1) / np.where(count > 0, count, np.nan)
    return np.diagonal(effect, axis1=-2, axis2=-1), others


def _interval(
    name: str, dims: tuple[str, ...], drawn: Array, estimate: Array
) -> dict[str, tuple[tuple[str, ...], Array]]:
    """Percentiles; drawn is (draw, against, ...)."""
    low, high = np.quantile(np.where(np.isfinite(estimate), drawn, 0.0), (0.025, 0.975), axis=0)
    there = np.isfinite(estimate)
    return {f"{name}low": (dims, np.where(there, low, np.nan)), f"{name}high": (dims, np.where(there, high, np.nan))}
