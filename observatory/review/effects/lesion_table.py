"""What lesions do, as tables and sentences for the terminal, and as JSON."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

import numpy as np
import xarray as xr
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from observatory.review.effects.lesion_effects import MEASURES, holm
from observatory.review.judge.emergence import plain

UNITS = {"margin": "nats", "loss": "nats/token"}
_DIGITS = {"margin": 2, "loss": 3}
_WHAT = {"margin": "margins of tasks", "loss": "held-out loss"}
_INTERVALS = ("own", "others", "specificity")
_MOST_STEPS = 12


def lesion_table(found: xr.Dataset) -> Group:
    """A matrix a measure at the last step, own effects over steps, and in words what can be told and what cannot."""
    last = found.isel(step=-1)
    tables: list[Table | Text] = [_matrix(last.sel(measure=measure)) for measure in MEASURES if _known(last, measure)]
    if found.sizes["step"] > 1 and _known(found, "margin"):
        tables.append(_over_time(found))
    return Group(*tables, *(Text(line) for line in said(found)))


def said(found: xr.Dataset) -> list[str]:
    """Whether regions can be told from random units, and what the lesion of each does to its own domain."""
    lines = []
    for measure in MEASURES:
        if _known(found, measure):
            lines.append(_told_apart(found, measure))
            here = found.isel(step=-1).sel(measure=measure)
            lines += [_specific(here.sel(lesioned=name), measure) for name in _known(here, measure)]
        else:
            lines.append(f"can't say what lesions do to {_WHAT[measure]}: {_why_nothing(found, measure)}")
    last = found.isel(step=-1)
    for name in last["lesioned"].values:
        reasons = [str(last["unsaid"].sel(measure=measure, lesioned=name).item()) for measure in MEASURES]
        if reasons[0] and _known(last, "margin"):
            lines.append(f"{name}: can't say, {reasons[0]}")
    return lines


def to_json(found: xr.Dataset) -> dict[str, Any]:
    """Everything; what is missing is null."""
    steps = []
    for place, step in enumerate(found["step"].values):
        here = found.isel(step=place)
        steps.append(
            {
                "step": int(step),
                "tokens": int(here["tokens"]),
                **{measure: _measure_json(here.sel(measure=measure)) for measure in MEASURES},
            }
        )
    criteria = {name: found.attrs[name] for name in ("alpha", "margin", "loss")}
    return {"lesions": found.attrs["name"], "criteria": criteria, "steps": steps, "said": said(found)}


def _measure_json(here: xr.Dataset) -> dict[str, Any]:
    corrected = holm(here["p"].values)
    regions = {}
    for row, region in enumerate(here["lesioned"].values):
        one = here.isel(lesioned=row)
        cells = {
            str(domain): {
                **{
                    str(against): _estimate(one.isel(domain=column).sel(against=against), "effect", "low", "high")
                    for against in here["against"].values
                },
                "p": float(one["p"][column]),
                "p_corrected": float(corrected[row, column]),
                "beyond_masks": bool(one["beyond_masks"][column]),
                "counts": bool(one["counts"][column]),
            }
            for column, domain in enumerate(here["domain"].values)
        }
        matched = one.sel(against="matched")
        summary = {name: _estimate(matched, name, f"{name}_low", f"{name}_high") for name in _INTERVALS}
        regions[str(region)] = {
            "units": int(one["units"]),
            "unsaid": str(one["unsaid"].item()),
            **summary,
            "specificity_p": float(one["specificity_p"]),
            "specific": bool(one["specific"]),
            "on": cells,
        }
    found: dict[str, Any] = plain(regions)
    return found


def _estimate(here: xr.Dataset, value: str, low: str, high: str) -> dict[str, Any]:
    return {"value": float(here[value]), "interval": [float(here[low]), float(here[high])]}


def _matrix(here: xr.Dataset) -> Table:
    measure = str(here["measure"].item())
    attrs = here.attrs
    table = Table(
        title=f"Lesions at step {int(here['step'])}: {_WHAT[measure]}, {UNITS[measure]}",
        caption=f"A region's lesion less that of random masks of the same layers, 95% over templates and masks; "
        f"above 0 the region matters more. * counts: beyond {attrs[measure]:g} and beyond random masks, alpha "
        f"{attrs['alpha']:g} over the matrix (Holm).",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for heading in ("region of", *map(str, here["domain"].values), "own - others"):
        table.add_column(Text(heading), overflow="fold")
    for name in here["lesioned"].values:
        one = here.sel(lesioned=name, against="matched")
        cells = []
        for place in range(one.sizes["domain"]):
            cell = one.isel(domain=place)
            cells.append(_cell(cell, measure, "effect", "low", "high", counts=bool(cell["counts"])))
        names = ("specificity", "specificity_low", "specificity_high")
        specific = _cell(one, measure, *names, counts=bool(one["specific"]))
        table.add_row(Text(f"{name}\n{int(one['units'])} units"), *cells, specific)
    return table


def _over_time(found: xr.Dataset) -> Table:
    """Own effects on margins, at the last steps."""
    here = found.sel(measure="margin", against="matched").isel(step=slice(-_MOST_STEPS, None))
    table = Table(
        title="Each region's effect on the margins of its own domain, nats", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for heading in ("step", *map(str, here["lesioned"].values)):
        table.add_column(Text(heading), overflow="fold")
    for place, step in enumerate(here["step"].values):
        row = []
        for name in here["lesioned"].values:
            one = here.isel(step=place).sel(lesioned=name, domain=name)
            row.append(_cell(one, "margin", "own", "own_low", "own_high", counts=bool(one["counts"])))
        table.add_row(str(int(step)), *row)
    return table


def _told_apart(found: xr.Dataset, measure: str) -> str:
    """The sentence that matters: whether anything here is more than random units do."""
    here = found.sel(measure=measure)
    steps = [int(step) for step in here["step"].values]
    known = np.isfinite(here["p"].transpose("step", ...).values)
    counting = here["counts"].transpose("step", ...).values
    judged = [step for step, any_known in zip(steps, known.any((1, 2)), strict=True) if any_known]
    where = f"at step {judged[0]}" if len(judged) == 1 else f"at any of {len(judged)} steps"
    if not counting.any():
        beyond = int(here["beyond_masks"].sum())
        if not beyond:
            return (
                f"{_WHAT[measure]}: the lesion of no region can be told from those of random masks of the same layers, "
                f"{where}; {_largest(here)}"
            )
        return (
            f"{_WHAT[measure]}: {beyond} of {int(known.sum())} effects of regions can be told from those of random "
            f"masks of the same layers, and none of them is surely above {found.attrs[measure]:g} {UNITS[measure]}, "
            f"{where}; {_largest(here)}"
        )
    first = steps[int(np.flatnonzero(counting.any((1, 2)))[0])]
    own = int(np.diagonal(counting[-1]).sum())
    since = "from the first such step on" if first == judged[0] else f"first at step {first}"
    return (
        f"{_WHAT[measure]}: lesions of regions do more than those of random masks of the same layers, {since}; at step "
        f"{steps[-1]} {own} of {counting.shape[-1]} on their own domain, and {int(counting[-1].sum()) - own} times one "
        f"on another domain"
    )


def _largest(here: xr.Dataset) -> str:
    effect = here["effect"].sel(against="matched").where(np.isfinite(here["p"])).transpose("step", "lesioned", "domain")
    step, row, column = np.unravel_index(int(np.nanargmax(effect.values)), effect.shape)
    cell = here.isel(step=int(step), lesioned=int(row), domain=int(column))
    names = f"{cell['lesioned'].item()} on {cell['domain'].item()}, step {int(cell['step'])}"
    shown = _with_interval(cell.sel(against="matched"), "effect", "low", "high")
    return f"the largest effect is {shown} ({names}, p = {float(cell['p']):.2g} before correction)"


def _specific(one: xr.Dataset, measure: str) -> str:
    """Whether a region is its own domain's more than others'."""
    here = one.sel(against="matched")
    name, own, others = str(one["lesioned"].item()), float(here["own"]), float(here["others"])
    if not isfinite(own):
        return f"{name}: can't say, it has no {_WHAT[measure]} of its own"
    counts = bool(one["counts"].sel(domain=name))
    told = f"{name}: its lesion costs its own domain {own:+.2g} {UNITS[measure]}, which {_counting(counts)}"
    if not isfinite(others):
        return told
    low, high = float(here["specificity_low"]), float(here["specificity_high"])
    than = "no more than" if own <= others else "more than" if bool(one["specific"]) else "not surely more than"
    return f"{told}; {than} the others' {others:+.2g} (difference {own - others:+.2g} [{low:+.2g}, {high:+.2g}])"


def _counting(counts: bool) -> str:
    return "counts" if counts else "does not count"


def _why_nothing(found: xr.Dataset, measure: str) -> str:
    reasons = found["unsaid"].sel(measure=measure).values
    if (reasons == reasons.flat[0]).all():
        return str(reasons.flat[0]).replace("it has no region at this step", "no domain has a region at any step")
    return "at no step is there a region with random masks that differ, and tasks to try it on"


def _known(found: xr.Dataset, measure: str) -> list[str]:
    """The regions of which something can be said."""
    p = found["p"].sel(measure=measure) if "measure" in found["p"].dims else found["p"]
    known = np.isfinite(p.transpose("lesioned", ...).values).reshape(p.sizes["lesioned"], -1).any(1)
    return [str(name) for name in p["lesioned"].values[known]]


def _cell(here: xr.Dataset, measure: str, value: str, low: str, high: str, counts: bool) -> Text:
    """The estimate above its interval."""
    if not isfinite(float(here[value])):
        return Text("-")
    told, least, most = (_number(float(here[name]), _DIGITS[measure]) for name in (value, low, high))
    sign = "" if told.startswith("-") else "+"
    return Text(f"{sign}{told}{'*' * counts}\n[{least}, {most}]", style="green" if counts else "")


def _number(value: float, digits: int) -> str:
    """Without the 0 before the point, so that a row of intervals fits a terminal."""
    return re.sub(r"\b0\.", ".", f"{value:.{digits}f}")


def _with_interval(here: xr.Dataset, value: str, low: str, high: str) -> str:
    if not isfinite(float(here[value])):
        return "-"
    return f"{float(here[value]):+.2g} [{float(here[low]):+.2g}, {float(here[high]):+.2g}]"
