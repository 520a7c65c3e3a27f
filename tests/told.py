"""The observations of a planted logbook, recorded one after another as in a live run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from recorded import BATTERY
from verdicts import planted, step_up

from observatory import Logbook, Observation, Recorder, Variable

STEPS = [0, 10, 20, 40, 80, 160, 320, 640]
CURVES = {"early": step_up(STEPS, at=20), "late": step_up(STEPS, at=160), "never": step_up(STEPS, at=10**6)}


def run(tokens: int = 2048) -> xr.Dataset:
    """`early` emerges at step 20 and `late` at 160; an instrument of somebody's has a headline and its error."""
    score = ("step",), np.linspace(1, 2, len(STEPS)), {"headline": "score of a probe", "error": "error"}
    error = ("step",), np.full(len(STEPS), 0.05)
    return planted(STEPS, CURVES, tokens=tokens, loss=True).assign(probe_score=score, probe_error=error)


def losses(tokens: int = 2048) -> xr.Dataset:
    """The training loss alone: rows, and nothing to draw."""
    return run(tokens)[["train_loss"]]


def observations(logbook: xr.Dataset) -> Iterator[Observation]:
    for place, step in enumerate(logbook["step"].values):
        here = {str(name): v.isel(step=place) for name, v in logbook.data_vars.items() if "step" in v.dims}
        used = {dim for variable in here.values() for dim in variable.dims}
        yield Observation(
            step=int(step),
            tokens=int(logbook["tokens"].values[place]),
            time=1.7e9,
            seconds=0.5,
            variables={name: Variable(tuple(map(str, v.dims)), v.values, v.attrs) for name, v in here.items()},
            coordinates={str(name): v.values for name, v in logbook.coords.items() if name in used},
            provenance=BATTERY,
        )


def live(
    path: Path,
    logbook: xr.Dataset,
    recorder: Recorder,
    trained: Callable[[int], None] = lambda step: None,
    steps: Sequence[int] = STEPS,
    loggers: Sequence[object] = (),
) -> Path:
    """`trained` is what the trainer does at a step, before it is observed."""
    with Logbook(path) as book:
        recorder.begin((book, recorder), loggers)
        for observation in observations(logbook):
            if observation.step in steps:
                trained(observation.step)
                book.record(observation)
                recorder.record(observation)
        recorder.close()
    return path
