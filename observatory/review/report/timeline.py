"""What a report shows of E over training: every observation in every readout, as in the figure of strength."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import ceil, log10
from typing import Any

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.figures.strength import twins_between
from observatory.review.figures.token_axis import TokenAxis, count_of, round_numbers
from observatory.review.judge.doubts import doubts
from observatory.review.judge.emergence import Emergence
from observatory.review.judge.evidence import LEVELS, READOUT, evidence, lacking, observations
from observatory.review.judge.telling import readout_words
from observatory.review.judge.verdict import Readout
from observatory.review.report.numbers import rounded, visible


def readouts(logbook: xr.Dataset) -> list[Readout]:
    """In the order in which a page holds them."""
    spaces, poolings = ([str(label) for label in logbook[name].values] for name in READOUT)
    return [Readout(space, pooling) for space, pooling in product(spaces, poolings)]


def without_units(logbook: xr.Dataset) -> xr.Dataset:
    """All that a verdict rests on; the scores of single units are many times as much, and are not copied along."""
    return logbook.drop_dims([dim for dim in logbook.dims if str(dim).endswith("_unit")])


def first_shown(judged: Emergence, known: list[Readout]) -> int:
    """The readout that most verdicts are told of, and of several the first."""
    told = Counter(one.readout for one in judged.verdicts if one.readout is not None)
    return known.index(told.most_common(1)[0][0]) if told else 0


def axis(logbook: xr.Dataset) -> dict[str, Any]:
    """Where every observation lies, and what is missing or doubted."""
    drawn = TokenAxis.of(logbook)
    every = np.concatenate([drawn.counts, drawn.missed])
    positive = every[every > 0]
    ticks = [(drawn.zero, 0)] if (every == 0).any() else []
    if positive.size:
        ticks += [(log10(tick), tick) for tick in round_numbers(ceil(positive.min()), int(positive.max()))]
    return {
        "label": drawn.label,
        "steps": [int(step) for step in drawn.steps],
        "tokens": [int(count) for count in logbook["tokens"].values] if (logbook["tokens"] > 0).any() else [],
        "positions": rounded(drawn.positions, 4),
        "limits": rounded(drawn.limits, 4),
        "ticks": [{"at": round(float(at), 4), "text": count_of(number)} for at, number in ticks],
        "missed": [
            {"at": round(float(drawn.at(count)), 4), "text": text}
            for count, text in zip(drawn.missed, missed(logbook), strict=True)
        ],
        "doubted": [
            {"at": round(float(drawn.at_step(step)), 4), "text": visible(f"step {step}: {one['text']}")}
            for one in doubts(logbook)
            for step in one["steps"]
            if step in drawn.steps
        ],
    }


def timeline(logbook: xr.Dataset, judged: Emergence) -> dict[str, Any]:
    """E with its interval and its nulls; where no verdict can be given, E alone and the reason."""
    looked, _ = observations(without_units(logbook))
    reason = lacking(looked)
    if reason:
        return {"lacking": reason, "readouts": [_index(logbook, one) for one in readouts(logbook)]}
    found = evidence(looked, judged.criteria)
    at_all = found.drop_vars(("draws", "condition_p")).reindex(step=logbook["step"].values)
    return {
        "readouts": [
            {**_index(logbook, one), **_beside(at_all, found, looked.sizes["twin"], one)} for one in readouts(logbook)
        ],
        "levels": list(LEVELS),
        "holds": rounded(_highest_held(at_all), 0),
        "loss": rounded(logbook["train_loss"].values, 4) if _has_loss(logbook) else None,
    }


def _highest_held(at_all: xr.Dataset) -> Array:
    """(domain, step): the place of the highest level that holds at the observation, -1 for none, NaN if unknown."""
    known = at_all["level_p"].notnull().any(("level", *READOUT)).transpose("domain", "step").values
    held = at_all["holds"].transpose("level", "domain", "step").values == 1
    highest = np.where(held, np.arange(len(LEVELS))[:, None, None], -1).max(0)
    return np.where(known, highest, np.nan)


def _index(logbook: xr.Dataset, one: Readout) -> dict[str, Any]:
    index = logbook["contrast_index"].sel(space=one.space, pooling=one.pooling)
    return {"words": visible(readout_words(one)), "index": rounded(index.transpose("domain", "step").values)}


def _beside(at_all: xr.Dataset, found: xr.Dataset, twins: int, one: Readout) -> dict[str, Any]:
    here = at_all.sel(space=one.space, pooling=one.pooling)
    passes = (here["level_p"].sel(level=LEVELS[0]) <= found.attrs["alpha_of_readout"]).transpose("domain", "step")
    alone = found.sel(space=one.space, pooling=one.pooling)
    known = bool(np.isfinite(alone["twins_spread"]).any())
    return {
        **{name: rounded(here[name].transpose("domain", "step").values) for name in ("low", "high", "chance")},
        "passes": passes.values.astype(int).tolist(),
        "floor": rounded(alone["floor"].values),
        "twins": rounded(twins_between(alone, twins)) if known else None,
    }


def missed(logbook: xr.Dataset) -> list[str]:
    """What is said of each observation that was due and is missing."""
    if "gap_step" not in logbook:
        return []
    steps = logbook["gap_step"].values
    reasons = logbook["gap_reason"].values if "gap_reason" in logbook else [""] * len(steps)
    pairs = zip(steps, reasons, strict=True)
    return [visible(f"step {step} is missing: {reason or 'no reason given'}") for step, reason in pairs]


def _has_loss(logbook: xr.Dataset) -> bool:
    return "train_loss" in logbook and bool(np.isfinite(logbook["train_loss"]).any())
