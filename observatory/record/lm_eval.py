"""Result files of lm-evaluation-harness, of its old format and of the one since version 0.4."""

from __future__ import annotations

import errno
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from observatory.record.benchmarks import Benchmarks, BenchmarkScore
from observatory.record.names import label

_STEP = re.compile(r"(?<![a-z])(?:step|checkpoint|ckpt)[-_=]?(\d{1,19})(?:-tokens\d+[kmbt])?(?![a-z\d])", re.IGNORECASE)
"""How suites of checkpoints and training programs write a step, OLMo's step1000-tokens4B among them."""
_MODEL = ("peft", "delta", "pretrained", "model")
"""The arguments that name the model; an adapter comes before what it adapts."""


class Result(NamedTuple):
    """What one file says."""

    path: Path
    model: str
    step: int
    scores: list[BenchmarkScore]


class Claim(NamedTuple):
    """A step, and where it is said."""

    step: int
    place: str


def read_results(paths: Sequence[Path], step: int | None = None, model: str = "") -> Benchmarks:
    """All scores in these files and folders.

    Each file must say its step: in the revision or the name of its model, or in its own name or a folder's. `step`
    is the step of those that do not. `model` is what the model is called, instead of the name in the files.
    """
    known: dict[tuple[int, str], tuple[BenchmarkScore, Path]] = {}
    named: Result | None = None
    for result in _results(paths, step):
        if named and result.model and result.model != named.model and not model:
            raise ValueError(
                f"these are results of two models, {named.model} in {named.path} and {result.model} in {result.path}; "
                f"import each into a logbook of its own, or, if they are one, give its name (--model)"
            )
        named = named or (result if result.model else None)
        for score in result.scores:
            other, elsewhere = known.setdefault((score.step, score.benchmark), (score, result.path))
            if other != score:
                raise ValueError(
                    f"{score.benchmark} at step {score.step} is {_shown(other)} in {elsewhere} and {_shown(score)} in "
                    f"{result.path}; give only one of the two"
                )
    return Benchmarks(tuple(known[key][0] for key in sorted(known)), model or (named.model if named else ""))


def _results(paths: Sequence[Path], step: int | None) -> Iterator[Result]:
    for path, content in _contents(paths):
        arguments = _arguments(content)
        try:
            when = _step(path, arguments, step)
            yield Result(path, _model(arguments), when, list(_scores(content, when)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}; mend that, or leave the file out") from error


def _contents(paths: Sequence[Path]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every result file. What else a folder holds is passed over, but a damaged file in it is not."""
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*.json") if file.is_file())
            results = [(file, content) for file in files if _is_result(content := _json(file))]
            if not results:
                raise ValueError(
                    f"{path} holds no result file: of its {len(files)} .json files none has 'results' in it; give the "
                    f"folder that lm-evaluation-harness wrote to"
                )
            yield from results
        else:
            content = _json(path)
            if not _is_result(content):
                raise ValueError(
                    f"{path} is not a result file: it has no 'results' by task; give files that lm-evaluation-harness "
                    f"wrote"
                )
            yield path, content


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "there is no such result file or folder", str(path)) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a result file: it is not JSON, or not all of it ({error}); give files that "
            f"lm-evaluation-harness wrote"
        ) from error


def _is_result(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("results"), dict)


def _arguments(content: Mapping[str, Any]) -> dict[str, str]:
    """What the harness was told of the model, be it written as one text or as a mapping."""
    config = _mapping(content.get("config"))
    given = config.get("model_args")
    if isinstance(given, str):
        given = dict(word.strip().split("=", 1) for word in given.split(",") if "=" in word)
    told = {"model": content.get("model_name"), "revision": config.get("model_revision"), **_mapping(given)}
    return {key: value for key, value in told.items() if isinstance(value, str)}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _model(arguments: Mapping[str, str]) -> str:
    """Its name without the step, which is a part of it where each checkpoint is a folder."""
    name = next((arguments[key] for key in _MODEL if arguments.get(key)), "")
    return label(_STEP.sub("*", name)) if name else ""


def _step(path: Path, arguments: Mapping[str, str], given: int | None) -> int:
    # Of the path the nearest name counts: a folder further out may be called after anything.
    named = next((part for part in reversed(path.parts) if _STEP.search(part)), "")
    places = {f"its {key} {arguments.get(key, '')!r}": arguments.get(key, "") for key in ("revision", *_MODEL)}
    claims = [Claim(given, "what was given")] if given is not None else []
    for place, text in {**places, f"the name {named!r}": named}.items():
        claims += [Claim(int(digits), place) for digits in _STEP.findall(text)]
    if not claims:
        raise ValueError(
            f"it does not say of which step it is: its revision is {arguments.get('revision', 'not given')!r}, and no "
            f"name on the way to it has a step; put it into a folder step1000, say, or give the step (--step 1000)"
        )
    if others := [claim for claim in claims if claim.step != claims[0].step]:
        first, second = claims[0], others[0]
        raise ValueError(f"it is of step {first.step} by {first.place} and of step {second.step} by {second.place}")
    return claims[0].step


def _scores(content: Mapping[str, Any], step: int) -> list[BenchmarkScore]:
    """Since version 0.4 a metric is called `acc,none`, after its filter, and a number without a comma is no score."""
    parts = [_mapping(content.get(part)) for part in ("results", "groups")]
    tasks = [(name, _mapping(values)) for part in parts for name, values in part.items()]
    filtered = any("," in key for _, values in tasks for key in values)
    scores = []
    for name, values in tasks:
        for key, value in values.items():
            metric, comma, kind = key.partition(",")
            if bool(comma) != filtered or metric.endswith("_stderr") or (score := _number(value)) is None:
                continue
            error = _number(values.get(f"{metric}_stderr{comma}{kind}"))
            known = None if error is None or math.isnan(error) else error
            scores.append(BenchmarkScore(step, f"{name}/{metric if kind == 'none' else key}", score, known))
    if not scores:
        raise ValueError(f"it holds no score: none of its {len(tasks)} tasks has a number")
    return scores


def _number(value: object) -> float | None:
    """None for what is no number, as the harness's "N/A"."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _shown(score: BenchmarkScore) -> str:
    return f"{score.score}" if score.error is None else f"{score.score} ± {score.error}"
