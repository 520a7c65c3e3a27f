"""Shows observations in Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from observatory.publish.destination import Destination
from observatory.publish.publishing_recorder import PublishingRecorder
from observatory.publish.session import DRAWING, JUDGING
from observatory.publish.wandb_run import WandbRun


class WandbRecorder(PublishingRecorder):
    """In the run of the trainer's WandbLogger, in the one that is active, or else in one of its own."""

    def __init__(
        self,
        project: str | None = None,
        init: Mapping[str, Any] | None = None,
        judging: float = JUDGING,
        drawing: float = DRAWING,
    ) -> None:
        """Nothing need be given.

        Args:
            project: of a run of its own.
            init: what else `wandb.init` is given for a run of its own, such as entity, name, group, or id and resume.
            judging: the share of the run's time that verdicts may take before its end.
            drawing: that of figures and the report.
        """
        super().__init__(judging, drawing)
        self._project, self._init = project, dict(init or {})

    def open(self, logbook: Path | None, loggers: Sequence[object]) -> Destination:
        import wandb

        for logger in loggers:
            if any(kind.__name__ == "WandbLogger" for kind in type(logger).__mro__):  # of either package of Lightning's
                return WandbRun(logger.experiment, ours=False, lightning=True)  # type: ignore[attr-defined]
        if wandb.run is not None:
            return WandbRun(wandb.run, ours=False, lightning=False)
        return WandbRun(wandb.init(**{"project": self._project, **self._init}), ours=True, lightning=False)
