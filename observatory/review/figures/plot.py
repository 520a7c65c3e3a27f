"""Draws every figure that a logbook has the data for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import xarray as xr
from matplotlib.figure import Figure

from observatory.review.effects.alignment import no_alignment
from observatory.review.effects.competence import no_competence
from observatory.review.effects.faithfulness import no_faithfulness
from observatory.review.effects.hidden import no_hidden
from observatory.review.effects.leads import no_leads
from observatory.review.effects.lesion_effects import no_lesions
from observatory.review.effects.milestones import no_milestones
from observatory.review.figures.alignment import alignment_figure
from observatory.review.figures.attention import attention_figure, no_attention
from observatory.review.figures.competence_curves import competence_figure
from observatory.review.figures.composition import composition
from observatory.review.figures.depth_map import depth_map, no_depth
from observatory.review.figures.faithfulness import faithfulness_figure
from observatory.review.figures.hidden import hidden_figure
from observatory.review.figures.induction import induction_figure, no_induction
from observatory.review.figures.joint import joint
from observatory.review.figures.layers import layers
from observatory.review.figures.lead_lag import lead_lag
from observatory.review.figures.lesion_matrix import lesion_matrix
from observatory.review.figures.lesions_over_time import lesions_over_time
from observatory.review.figures.massive import massive_figure, no_massive
from observatory.review.figures.modules import modules_figure, no_modules
from observatory.review.figures.onsets import onsets
from observatory.review.figures.overlaps import overlaps
from observatory.review.figures.pruning import no_pruning, pruning_figure
from observatory.review.figures.rank import no_rank, rank_figure
from observatory.review.figures.reference import Reference
from observatory.review.figures.region_stability import no_regions, region_stability
from observatory.review.figures.robustness import no_robustness, robustness
from observatory.review.figures.skill_modules import skill_modules_figure
from observatory.review.figures.sparsity import no_sparsity, sparsity_figure
from observatory.review.figures.stability import nothing_to_compare, stability
from observatory.review.figures.strength import strength
from observatory.review.figures.structure import structure
from observatory.review.figures.style import SCREEN, Sheet, style
from observatory.review.figures.weights import no_weights, weights_figure
from observatory.review.judge.evidence import lacking, observations
from observatory.review.sharing.circuit_record import no_circuits
from observatory.review.sharing.skill_modules import no_skill_modules


class Draw(Protocol):
    """Makes a figure of a logbook."""

    def __call__(self, logbook: xr.Dataset, /, *, sheet: Sheet = SCREEN) -> Figure: ...


@dataclass(frozen=True)
class Drawing:
    """A figure, and why a logbook does not suffice for it, if so."""

    draw: Draw
    lacking: Callable[[xr.Dataset], str | None]


def plot(
    logbook: xr.Dataset, folder: str | Path, sheet: Sheet = SCREEN, references: Mapping[str, xr.Dataset] | None = None
) -> list[Path]:
    """Writes each figure as PNG and SVG and returns the files; the references stand behind the curves of strength."""
    if not logbook.sizes.get("step"):
        raise ValueError("the logbook holds no observation yet, so there is nothing to draw")
    figures = dict(FIGURES)
    if references:
        behind = Reference.of(logbook, references)
        figures["strength"] = replace(FIGURES["strength"], draw=partial(strength, reference=behind))
    lacks = {name: drawing.lacking(logbook) for name, drawing in figures.items()}
    if all(lacks.values()):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in lacks.items())
        raise ValueError(
            f"the logbook suffices for no figure ({reasons}); it has {', '.join(map(str, logbook.data_vars))}"
        )
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give a folder for the figures")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in (name for name, reason in lacks.items() if not reason):
        figure = figures[name].draw(logbook, sheet=sheet)
        for suffix in (".png", ".svg"):
            written.append(folder / f"{name}{suffix}")
            with style(sheet):  # what an SVG makes of text is settled when it is written
                figure.savefig(written[-1])
    return written


def _without(variable: str) -> Callable[[xr.Dataset], str | None]:
    return lambda logbook: None if variable in logbook else f"{variable} was not recorded"


def _no_verdict(logbook: xr.Dataset) -> str | None:
    return _without("contrast_index")(logbook) or lacking(observations(logbook)[0])


FIGURES: Mapping[str, Drawing] = {
    "strength": Drawing(strength, _without("contrast_index")),
    "onsets": Drawing(onsets, _no_verdict),
    "layers": Drawing(layers, _without("contrast_index_by_layer")),
    "region_stability": Drawing(region_stability, no_regions),
    "overlaps": Drawing(overlaps, no_circuits),
    "structure": Drawing(structure, no_circuits),
    "stability": Drawing(stability, nothing_to_compare),
    "composition": Drawing(composition, no_circuits),
    "competence": Drawing(competence_figure, no_competence),
    "hidden": Drawing(hidden_figure, no_hidden),
    "lead_lag": Drawing(lead_lag, no_leads),
    "joint": Drawing(joint, no_milestones),
    "robustness": Drawing(robustness, no_robustness),
    "lesion_matrix": Drawing(lesion_matrix, no_lesions),
    "lesions_over_time": Drawing(lesions_over_time, no_lesions),
    "massive": Drawing(massive_figure, no_massive),
    "sparsity": Drawing(sparsity_figure, no_sparsity),
    "rank": Drawing(rank_figure, no_rank),
    "weights": Drawing(weights_figure, no_weights),
    "pruning": Drawing(pruning_figure, no_pruning),
    "attention": Drawing(attention_figure, no_attention),
    "induction": Drawing(induction_figure, no_induction),
    "depth": Drawing(depth_map, no_depth),
    "alignment": Drawing(alignment_figure, no_alignment),
    "modules": Drawing(modules_figure, no_modules),
    "skill_modules": Drawing(skill_modules_figure, no_skill_modules),
    "faithfulness": Drawing(faithfulness_figure, no_faithfulness),
}
"""By the name of the file."""
