"""Logbooks that have all that a report can show, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from circuits_planted import planted_circuits
from lesion_cases import DOMAINS, GROUPS, planted_lesions
from verdicts import POOLINGS, SPACES, planted, step_up

from observatory import open_logbook

STEPS = (0, 1, 3, 10, 32, 100, 316, 1000, 3162)
WIDTHS = {"mlp": 24, "heads": 3}
LAYERS = 4


def with_units(logbook: xr.Dataset, widths: Mapping[str, int], seed: int = 0) -> xr.Dataset:
    """Regions of a tenth of the units, other ones at every step, and what goes with them."""
    random, sizes = np.random.default_rng(seed), logbook.sizes
    steps, domains, layers = sizes["step"], sizes["domain"], sizes["layer"]
    counts = np.zeros((steps, len(SPACES), len(POOLINGS), domains, layers))
    added: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for place, space in enumerate(SPACES):
        own = random.random((steps, len(POOLINGS), domains, layers, widths[space])) < 0.1
        added[f"contrast_region_{space}"] = (("step", "pooling", "domain", "layer", f"{space}_unit"), own)
        counts[:, place] = own.sum(-1)
    dims = ("step", "space", "pooling", "domain")
    added["contrast_units_by_layer"] = ((*dims, "layer"), counts)
    added["contrast_overlap"] = ((*dims, "other_domain"), random.uniform(-0.1, 0.6, (*counts.shape[:-1], domains)))
    added["contrast_index_by_layer"] = ((*dims, "layer"), random.normal(0.3, 0.4, counts.shape))
    return logbook.assign(added)


def everything(folder: Path, names: Sequence[str] = DOMAINS) -> xr.Dataset:
    """Domains that emerged early, late, and not, with circuits, lesions and competence; gaps, a flag and attributes."""
    curves = dict(
        zip(DOMAINS, (step_up(STEPS, 10), step_up(STEPS, 300, height=1.6), step_up(STEPS, 9e9)), strict=False)
    )
    curves["social"] = step_up(STEPS, 3, until=100)
    book = with_units(planted(STEPS, curves, general=["language"], gaps=[55], layers=LAYERS, loss=True), WIDTHS)
    circuits = open_logbook(
        planted_circuits(folder / "circuits.h5", STEPS, domain=0.6, formats=1, layers=LAYERS)
    ).load()
    kept = [
        name for name in circuits.data_vars if str(name).startswith("circuits_") and "twin" not in circuits[name].dims
    ]
    tasks = [str(label) for label in circuits["task"].values]
    lesions = planted_lesions(STEPS, {("math", "math"): 0.8}, without={0: DOMAINS, 1: ["social"]})
    lesions = lesions.assign_coords(task=tasks).drop_vars("tokens")
    book = book.assign_coords({name: circuits[name] for name in ("circuit_space", "share", "task", "other_task")})
    book = book.assign({name: circuits[name].reset_coords(drop=True) for name in kept}).merge(lesions, join="exact")
    book = book.assign(_competence(book)).assign(_headlines(names)).assign_attrs(circuits.attrs)
    book["gap_reason"] = ("gap", ["out of luck"])
    book.attrs |= {
        "seed": 7,
        "provenance_settings": "ContrastLocalizer(share=0.02, draws=None)",
        "model_config": json.dumps({"model_type": "gpt_neox", "num_hidden_layers": LAYERS, "filler": "x" * 200}),
        "doctor": json.dumps([{"severity": "warning", "kind": "weights", "text": "weights look cut", "steps": [100]}]),
    }
    return _renamed(book, dict(zip(DOMAINS, names, strict=True)))


def _headlines(names: Sequence[str]) -> dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]]:
    """One that rises at step 30 with an error and twins, one that is measured seldom, and one of noise alone."""
    steps, random = len(STEPS), np.random.default_rng(2)
    seldom = np.where(np.arange(steps) % 4 == 0, 1.0 * np.arange(steps), np.nan)
    return {
        "probe_score": (("step",), step_up(STEPS, 30, height=12.0), {"headline": names[0], "error": "error"}),
        "probe_error": (("step",), np.full(steps, 0.25), {}),
        "probe_score_twins": (("step", "twin"), np.tile(np.linspace(0, 1, 8), (steps, 1)), {}),
        "rare_number": (("step",), seldom, {"headline": "measured seldom"}),
        "noise_number": (("step",), random.normal(size=steps), {"headline": "noise alone"}),
    }


def _competence(book: xr.Dataset) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    random, steps, tasks = np.random.default_rng(1), len(STEPS), book.sizes["task"]
    logs = random.normal(0, 1, (steps, tasks, 12, 2, 2))
    logs[..., 0, 0] += np.linspace(0, 2, steps)[:, None, None]
    logs[..., 1, 1] += np.linspace(0, 2, steps)[:, None, None]
    template = np.broadcast_to(np.repeat(np.arange(4), 3), (steps, tasks, 12))
    return {
        "competence_log_probability": (("step", "task", "pair", "prompt", "answer"), logs),
        "competence_template": (("step", "task", "pair"), template),
        "competence_loss": (("step", "family", "text"), random.normal(5, 0.2, (steps, GROUPS * len(DOMAINS), 6))),
    }


def _renamed(book: xr.Dataset, names: Mapping[str, str]) -> xr.Dataset:
    """Domains, wherever they are named; a task and a family are named after theirs."""

    def label(old: str) -> str:
        domain, slash, rest = old.partition("/")
        return f"{names[domain]}{slash}{rest}"

    labelled = [name for name in ("domain", "lesioned", "task", "other_task", "family") if name in book.coords]
    return book.assign_coords({name: [label(str(old)) for old in book[name].values] for name in labelled})
