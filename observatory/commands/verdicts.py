"""Commands that say and draw what a logbook shows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def import_(logbook: Path, results: list[Path], step: int | None = None, model: str = "") -> None:
    """Put benchmark results of lm-evaluation-harness, old or new, into a logbook, beside the regions.

    Args:
        logbook: the logbook to add to; it is made if it is missing.
        results: result files, and folders of them.
        step: the training step of files that do not say it, in their model's revision, their name or a folder's.
        model: what to call the model, instead of its name in the files.
    """
    from observatory.record.lm_eval import read_results
    from observatory.record.logbook import Logbook

    benchmarks = read_results(results, step, model)
    with Logbook(logbook) as book:
        book.add_benchmarks(benchmarks)
    print(*benchmarks.lines(), sep="\n")


def plot(
    logbook: Path,
    out: Path = Path("figures"),
    style: Literal["screen", "page", "column"] = "screen",
    reference: Path | list[Path] | None = None,
) -> None:
    """Draw the figures of a logbook as PNG and SVG.

    Args:
        logbook: the logbook, of a finished or a running run.
        out: the folder for the figures.
        style: what they are drawn for: a screen, both columns of a page (7 inches), or one column of it (3.4 inches).
        reference: another logbook of the same battery, drawn as a band behind E; several as [a.h5, b.h5], and then the
            band is where one more of their runs would lie.
    """
    from observatory.record.logbook import open_logbook
    from observatory.review.figures.plot import plot
    from observatory.review.figures.style import SHEETS

    others = [] if reference is None else [reference] if isinstance(reference, Path) else reference
    references = {str(path): open_logbook(path) for path in others}
    for path in plot(open_logbook(logbook), out, SHEETS[style], references):
        print(path)


def emergence(logbook: Path, json: bool = False, alpha: float = 0.05, delta: float = 0.2) -> None:
    """Say of each domain whether a region has emerged, at which level, when, and how sure that is.

    Args:
        logbook: the logbook, of a finished or a running run.
        json: print everything as JSON instead of a table.
        alpha: the error rate of the whole logbook.
        delta: how far above its untrained twins an index must be to count, in units of Hedges' g.
    """
    from json import dumps

    from rich.console import Console

    from observatory.record.logbook import open_logbook
    from observatory.review.judge.emergence import emergence
    from observatory.review.judge.evidence import Criteria
    from observatory.review.judge.verdict_table import verdict_table

    judged = emergence(open_logbook(logbook), Criteria(alpha, delta))
    if json:
        print(dumps(judged.to_json(), indent=1))
    else:
        Console().print(verdict_table(judged))


def lead(logbook: Path, first: str, second: str) -> None:
    """Say which of two curves of a run comes first, by how much: regions, competence, losses, alignment, benchmarks.

    Args:
        logbook: the logbook.
        first: a domain; its competence, as margin/math, accuracy/math or loss/math, or of all as margin or loss; a task
            such as math/magnitude_question; alignment, as alignment/norms/predictivity; a variable with one number a
            step such as train_loss; or a benchmark such as piqa/acc.
        second: another; or performance, for the margin of all tasks, each benchmark and each loss.
    """
    from observatory.record.logbook import open_logbook
    from observatory.review.effects.lead import lead
    from observatory.review.effects.lead_text import lead_text
    from observatory.review.effects.precedence import precedences
    from observatory.review.effects.series import series

    opened = open_logbook(logbook)
    if second != "performance":
        print(lead_text(lead(series(opened, first), series(opened, second))))
        return
    found = precedences(opened, first)
    print(*(one.text for one in found), sep="\n")
    if not found:
        print("can't say: neither competence nor a training loss was recorded, and no benchmark was imported")


def compare(logbooks: list[Path], out: Path | None = None, alpha: float = 0.05, delta: float = 0.2) -> None:
    """Judge several runs together, seeds of one model or models of several sizes: onsets, their spread, their order.

    Args:
        logbooks: the logbooks, two or more, of one battery.
        out: a folder for figures, as PNG and SVG, and for comparison.json.
        alpha: the error rate of each logbook.
        delta: how far above its untrained twins an index must be to count, in units of Hedges' g.
    """
    from json import dumps

    from rich.console import Console

    from observatory.record.logbook import open_logbook
    from observatory.review.comparison.compare import compare
    from observatory.review.comparison.figures import comparison_figures, write_figures
    from observatory.review.comparison.sizes import no_sizes
    from observatory.review.comparison.table import comparison_table, order_lines
    from observatory.review.judge.evidence import Criteria

    opened = {str(path): open_logbook(path) for path in logbooks}
    found = compare(opened, Criteria(alpha, delta))
    Console().print(comparison_table(found))
    print(*order_lines(found), sep="\n")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "comparison.json").write_text(dumps(found.to_json(), indent=1))
        for path in (out / "comparison.json", *write_figures(comparison_figures(opened, found), out)):
            print(path)
        if reason := no_sizes(found):
            print(f"no figure of sizes: {reason}")
