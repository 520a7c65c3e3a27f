"""The paragraph on methods that a paper on this logbook could print, made of what the logbook says was done."""

from __future__ import annotations

import re

import xarray as xr

from observatory.record.console import human
from observatory.review.effects.competence import no_competence
from observatory.review.effects.lesion_effects import LesionCriteria, no_lesions
from observatory.review.judge.emergence import Emergence
from observatory.review.judge.evidence import lacking
from observatory.review.judge.telling import POOLINGS, SPACES
from observatory.review.report.numbers import visible
from observatory.review.sharing.circuit_record import Choice, no_circuits

REFERENCES = (
    "AlKhamissi, B., Tuckute, G., Bosselut, A. and Schrimpf, M. (2025). The LLM language network: a neuroscientific "
    "approach for identifying causally task-relevant units. NAACL 2025.",
    "Han, P., Andreas, J., Fedorenko, E. and de Varda, A. (2026). Modular cognitive architecture emerges in large "
    "language models. Preprint.",
)
_SOFTWARE = ("torch", "transformers", "lightning", "numpy", "h5py")


def methods(logbook: xr.Dataset, judged: Emergence) -> str:
    """Only what was done and is known; settings that no logbook holds are left out."""
    return " ".join(
        [
            *_localization(logbook),
            *_verdicts(logbook, judged),
            *_circuits(logbook),
            *_lesions(logbook),
            *_competence(logbook),
            _versions(logbook),
        ]
    )


def _localization(logbook: xr.Dataset) -> list[str]:
    steps, tokens = logbook["step"].values, logbook["tokens"].values
    counted = f" ({human(int(tokens[0]))} to {human(int(tokens[-1]))} training tokens)" if tokens[-1] > 0 else ""
    span = f"{len(steps)} observations from step {steps[0]} to {steps[-1]}{counted}" if len(steps) > 1 else ""
    battery = visible(logbook.attrs.get("provenance_battery", "")) or "not recorded"
    domains = _listed([visible(domain) for domain in logbook["domain"].values])
    spaces = _listed([SPACES.get(str(name), visible(name)) for name in logbook["space"].values])
    poolings = _listed([f"the {POOLINGS.get(str(name), visible(name))}" for name in logbook["pooling"].values])
    families = f", {logbook.sizes['family']} families of stimuli" if "family" in logbook.sizes else ""
    return [
        f"Domain-selective units were localised at {span or f'step {steps[0]}{counted}'} with observatory "
        f"{_version(logbook, 'observatory')} and its stimulus battery {battery} (domains: {domains}{families}).",
        f"In each readout (magnitude of activation of {spaces}; read at {poolings}), a region is the {_share(logbook)} "
        "with the largest Welch t of targets against matched controls on one family of a domain's stimuli (after "
        "AlKhamissi et al., 2025); the emergence index E is the mean Hedges' g of such regions on the domain's other "
        "families, so that no region is judged on stimuli that chose it.",
    ]


def _verdicts(logbook: xr.Dataset, judged: Emergence) -> list[str]:
    if reason := lacking(logbook):
        return [f"No verdicts on emergence could be given: {visible(reason)}."]
    readouts = logbook.sizes["space"] * logbook.sizes["pooling"]
    made = visible(logbook["contrast_index_twins"].attrs.get("twins", ""))
    start = "E at step 0" if judged.steps[0] == 0 else "the twins in place of an untrained start, not observed"
    criteria, draws = judged.criteria, logbook.sizes["draw"]
    return [
        f"E was held against {logbook.sizes['twin']} untrained twins of the model{f' ({made})' if made else ''}, "
        f"{draws} draws of labels swapped within pairs, and {start}, and had to exceed the twins' mean by more than "
        f"delta = {criteria.delta:g}; intervals are 95% percentiles over {draws} resamples of stimulus pairs with "
        "regions held fixed.",
        f"A region is selective if all of this holds, specific if more than a third of E is also not shared with the "
        f"regions of other domains, and general if E is above 0 on every family; it emerged if a level held until "
        f"training had gone on for a quarter of its steps, at two observations or more. The error rate is alpha = "
        f"{criteria.alpha:g} at each observation, corrected (Bonferroni) for {logbook.sizes['domain']} domains and "
        f"{readouts} readouts; the permutation test alone is held to alpha in each readout. Onsets are given as the "
        "interval between the two observations that enclose them.",
    ]


def _circuits(logbook: xr.Dataset) -> list[str]:
    if no_circuits(logbook):
        return []
    choice = Choice()
    chosen = f"{100 * choice.share:.3g}% of {SPACES[choice.space]}"
    return [
        f"Circuits of {logbook.sizes['task']} tasks are the {chosen} with the largest first-order "
        "attributions on minimal pairs (after Han et al., 2026), of tasks that the model does "
        f"(one-sided t over templates, alpha = {choice.alpha:g} over all tasks); overlaps are Jaccard coefficients "
        "above chance."
    ]


def _lesions(logbook: xr.Dataset) -> list[str]:
    if no_lesions(logbook):
        return []
    criteria = LesionCriteria()
    controls = logbook.sizes["mask"] - 1
    return [
        f"The lesion of each region was held against {controls} random masks with as many units in the same layers; an "
        f"effect counts that surely exceeds {criteria.margin:g} nats of margin or {criteria.loss:g} nats per token of "
        f"held-out loss and what random masks do (Holm, alpha = {criteria.alpha:g} over a matrix)."
    ]


def _competence(logbook: xr.Dataset) -> list[str]:
    if no_competence(logbook):
        return []
    return ["Competence is the log-probability margin of right over wrong answers, and loss on held-out texts."]


def _versions(logbook: xr.Dataset) -> str:
    known = [f"{name} {_version(logbook, name)}" for name in _SOFTWARE if f"{name}_version" in logbook.attrs]
    return f"Software: {', '.join(known)}." if known else "The versions of software were not recorded."


def _version(logbook: xr.Dataset, name: str) -> str:
    return visible(logbook.attrs.get(f"{name}_version", "(version not recorded)"))


def _share(logbook: xr.Dataset) -> str:
    """By the settings of the localizer that made the logbook."""
    settings = str(logbook.attrs.get("provenance_settings", ""))
    found = re.search(r"ContrastLocalizer\(share=([0-9.eE-]+)", settings)
    try:
        return f"{100 * float(found[1]):.3g}% of the units" if found else "share of the units"
    except ValueError:
        return "share of the units"


def _listed(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
