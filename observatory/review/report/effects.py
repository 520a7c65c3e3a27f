"""What a report shows of circuits, lesions and competence, at the observations at which each was recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.effects.competence import CHANCE, MEASURES, competence, no_competence
from observatory.review.effects.lesion_effects import LesionCriteria, lesion_effects, no_lesions
from observatory.review.judge.telling import SPACES
from observatory.review.report.numbers import rounded, short, visible
from observatory.review.sharing.circuit_record import looked, no_circuits
from observatory.review.sharing.circuits import circuits

_HEADINGS = {
    "margin": ("Margins of tasks", "nats"),
    "accuracy": ("Both prompts answered right", "share of pairs"),
    "loss": ("Held-out loss", "nats/token"),
}


def lesions(logbook: xr.Dataset, places: list[int]) -> dict[str, Any]:
    """Effects beside matched masks, a matrix a measure: step, region, domain."""
    if reason := no_lesions(logbook):
        return {"lacking": f"{reason.capitalize()}; observe with the instrument lesions to see what regions do."}
    chosen = logbook.isel(step=places)
    if no_lesions(chosen):
        return {"lacking": "No lesions were made at the steps that the slider offers."}
    criteria = LesionCriteria()
    found = lesion_effects(chosen, criteria)
    matched, cell = found.sel(against="matched"), ("measure", "step", "lesioned", "domain")
    values = {name: rounded(matched[name].transpose(*cell).values) for name in ("effect", "low", "high")}
    counts = found["counts"].transpose(*cell).values.astype(int).tolist()
    said = found["unsaid"].transpose("measure", "step", "lesioned").values
    return {
        "at": _at(logbook, found["step"].values),
        "regions": [visible(name) for name in found["lesioned"].values],
        "shorts": [short(name) for name in found["lesioned"].values],
        "criteria": {"alpha": criteria.alpha, "margin": criteria.margin, "loss": criteria.loss},
        "measures": [
            {
                "name": _HEADINGS[str(measure)][0],
                "unit": _HEADINGS[str(measure)][1],
                **{name: table[place] for name, table in values.items()},
                "counts": counts[place],
                "unsaid": [[visible(reason) for reason in row] for row in said[place]],
            }
            for place, measure in enumerate(found["measure"].values)
        ],
    }


def task_overlap(logbook: xr.Dataset, places: list[int]) -> dict[str, Any]:
    """Overlap above chance of the circuits of every two tasks, and what is said of it at each step."""
    if reason := no_circuits(logbook):
        return {"lacking": f"{reason[:1].upper()}{reason[1:]}."}
    chosen = logbook.isel(step=places)
    if no_circuits(chosen):
        return {"lacking": "Circuits were looked for at none of the steps that the slider offers."}
    report = circuits(chosen, sweep=False)
    tasks = report.record.tasks
    domains = list(dict.fromkeys(tasks.domains))
    order = np.argsort([domains.index(domain) for domain in tasks.domains], kind="stable")
    return {
        "at": _at(logbook, looked(chosen)["step"].values),
        "choice": f"{100 * report.choice.share:.3g}% of {SPACES.get(report.choice.space, report.choice.space)}",
        "tasks": [visible(tasks.names[place]) for place in order],
        "owners": [visible(tasks.domains[place]) for place in order],
        "values": [rounded(step.overlap.corrected[np.ix_(order, order)]) for step in report.steps],
        "done": [len(step.done) for step in report.steps],
        "said": [f"{step.verdict.said}: {visible('; '.join(step.verdict.reasons))}" for step in report.steps],
    }


def abilities(logbook: xr.Dataset) -> dict[str, Any]:
    """Of each domain over training, with intervals: measure, domain, step."""
    if reason := no_competence(logbook):
        return {
            "lacking": f"{reason.capitalize()}; observe with the instrument competence to see what the model can do."
        }
    found = competence(logbook)
    return {
        "at": _at(logbook, found["step"].values),
        "domains": [visible(domain) for domain in found["domain"].values],
        "measures": [
            {
                "name": _HEADINGS[measure][0],
                "unit": _HEADINGS[measure][1],
                "chance": CHANCE.get(measure),
                "twins": _twins(found, measure),
                **{
                    name: rounded(found[f"domain_{measure}{end}"].transpose("domain", "step").values)
                    for name, end in (("index", ""), ("low", "_low"), ("high", "_high"))
                },
            }
            for measure in MEASURES
        ],
    }


def _twins(found: xr.Dataset, measure: str) -> Any:
    """Where 95% of untrained twins of any domain lie."""
    low = f"domain_{measure}_twins_low"
    if low not in found or not np.isfinite(found[low]).any():
        return None
    least, most = float(found[low].min()), float(found[f"domain_{measure}_twins_high"].max())
    return rounded([max(least, 0.0), min(most, 1.0)] if measure == "accuracy" else [least, most])


def _at(logbook: xr.Dataset, steps: Array) -> list[int]:
    """The places of these steps among all observations."""
    return [int(place) for place in np.searchsorted(logbook["step"].values, steps)]
