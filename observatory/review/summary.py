"""The strength of each domain at the start and at the end, as a table for the terminal."""

from __future__ import annotations

from math import isfinite

import xarray as xr
from rich.table import Table


def summary(logbook: xr.Dataset, space: str = "mlp") -> Table:
    """One row a domain and pooling: the index at the first and the last observation, and what qualifies it."""
    if not logbook.sizes.get("step"):
        raise ValueError("the logbook holds no observation yet, so there is nothing to sum up")
    first, last = (logbook.isel(step=place).sel(space=space) for place in (0, -1))
    table = Table(
        title=f"Emergence index E ({space} units) at step {int(first['step'])} and step {int(last['step'])}",
        caption="E is Hedges' g on families not used to choose the region; near 0 where there is no region. "
        "Specific: E less the effect of other domains' regions. General: E on the family where it is smallest.",
    )
    for heading in ("domain", "read at", "E at start", "E at end", "specific", "general"):
        table.add_column(heading, justify="left" if heading in ("domain", "read at") else "right")
    for domain in logbook["domain"].values:
        for pooling in logbook["pooling"].values:
            place = {"domain": domain, "pooling": pooling}
            cells = [
                first["contrast_index"],
                last["contrast_index"],
                last["contrast_specificity"],
                last["contrast_generality"],
            ]
            table.add_row(str(domain), str(pooling), *(_number(float(cell.sel(place))) for cell in cells))
    return table


def _number(value: float) -> str:
    return f"{value:+.2f}" if isfinite(value) else "-"
