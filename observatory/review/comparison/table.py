"""A comparison of runs as a table for the terminal."""

from __future__ import annotations

import math

from rich.table import Table
from rich.text import Text

from observatory.review.comparison.compare import Comparison
from observatory.review.comparison.model_size import size_words
from observatory.review.comparison.pooled_onset import PooledOnset
from observatory.review.figures.token_axis import count_of
from observatory.review.judge.wording import sequence

_MOST_ORDERS = 3


def comparison_table(found: Comparison) -> Table:
    """One row a domain and size."""
    sizes = found.sizes.grouped()
    table = Table(
        title=f"{len(found.runs)} runs" + (f" of {len(sizes)} sizes" if len(sizes) > 1 else ""),
        caption="Onset: where E passes its floor. Its median counts runs in which the region has not emerged yet, and "
        "has an interval from six runs on; its mean is geometric, with a 95% t interval between runs, and is left out "
        "where a run has not emerged. Spread: factor of one standard deviation.",
    )
    headings = ("domain", "emerged", "share of runs, 95%", f"median onset ({found.unit})", "mean onset")
    for heading in (*([found.sizes.measure] if len(sizes) > 1 else []), *headings, "between runs", "by stimuli"):
        table.add_column(heading)
    for one in found.pooled:
        size = [size_words(one.parameters)] if len(sizes) > 1 else []
        table.add_row(*map(Text, [*size, *_cells(one)]))  # a string would be read as markup
    return table


def order_lines(found: Comparison) -> list[str]:
    """The most frequent orders, a line each."""
    return [f"{sequence(order)}: {order.probability:.0%} of runs" for order in found.orders[:_MOST_ORDERS]]


def _cells(one: PooledOnset) -> list[str]:
    low, high = one.share_interval
    return [
        one.domain,
        f"{one.emerged} of {one.judged}",
        f"{low:.2f}-{high:.2f}" if one.judged else "-",
        f"{_time(one.median)}{_between(one.median_interval)}" if one.judged else "-",
        f"{_time(one.onset)}{_between(one.interval)}" if one.emerged == one.judged > 0 else "-",
        f"x {one.between:.2f}" if math.isfinite(one.between) else "-",
        f"x {one.within:.2f}" if math.isfinite(one.within) else "-",
    ]


def _between(interval: tuple[float, float]) -> str:
    return "" if math.isnan(interval[0]) else f" [{_time(interval[0])}, {_time(interval[1])}]"


def _time(value: float) -> str:
    return "not reached" if value == math.inf else count_of(round(max(0.0, value)))
