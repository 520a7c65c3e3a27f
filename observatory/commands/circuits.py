"""Commands on circuits: which tasks share them, and what is lost without them."""

from __future__ import annotations

from pathlib import Path


def overlap(
    matrix: Path,
    formats: Path | None = None,
    clusters: int | None = None,
    json: bool = False,
    out: Path | None = None,
    seed: int = 0,
) -> None:
    """Say whether regions of tasks overlap by domain or by prompt format, from a task x task matrix.

    Args:
        matrix: a CSV file of overlaps from 0 to 1, rows and columns labelled domain/task.
        formats: a CSV file with the columns task, format and perhaps kind (the task with its format taken away).
        clusters: into how many the tasks are cut; as many as there are domains, and formats, if not told.
        json: print everything as JSON instead of tables.
        out: a folder for the figure, as PNG and SVG, and for overlap.json.
        seed: of the relabellings behind p.
    """
    from json import dumps

    from rich.console import Console

    from observatory.review.figures.overlap_matrix import write_overlap_matrix
    from observatory.review.sharing.matrix_file import read_matrix
    from observatory.review.sharing.overlap_report import overlap_report
    from observatory.review.sharing.overlap_table import overlap_table

    file = read_matrix(matrix, formats)
    report = overlap_report(file.matrix, file.tasks, clusters, seed)
    text = dumps(report.to_json(), indent=1)
    if json:
        print(text)
    else:
        Console().print(overlap_table(report))
    if out is not None:
        written = [*write_overlap_matrix(file.matrix, file.tasks, out), out / "overlap.json"]
        written[-1].write_text(text)
        if not json:  # the output stays JSON
            print(*written, sep="\n")


def circuits(logbook: Path, json: bool = False, space: str = "mlp", share: float = 0.01, alpha: float = 0.05) -> None:
    """Say at each step whether tasks share units by domain or by format, how many stay, and in which layers they lie.

    Args:
        logbook: the logbook, of a finished or a running run, with the instrument circuits.
        json: print everything as JSON instead of tables.
        space: whose units: mlp or heads.
        share: of the units in a circuit, for the verdict; the other shares recorded stand beside it.
        alpha: the error rate of each step's verdict, and of calling tasks done.
    """
    from json import dumps

    from rich.console import Console

    from observatory.record.logbook import open_logbook
    from observatory.review.sharing.circuit_record import Choice
    from observatory.review.sharing.circuits import circuits
    from observatory.review.sharing.circuits_table import circuits_table

    report = circuits(open_logbook(logbook), Choice(space, share, alpha))
    if json:
        print(dumps(report.to_json(), indent=1))
    else:
        Console().print(circuits_table(report))


def lesions(logbook: Path, json: bool = False, alpha: float = 0.05, name: str = "lesions") -> None:
    """Say what the lesion of each domain's region does, to its own domain and to others, beside random units.

    Args:
        logbook: the logbook, of a finished or a running run, with the instrument lesions.
        json: print everything as JSON instead of tables.
        alpha: the error rate of one matrix of effects, that is of one step.
        name: under which the lesions were recorded, where it is not the usual one.
    """
    from json import dumps

    from rich.console import Console

    from observatory.record.logbook import open_logbook
    from observatory.review.effects.lesion_effects import LesionCriteria, lesion_effects
    from observatory.review.effects.lesion_table import lesion_table, to_json

    found = lesion_effects(open_logbook(logbook), LesionCriteria(alpha), name)
    if json:
        print(dumps(to_json(found), indent=1))
    else:
        Console().print(lesion_table(found))
