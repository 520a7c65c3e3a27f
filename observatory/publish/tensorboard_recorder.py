"""Shows observations in TensorBoard, by the names that they have in Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from observatory.publish.destination import Destination, Told
from observatory.publish.judgement import COLUMNS, Cell
from observatory.publish.publishing_recorder import PublishingRecorder
from observatory.publish.scalars import PREFIX
from observatory.publish.session import DRAWING, JUDGING


class TensorBoardRecorder(PublishingRecorder):
    """In the folder of the trainer's TensorBoardLogger, or in one beside the logbook."""

    def __init__(self, folder: str | Path | None = None, judging: float = JUDGING, drawing: float = DRAWING) -> None:
        """Nothing need be given.

        Args:
            folder: for the event files; given, the trainer's logger is left alone.
            judging: the share of the run's time that verdicts may take before its end.
            drawing: that of figures.
        """
        super().__init__(judging, drawing)
        self._folder = folder

    def open(self, logbook: Path | None, loggers: Sequence[object]) -> Destination:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"{error}; pip install 'observatory[tensorboard]'") from error

        if self._folder is None:
            for logger in loggers:
                if any(kind.__name__ == "TensorBoardLogger" for kind in type(logger).__mro__):
                    return EventFile(logger.experiment, ours=False)  # type: ignore[attr-defined]
        beside = Path("tensorboard") if logbook is None else logbook.parent / "tensorboard" / logbook.stem
        # What an earlier process wrote there is dropped, since all of the logbook is shown again.
        return EventFile(SummaryWriter(str(self._folder or beside), purge_step=0), ours=True)


class EventFile(Destination):
    """The axis is the step; tokens are a curve of their own."""

    def __init__(self, writer: Any, ours: bool) -> None:
        self._writer, self._ours = writer, ours

    def tell(self, told: Told) -> None:
        step = told.row.step
        for name, value in told.row.scalars.items():
            self._writer.add_scalar(name, value, step)
        for name, png in told.figures.items():
            self._writer.add_image(f"{PREFIX}/figures/{name}", _pixels(png), step, dataformats="HWC")
        if told.judged is not None:
            self._writer.add_text(f"{PREFIX}/regions", _markdown(told.judged.regions), step)
            for name, said in told.judged.summary.items():
                if isinstance(said, str):
                    self._writer.add_text(name, escape(said), step)
                elif said is not None:
                    self._writer.add_scalar(name, said, step)
        self._writer.flush()

    def alert(self, title: str, text: str) -> None:
        self._writer.add_text(f"{PREFIX}/emerged", escape(text))

    def close(self) -> None:
        self._writer.flush()
        if self._ours:
            self._writer.close()


def _pixels(png: bytes) -> Any:
    from PIL import Image

    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def _markdown(regions: Sequence[Mapping[str, Cell]]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *([_cell(region[name]) for name in COLUMNS] for region in regions)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else escape(str(value)).replace("|", "&#124;")
