"""What other programs measured on the run's checkpoints: scores of benchmarks, by training step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from observatory.record import names
from observatory.record.payload import join, pack, split, unpack


@dataclass(frozen=True)
class BenchmarkScore:
    """What one benchmark says of the model at one step."""

    step: int
    benchmark: str
    """The task and its metric, as `lambada_openai/acc`."""
    score: float
    error: float | None = None
    """The standard error; None where none is known."""

    def __post_init__(self) -> None:
        names.step(self.step)
        names.label(self.benchmark)
        if not math.isfinite(self.score):
            raise ValueError(f"the score of {self.benchmark} is {self.score}, and a score is a finite number")
        if self.error is not None and not 0 <= self.error < math.inf:
            raise ValueError(f"the standard error of {self.benchmark} is {self.error}; it is from 0 on, or None")


@dataclass(frozen=True)
class Benchmarks:
    """Scores of one model."""

    scores: tuple[BenchmarkScore, ...] = ()
    model: str = ""
    """Its name; empty where it is not known."""

    def __post_init__(self) -> None:
        if self.model:
            names.label(self.model)

    def with_later(self, later: Benchmarks) -> Benchmarks:
        """Both, sorted; a later score replaces the earlier one of its step and benchmark."""
        kept = {(score.step, score.benchmark): score for score in (*self.scores, *later.scores)}
        return Benchmarks(tuple(kept[key] for key in sorted(kept)), later.model or self.model)

    def lines(self) -> list[str]:
        """One a benchmark: at how many steps, the first score and the last."""
        trajectories: dict[str, list[BenchmarkScore]] = {}
        for score in sorted(self.scores, key=lambda score: (score.benchmark, score.step)):
            trajectories.setdefault(score.benchmark, []).append(score)
        width = max(map(len, trajectories), default=0)
        return [
            f"{benchmark:<{width}}  {len(scores):>4} step{'s' if len(scores) > 1 else ' '}  "
            + " .. ".join(f"{score.score:.4g} at {score.step:,}" for score in dict.fromkeys((scores[0], scores[-1])))
            for benchmark, scores in trajectories.items()
        ]

    def payload(self) -> bytes:
        labels = sorted({score.benchmark for score in self.scores})
        place = {label: number for number, label in enumerate(labels)}
        columns = {
            "step": np.array([score.step for score in self.scores], np.int64),
            "benchmark": np.array([place[score.benchmark] for score in self.scores], np.int64),
            "score": np.array([score.score for score in self.scores], np.float64),
            "error": np.array([or_nan(score.error) for score in self.scores], np.float64),
        }
        meta = {"model": self.model, "benchmarks": labels}
        return join(meta, {name: pack(column) for name, column in columns.items()})

    @classmethod
    def from_payload(cls, payload: bytes) -> Benchmarks:
        meta, arrays = split(payload)
        columns = (unpack(arrays[name]).tolist() for name in ("step", "benchmark", "score", "error"))
        scores = (
            BenchmarkScore(step, meta["benchmarks"][place], score, or_none(error))
            for step, place, score, error in zip(*columns, strict=True)
        )
        return cls(tuple(scores), meta["model"])


def or_nan(error: float | None) -> float:
    """As files hold an error that is not known."""
    return math.nan if error is None else error


def or_none(error: float) -> float | None:
    return None if math.isnan(error) else error
