"""The command that sends a finished logbook to a tracker."""

from __future__ import annotations

from pathlib import Path


def sync(
    logbook: Path,
    project: str = "observatory",
    entity: str | None = None,
    name: str | None = None,
    id: str | None = None,
) -> None:
    """Send a logbook to Weights & Biases: what a live run would have shown there, as one run.

    Args:
        logbook: the logbook, of a finished or a running run.
        project: where to.
        entity: whose project, if not your own.
        name: of the run; its file name unless given.
        id: of a run that is there already, to send what it lacks.
    """
    from wandb import Error

    from observatory.publish.sync import sync_to_wandb

    try:
        print(sync_to_wandb(logbook, project, {"entity": entity, "name": name or logbook.stem, "id": id}))
    except Error as error:
        raise ValueError(f"Weights & Biases refuses {logbook}: {error}") from error
