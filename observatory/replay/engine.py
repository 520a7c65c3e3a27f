"""Measures saved checkpoints, one after another, into the logbook that the live run would have written."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from observatory.choice import due, instruments_from
from observatory.forecast import forecast
from observatory.measure.on_twins import OF_TWINS
from observatory.observation import Gap, Instrument, Observation, Recorder
from observatory.observe import Observatory
from observatory.record.logbook import Logbook
from observatory.replay.bench import Foreign, Job, Settings
from observatory.replay.checkpoints import find_checkpoints
from observatory.replay.crew import Alone, Crew, processes
from observatory.replay.doctor import examine_quickly
from observatory.replay.downloads import tokenizer_of
from observatory.replay.fetching import Room
from observatory.replay.findings import Finding
from observatory.replay.hub_hashes import hub_hashes
from observatory.replay.places import Checkpoint, Remote
from observatory.stimuli.battery import Battery, load_battery
from observatory.watch import Watch, refuse_another

_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
Result = tuple[Job, Observation | Gap]


def replay(
    source: str | Path,
    out: str | Path,
    *,
    steps: str = "all",
    stage: str | None = None,
    battery: Battery | Path | str | Sequence[Path | str] | None = None,
    tokenizer: str | Path | None = None,
    instruments: Sequence[str | Instrument] | None = None,
    twins: int | None = None,
    model: str | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    workers: int = 1,
    ray: str | None = None,
    disk_gb: float | None = None,
    tokens_per_step: int | None = None,
    trust_remote_code: bool = False,
    despite_faults: bool = False,
    recorders: Sequence[Recorder] = (),
    progress: bool = False,
) -> Path:
    """Observes every checkpoint that the logbook does not hold yet; a checkpoint that cannot be read is a gap.

    Args:
        source: a folder of checkpoints, or a repository on the hub, as `find_checkpoints` takes them.
        out: the logbook; one that exists is continued.
        steps: `all`, or a schedule that selects.
        stage: of a run whose steps start anew in every stage, the one that is meant.
        battery: what is shown; a folder of data files, or the built-in one, or several together.
        tokenizer: where to load it from, if not from the checkpoints themselves.
        instruments: what is measured, by name or made by you; `contrast` unless said otherwise.
        twins: how many re-initialised twins are measured at the first checkpoint; 16, or fewer of a large model.
        model: `package.module:function` that makes the model, where the checkpoints do not say how.
        dtype: of the weights while they are measured.
        device: where they are measured.
        workers: processes on this machine; the logbook is the same for any number of them with as many threads.
        ray: the address of a Ray cluster whose workers do it, or `local`.
        disk_gb: removes downloads once they are measured, and never lets them take more than this.
        tokens_per_step: where neither names nor files tell.
        trust_remote_code: runs code that comes with a checkpoint.
        despite_faults: measures those too of which the doctor says that they are not what their step says.
        recorders: where observations go beside the logbook.
        progress: draws a bar with the time that is left.
    """
    if workers < 1:
        raise ValueError(f"workers counts processes, 1 or more; got {workers}")
    checkpoints = find_checkpoints(source, steps, stage, tokens_per_step)
    settings = Settings(
        tokenizer=str(tokenizer or _tokenizer_of(checkpoints)),
        battery=battery if isinstance(battery, Battery) else load_battery(battery),
        instruments=instruments_from(instruments),
        twins=twins,
        model=model,
        dtype=dtype,
        device=device,
        room=None if disk_gb is None else Room(Path(f"{out}.downloads"), int(disk_gb * 10**9)),
        trust_remote_code=trust_remote_code,
    )
    observatory = settings.observatory()
    findings = examine_quickly(checkpoints, hub_hashes(checkpoints))
    faulty = {} if despite_faults else _faulty(findings)
    with Logbook(out) as logbook, closing(Watch(observatory, (logbook, *recorders), logbook.last())) as watch:
        _refuse_other_settings(logbook.last(), settings)
        for finding in findings:
            if finding.severity != "note":
                watch.note(f"{finding.severity}: {finding.text}")
        missing = [one for one in checkpoints if one.step not in logbook.steps and one.step not in faulty]
        if missing:
            with _cleared(settings.room), _crew(settings, workers, ray) as crew:
                _fill(checkpoints, missing, crew, watch, logbook, observatory, progress)
        for one in checkpoints:
            if one.step in faulty and one.step not in logbook.steps:
                watch.gap(Gap(step=one.step, tokens=one.tokens, reason=f"not measured: {faulty[one.step]}"))
        if not logbook.steps:
            first = min(logbook.gaps, key=lambda gap: gap.step)
            raise ValueError(f"not one of {len(checkpoints)} checkpoints could be measured: {first.reason}")
        logbook.describe({"doctor": json.dumps([asdict(one) for one in findings]), **_origin(source, checkpoints)})
    return Path(out)


def _origin(source: str | Path, checkpoints: Sequence[Checkpoint]) -> dict[str, str | int]:
    """Where they are from, and what of the run is known."""
    last = checkpoints[-1]
    known = {"stage": last.stage or None, "seed": last.seed}
    return {"source": str(source), **{name: value for name, value in known.items() if value is not None}}


def _faulty(findings: Sequence[Finding]) -> dict[int, str]:
    """Why a checkpoint is not measured: it would give the numbers of another state than its step says."""
    return {step: one.text for one in reversed(findings) if one.severity == "error" for step in one.steps}


def _refuse_other_settings(last: Observation | None, settings: Settings) -> None:
    """What can be told before a model is loaded."""
    if last is not None:
        words = "; ".join(repr(instrument) for instrument in settings.instruments)
        refuse_another(last.provenance, {"settings": words, "dtype": settings.dtype})


@contextmanager
def _cleared(room: Room | None) -> Iterator[None]:
    if room is None:
        yield
        return
    room.clear()
    try:
        yield
    finally:
        room.clear()


def _crew(settings: Settings, workers: int, ray: str | None) -> Alone | Crew:
    if ray is not None:
        from observatory.replay.cluster import ray_workers

        return ray_workers(settings, workers, ray)
    return Alone(settings) if workers == 1 else processes(settings, workers)


def _fill(
    checkpoints: Sequence[Checkpoint],
    missing: Sequence[Checkpoint],
    crew: Alone | Crew,
    watch: Watch,
    logbook: Logbook,
    observatory: Observatory,
    progress: bool,
) -> None:
    """Records the missing ones in their order. One that is recorded before others changes what is next to it alone."""
    known = logbook.last()
    doubted: list[Gap] | None = None if known is None else []
    """What could not be read, for as long as nothing has shown that the logbook is of this model."""
    results = _results(checkpoints, missing, crew, known, logbook.steps)
    for job, result in tqdm(results, total=len(missing), unit="checkpoint", disable=not progress):
        if isinstance(result, Gap):
            if doubted is None:
                watch.gap(result)
            else:
                doubted.append(result)
                _refuse_foreign(doubted, logbook, enough=2)
            continue
        _send(doubted or [], watch)
        doubted = None
        previous = logbook.last(before=result.step)
        after = -1 if previous is None else previous.step
        if _due(observatory, job, after) != _due(observatory, job, job.after):  # one before it could not be read
            result = crew.submit(replace(job, after=after, then=None)).result()
            assert isinstance(result, Observation)
        first = not watch.observed
        if later := [step for step in logbook.steps if step > result.step]:
            following = logbook.last(before=min(later) + 1)
            assert following is not None
            # First, since whoever is killed now measures the other one again and comes by here.
            logbook.record(observatory.since(observatory.since(previous, result), following))
        taken = watch.take(result, previous)
        if first:
            watch.note(forecast(taken, observatory.instruments, [one.step for one in checkpoints]))
    _refuse_foreign(doubted or [], logbook, enough=1)
    _send(doubted or [], watch)


def _refuse_foreign(gaps: Sequence[Gap], logbook: Logbook, enough: int) -> None:
    """One checkpoint of another model is a gap; if nothing fits the logbook, it is the logbook of another run."""
    known = {gap.step for gap in logbook.gaps}
    foreign = [gap for gap in gaps if isinstance(gap, Foreign) and gap.step not in known]
    if len(foreign) >= enough:
        raise ValueError(foreign[0].reason)


def _send(gaps: Sequence[Gap], watch: Watch) -> None:
    for gap in gaps:
        watch.gap(gap)


def _due(observatory: Observatory, job: Job, after: int) -> list[str]:
    return [one.name for one in due(observatory.instruments, after, job.checkpoint.step, job.last)]


def _results(
    checkpoints: Sequence[Checkpoint],
    missing: Sequence[Checkpoint],
    crew: Alone | Crew,
    known: Observation | None,
    observed: Sequence[int],
) -> Iterator[Result]:
    """In the order of the checkpoints. Until one has been measured, one at a time: it says what twins are like."""
    steps = {*observed, *(one.step for one in checkpoints)}
    waiting: deque[tuple[Job, Future[Observation | Gap]]] = deque()
    for checkpoint, then in zip(missing, [*missing[1:], None], strict=True):
        job = Job(
            checkpoint,
            after=max((step for step in steps if step < checkpoint.step), default=-1),
            last=checkpoint is checkpoints[-1],
            then=then,
            twins={n: v for n, v in known.variables.items() if n.endswith(OF_TWINS)} if known else {},
            provenance=known.provenance if known else {},
        )
        waiting.append((job, crew.submit(job)))
        while waiting and (known is None or len(waiting) > crew.ahead):
            done, future = waiting.popleft()
            result = future.result()
            known = known or (result if isinstance(result, Observation) else None)
            yield done, result
    for done, future in waiting:
        yield done, future.result()


def _tokenizer_of(checkpoints: Sequence[Checkpoint]) -> Path:
    """That of the last checkpoint that has one, or what lies beside the checkpoints."""
    last = checkpoints[-1].place
    if isinstance(last, Remote):
        return tokenizer_of(last)
    places = [one.place for one in reversed(checkpoints) if isinstance(one.place, Path)]
    homes = [place if place.is_dir() else place.parent for place in places]
    for folder in (*homes, last.parent):
        if any((folder / name).exists() for name in _TOKENIZERS):
            return folder
    return homes[0]
