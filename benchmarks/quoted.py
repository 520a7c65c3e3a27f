"""What a logbook's instruments say, in numbers: `python benchmarks/quoted.py LOGBOOK [--steps ...] [--of ...]`.

A row a variable, a column a step: the mean over its axes, with the lowest and the highest; of hidden capability the
step at which each margin leaves its null.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console
from rich.table import Table

from observatory import open_logbook
from observatory.measure.steered_trial import KINDS
from observatory.observation import Array
from observatory.review.effects.hidden import departures, hidden, hidden_steps, no_hidden
from observatory.review.judge.resampling import owner

MOST = 6
"""Columns, unless steps are named."""


def told(logbook: xr.Dataset, steps: list[int], of: list[str], by: str | None = None) -> Table:
    """Of all variables whose names begin with one of `of`; those with the axis `by` have a row for each place on it."""
    table = Table("variable", "axes", *(f"step {step}" for step in steps), box=None)
    for name in sorted(map(str, logbook.data_vars)):
        values = logbook[name]
        if "step" not in values.dims or values.dtype.kind not in "biuf" or not name.startswith(tuple(of)):
            continue
        rows = {f"{name} {place}": values.sel({by: place}) for place in values[by].values} if by in values.dims else {}
        for label, row in (rows or {name: values}).items():
            each = [number(row.sel(step=step).values.astype(float)) for step in steps]
            table.add_row(label, " ".join(map(str, row.dims[1:])), *each)
    return table


def number(values: Array) -> str:
    known = values[np.isfinite(values)]
    if not known.size:
        return "-"
    return f"{known.mean():.4g}" + (f" ({known.min():.4g} to {known.max():.4g})" if values.ndim else "")


def left(logbook: xr.Dataset) -> Table:
    """At which step each margin of a domain leaves its null, and of single tasks; and in nats what all are at last."""
    columns = "prompted", "steered", "steered first at ... times fewer tokens"
    table = Table("leaves its null", *columns, "last: prompted", "steered", *KINDS, box=None)
    found, control = hidden(logbook).isel(step=-1), hidden_steps(logbook)["hidden_control"].isel(step=-1)
    for one in [*departures(logbook), *departures(logbook, "task")]:
        ways = [f"{way.step:.0f} [{way.low:.0f}, {way.high:.0f}]" for way in (one.prompted, one.steered)]
        low, high = np.exp(one.interval)
        axis = "task" if "/" in one.name else "domain"
        margins = found[f"{axis}_margin"].sel({axis: one.name}).values
        mine = control.sel(task=[name for name in control["task"].values if one.name in (name, owner(name))])
        drawn = [mine.sel(control=[n for n in mine["control"].values if n.startswith(kind)]).mean() for kind in KINDS]
        nats = [f"{float(value):.2f}" for value in (*margins, *drawn)]
        table.add_row(one.name, *ways, f"{np.exp(one.lead):.2f} [{low:.2f}, {high:.2f}]", *nats)
    return table


def spread(steps: list[int]) -> list[int]:
    """A few of them, the first and the last among them, evenly."""
    return [steps[place] for place in sorted(set(np.linspace(0, len(steps) - 1, MOST).round().astype(int)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logbook", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", help=f"{MOST} of them unless named")
    parser.add_argument("--of", nargs="+", default=[""], help="how the names begin, such as modules or massive_ratio")
    parser.add_argument("--by", help="an axis, such as layer or outside, each place of which has a row of its own")
    chosen = parser.parse_args()
    logbook = open_logbook(chosen.logbook)
    steps = chosen.steps or spread(logbook["step"].values.tolist())
    Console().print(told(logbook, steps, chosen.of, chosen.by))
    if no_hidden(logbook) is None and any("hidden".startswith(name) for name in chosen.of):
        Console().print(left(logbook))


if __name__ == "__main__":
    main()
