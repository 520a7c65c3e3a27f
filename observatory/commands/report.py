"""The command that writes the report."""

from __future__ import annotations

from pathlib import Path


def report(logbook: Path, out: Path = Path("report.html"), alpha: float = 0.05, delta: float = 0.2) -> None:
    """Write one self-contained page of what a logbook shows, which opens from the disk and asks no network.

    Args:
        logbook: the logbook, of a finished or a running run.
        out: the file for the page.
        alpha: the error rate of the whole logbook.
        delta: how far above its untrained twins an index must be to count, in units of Hedges' g.
    """
    from observatory.record.logbook import open_logbook
    from observatory.review.judge.evidence import Criteria
    from observatory.review.report.writing import write_report

    print(write_report(open_logbook(logbook), out, Criteria(alpha, delta), name=logbook.resolve().parent.name))
