"""A run of Weights & Biases: rows on an axis of our own, which never close a row that is another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from observatory.publish.destination import Destination, Told
from observatory.publish.judgement import COLUMNS
from observatory.publish.scalars import PREFIX, STEP, TOKENS

TRACE = "wandb_runs"
_JOURNAL = f"{PREFIX}/logbook"
_JOINED: dict[str, tuple[int, str, float]] = {}
"""By run, the row of another's that holds an observation, and the logbook and step of that one: a second, of whatever
recorder, would overwrite it."""
_TITLE = 60
"""Letters; the title of an alert has fewer than 64."""


class WandbRun(Destination):
    """Rows are never given W&B's own step, which only ascends and is the trainer's.

    Whoever logs with `step=` loses what belongs to a row that somebody else has closed. So in a run of which we do not
    know how it is logged to, observations join whatever row is open, and wait while that one holds one already.
    """

    shows_html = True

    def __init__(self, run: Any, ours: bool, lightning: bool) -> None:
        """`ours` is a run begun for this; `lightning` one of its WandbLogger. Both may have their rows closed."""
        self._run, self._ours, self._lightning = run, ours, lightning
        self._closes = ours or lightning or run.settings.mode == "shared"  # which counts no steps
        self._waiting: list[dict[str, Any]] = []
        self._axis = self._journal = ""

    def holds(self, attributes: Mapping[str, object]) -> float:
        """By the summary, which W&B knows of a run that is resumed; offline, by what the logbook remembers."""
        self._journal, runs = str(attributes.get("journal", "")), str(attributes.get(TRACE, "")).split()
        self.trace = {TRACE: " ".join(dict.fromkeys([*runs, str(self._run.id)]))}
        summary = self._run.summary
        last = summary.get(STEP) if summary.get(_JOURNAL) == self._journal else None
        _, journal, step = _JOINED.get(self._run.id, (-1, "", 0.0))
        last = step if journal == self._journal else last  # which no summary has while its row is open
        summary[_JOURNAL] = self._journal
        self._run.config.update({PREFIX: _provenance(attributes)}, allow_val_change=True)
        if last is not None:
            return float(last)
        return float("inf") if self._run.id in runs else float("-inf")

    def tell(self, told: Told) -> None:
        import wandb

        self._define(told)
        row: dict[str, Any] = {STEP: told.row.step, TOKENS: told.row.tokens, **told.row.scalars}
        if self._lightning:
            row["trainer/global_step"] = told.row.step - 1  # Lightning's own row of the same step says so
        row |= {f"{PREFIX}/figures/{name}": wandb.Image(_picture(png)) for name, png in told.figures.items()}
        if told.report:
            row[f"{PREFIX}/report"] = wandb.Html(told.report, inject=False)
        if told.judged is not None:
            cells: list[Iterable[Any]] = [[region[name] for name in COLUMNS] for region in told.judged.regions]
            row[f"{PREFIX}/regions"] = wandb.Table(columns=list(COLUMNS), data=cells)
            self._run.summary.update(dict(told.judged.summary))
        self._waiting.append(row)
        self._deliver()

    def alert(self, title: str, text: str) -> None:
        self._run.alert(title[:_TITLE], text)

    def keep(self, logbook: Path) -> None:
        import wandb

        artifact = wandb.Artifact(f"observations-{self._run.id}", type="logbook")
        artifact.add_file(str(logbook))
        self._run.log_artifact(artifact)

    def close(self) -> None:
        while self._waiting:
            self._run.log({}, commit=True)
            self._deliver()
        if self._ours:
            self._run.finish()

    def _deliver(self) -> None:
        while self._waiting:
            if not self._closes:
                observation = self._journal, self._waiting[0][STEP]
                row, *held = _JOINED.get(self._run.id, (-1,))
                if row >= self._run.step and tuple(held) != observation:
                    return
                _JOINED[self._run.id] = self._run.step, *observation
            self._run.log(self._waiting.pop(0), commit=self._closes)

    def _define(self, told: Told) -> None:
        """Tokens are the axis; steps, where it is not known how many there were."""
        axis = STEP if told.row.step > 0 and not told.row.tokens else TOKENS
        if axis != self._axis and (not self._axis or told.row.step > 0):
            for name in (STEP, TOKENS):
                self._run.define_metric(name)
            self._run.define_metric(f"{PREFIX}/*", step_metric=axis)
            self._axis = axis


def _picture(png: bytes) -> Any:
    from PIL import Image

    return Image.open(BytesIO(png))


def _provenance(attributes: Mapping[str, object]) -> dict[str, str]:
    return {str(name): str(value) for name, value in attributes.items() if str(name).startswith("provenance_")}
