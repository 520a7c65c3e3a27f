"""The curves of a logbook by name, with what is known of their noise, to be set beside one another in time."""

from __future__ import annotations

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.effects.alignment import alignment_curve, alignments
from observatory.review.effects.change import Series, noise_at_each
from observatory.review.effects.competence import curve, curves
from observatory.review.judge.emergence import emergence
from observatory.review.judge.evidence import Criteria, evidence, lacking, observations
from observatory.review.judge.verdict import Readout

OF_ALL_DOMAINS = {"margin": "margin of all tasks", "loss": "held-out loss"}
"""What is also told of all domains together, and its name."""


def series(logbook: xr.Dataset, name: str) -> Series:
    """The index of a domain with its resamples, its competence with templates drawn anew, as margin/math, accuracy/math
    and loss/math, or of all domains, as margin and loss, a task's margin by its label, alignment with stimuli drawn
    anew, as alignment/norms/predictivity, an imported benchmark with its errors, or a number a step."""
    domains = _labels(logbook, "domain") if "contrast_index" in logbook else []
    benchmarks = _labels(logbook, "benchmark")
    numbers = [str(known) for known, values in logbook.data_vars.items() if values.dims == ("step",)]
    if name in domains:
        return _of_domain(logbook, name)
    if name in benchmarks:
        scores = logbook["benchmark_score"].sel(benchmark=name).values
        errors = logbook["benchmark_error"].sel(benchmark=name).values
        known = np.isfinite(scores)
        steps = logbook["benchmark_step"].values[known]
        has_errors = bool(np.isfinite(errors[known]).all())
        return Series(name, steps, scores[known], errors=errors[known] if has_errors else None)
    if name in (competences := curves(logbook)):
        found = curve(logbook, name)
        return Series(name, found.steps, found.values, replicates=found.replicates)
    if name in OF_ALL_DOMAINS and competences:
        return _of_all_domains(logbook, name)
    if name in (aligned := alignments(logbook)):
        values, replicates = alignment_curve(logbook, name)
        return Series(name, logbook["step"].values, values, replicates=replicates)
    if name in numbers:
        return number_series(logbook, name)
    of_all = OF_ALL_DOMAINS if competences else ()
    raise ValueError(
        f"no curve {name!r} in this logbook; there are "
        f"{', '.join((*domains, *benchmarks, *of_all, *competences, *aligned, *numbers))}"
    )


def _of_all_domains(logbook: xr.Dataset, measure: str) -> Series:
    """The mean over domains; each replicate draws of every domain anew."""
    found = [curve(logbook, name) for name in curves(logbook) if name.startswith(f"{measure}/")]
    values = np.mean([one.values for one in found], axis=0)
    replicates = np.mean([one.replicates for one in found], axis=0)
    return Series(OF_ALL_DOMAINS[measure], found[0].steps, values, replicates=replicates)


def number_series(logbook: xr.Dataset, name: str) -> Series:
    """Of a variable that is a number a step: its errors are those that it names, or what its neighbours tell."""
    steps, values = logbook["step"].values, logbook[name].values.astype(float)
    told = np.isfinite(values)
    if (errors := _errors(logbook, name)) is not None and (errors[told] >= 0).all():
        return Series(name, steps, values, errors=errors)
    if told.sum() < 3:
        return Series(name, steps, values)
    noise = np.full(len(steps), np.nan)
    noise[told] = noise_at_each(np.log1p(steps[told]), values[told])
    return Series(name, steps, values, errors=noise)


def error_of(logbook: xr.Dataset, name: str) -> str | None:
    """The variable that holds the standard errors of another, of the same instrument, whose name begins both."""
    own = str(logbook[name].attrs.get("error", ""))
    words = name.split("_")
    beginnings = ["_".join(words[:count]) for count in range(1, len(words))]
    found = [f"{one}_{own}" for one in beginnings if f"{one}_{own}" in logbook]
    return found[0] if own and found and logbook[found[0]].dims == ("step",) else None


def _errors(logbook: xr.Dataset, name: str) -> Array | None:
    held = error_of(logbook, name)
    values = None if held is None else np.asarray(logbook[held].values, dtype=float)
    return None if values is None else np.where(np.isfinite(values), values, np.nan)


def _of_domain(logbook: xr.Dataset, domain: str) -> Series:
    """Of the readout that the verdict is told of."""
    looked, _ = observations(logbook)
    judged = next(one for one in emergence(logbook).verdicts if one.domain == domain)
    if judged.readout is None:
        raise ValueError(f"{domain} has no curve to compare: {lacking(looked) or judged.reason}")
    return region_series(evidence(looked, Criteria()), domain, judged.readout)


def region_series(evidence: xr.Dataset, domain: str, readout: Readout) -> Series:
    """The index of a domain in one readout, with its resamples."""
    here = evidence.sel(domain=domain, space=readout.space, pooling=readout.pooling)
    return Series(
        f"{domain} ({readout})",
        evidence["step"].values,
        here["index"].values.astype(float),
        replicates=here["draws"].transpose("draw", "step").values.astype(float),
    )


def _labels(logbook: xr.Dataset, name: str) -> list[str]:
    return [str(label) for label in logbook[name].values] if name in logbook.coords else []
