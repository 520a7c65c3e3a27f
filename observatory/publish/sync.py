"""Sends a finished logbook to Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from observatory.publish.session import Session
from observatory.publish.wandb_run import WandbRun
from observatory.record.identity import identify


def sync_to_wandb(logbook: Path, project: str, init: Mapping[str, Any]) -> str:
    """Tells what a live recorder would have told, but for alerts, and returns where it is to be seen.

    Raises whatever goes wrong.
    """
    identify(logbook)  # before a run is begun in vain

    import wandb

    with wandb.init(project=project, resume="allow", reinit="create_new", **init) as run:
        session = Session(WandbRun(run, ours=True, lightning=False), logbook)
        session.catch_up()
        session.finish()
        return str(run.settings.sync_dir if run.offline else run.url)
