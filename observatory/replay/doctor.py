"""Whether each checkpoint of a suite is what its step says: first from the files alone, then from the weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path

from observatory.replay.beside import changes_beside
from observatory.replay.course import course, course_findings
from observatory.replay.findings import Finding, at_steps, in_order
from observatory.replay.fingerprints import identities, repeats
from observatory.replay.grid import missing_steps
from observatory.replay.known_faults import Hashes, known_faults
from observatory.replay.places import Checkpoint
from observatory.replay.samples import TensorSample, sample
from observatory.replay.tensors import Samples, tensor_findings
from observatory.replay.weights import open_weights

_FIRST_STEPS = 16
"""So many steps may have changed nothing: the learning rate begins at 0, and float16 skips steps that overflow."""
_SHARED = ("duplicate", "final weights", "foreign part")


def examine_quickly(checkpoints: Sequence[Checkpoint], hashes: Hashes | None = None) -> tuple[Finding, ...]:
    """What can be told without reading a tensor.

    Args:
        checkpoints: of one run and one stage, on this machine or on the hub.
        hashes: of those on the hub, the sha256 of each file by its name, as the hub lists it.
    """
    _of_one_run(checkpoints)
    steps = [one.step for one in checkpoints]
    words = {one.step: _weights_among(hashes[one]) for one in checkpoints if hashes and one in hashes and hashes[one]}
    found, files = _opened(checkpoints)
    known = identities([file for several in files.values() for file in several])
    words |= {step: {file.name: known[file] for file in several} for step, several in files.items()}
    local = {one.step: one.place for one in checkpoints if isinstance(one.place, Path)}
    shared = [_diverged(one) if _not_numbers(one, files) else one for one in repeated(words, "file")]
    return in_order(
        [*found, *_missing(steps), *known_faults(checkpoints, hashes or {}), *shared, *changes_beside(local)]
    )


def _not_numbers(shared: Finding, files: Mapping[int, tuple[Path, ...]]) -> bool:
    """Whether what they share is nan, as all is from where a run diverged on, and is no other step's for that."""
    read = (sample(file).values() for file in files.get(shared.steps[0], ()))
    return any(isnan(tensor.norm) for tensors in read for tensor in tensors)


def _diverged(shared: Finding) -> Finding:
    told = f"{at_steps(shared.steps)} hold the same weights, which are not numbers: the run diverged; leave them out"
    return Finding("not finite", shared.steps, told, "warning")


def examine(checkpoints: Sequence[Checkpoint], progress: Callable[[str], None] | None = None) -> tuple[Finding, ...]:
    """What the weights tell beside; those on this machine are read once, and a few thousand of each tensor kept.

    Args:
        checkpoints: of one run and one stage.
        progress: is told of each that has been read.
    """
    found = list(examine_quickly(checkpoints))
    samples = _sampled(checkpoints, found, progress)
    found += tensor_findings(samples)
    found += _new(found, repeated(_alike(samples), "tensor"))
    broken = {step for one in found if one.kind == "not finite" for step in one.steps}
    found = [one for one in found if one.kind not in _SHARED or not broken.issuperset(one.steps)]  # nan equals nan
    return in_order(_blamed(found, _course(samples, found), max(samples, default=0)))


def _sampled(
    checkpoints: Sequence[Checkpoint], found: list[Finding], progress: Callable[[str], None] | None
) -> dict[int, dict[str, TensorSample]]:
    samples = {}
    closed = {step for one in found if one.kind == "unreadable" for step in one.steps}
    here = {one.step: one.place for one in checkpoints if isinstance(one.place, Path) and one.step not in closed}
    for number, step in enumerate(sorted(here), 1):
        try:
            samples[step] = sample(here[step])
        except (ValueError, OSError, RuntimeError) as error:
            found.append(Finding("unreadable", (step,), f"{error}; it will be a gap", "warning"))
        if progress is not None:
            progress(f"step {step} read, {number} of {len(here)}")
    return samples


def _alike(samples: Samples) -> dict[int, dict[str, Hashable]]:
    """What stands for each matrix; a single vector may come back to what it was, in half precision."""
    found: dict[int, dict[str, Hashable]] = {}
    for step, tensors in samples.items():
        found[step] = {name: one.values.tobytes() for name, one in tensors.items() if len(one.shape) > 1}
        found[step]["all vectors"] = tuple(one.values.tobytes() for one in tensors.values() if len(one.shape) < 2)
    return found


def _course(samples: Samples, found: Sequence[Finding]) -> list[Finding]:
    """Without those of which it is known already that they do not belong there."""
    known = {step for one in found if one.kind in ("not finite", "zeros", "shapes") for step in one.steps}
    known |= {step for one in found if one.kind == "tensors" and one.severity != "note" for step in one.steps}
    known |= {step for one in found if one.kind == "unchanged start" for step in one.steps[1:]}
    known |= {step for one in found if one.kind == "final weights" and len(one.steps) > 1 for step in one.steps}
    way = course({step: tensors for step, tensors in samples.items() if step not in known})
    return course_findings(way) if way else []


def _new(known: Sequence[Finding], found: Sequence[Finding]) -> list[Finding]:
    """Of what was found in another way before, nothing again."""
    before = {(one.kind, one.steps) for one in known}
    return [one for one in found if (one.kind, one.steps) not in before and one.kind != "frozen part"]


def _blamed(known: Sequence[Finding], found: Sequence[Finding], last: int) -> list[Finding]:
    """Of checkpoints that share weights, the way tells which is out of its place."""
    off = {step for one in found for step in one.steps if one.kind in ("foreign", "foreign part", "splice")}
    kept, told = [], set[int]()
    for one in known:
        shared = one.kind in _SHARED
        guilty = off.intersection((*one.steps, last) if one.kind == "final weights" else one.steps) if shared else ()
        if guilty == {last} and one.kind == "final weights":
            told_of = f"step {last} holds the weights of {at_steps(one.steps)}, bit for bit; leave it out"
            kept.append(Finding("duplicate", (last,), told_of, "error"))
        else:
            kept.append(replace(one, steps=tuple(sorted(guilty))) if guilty else one)
        told |= {*guilty}
    return [*kept, *(one for one in found if not told.issuperset(one.steps) or not one.steps)]


def repeated(words: Mapping[int, Mapping[str, Hashable]], what: str) -> list[Finding]:
    """Checkpoints that share all of their parts, or some of them, by what stands for the content of each part."""
    every, dropped, found = sorted(words), set[int](), []
    for steps in repeats({step: tuple(sorted(words[step].items(), key=str)) for step in every}):
        found.append(_same(steps, every))
        dropped |= {*steps[:-1]}
    kept = [step for step in every if step not in dropped]
    sharing: dict[tuple[int, ...], list[str]] = {}
    for part in sorted({part for step in kept for part in words[step]}):
        for steps in repeats({step: words[step][part] for step in kept if part in words[step]}):
            if len(steps) < len(kept):  # what never changes is frozen
                sharing.setdefault(steps, []).append(part)
    return [*found, *(_same_part(steps, kept, parts, what) for steps, parts in sharing.items())]


def _same(steps: tuple[int, ...], every: Sequence[int]) -> Finding:
    if steps[0] == 0 and steps[-1] <= _FIRST_STEPS and _side_by_side(steps, every):
        told = (
            f"{at_steps(steps)} have the same weights: either the learning rate was still 0, or one was saved as the "
            f"other; measure one of them, and trust no difference in time between them"
        )
        return Finding("unchanged start", steps, told, "warning")
    if steps[-1] == every[-1]:
        told = f"{at_steps(steps[:-1])} hold the weights of the last, step {steps[-1]}, bit for bit; leave them out"
        return Finding("final weights", steps[:-1], told, "error")
    told = f"{at_steps(steps)} have the same weights, bit for bit, and at most one can be right; leave them out"
    return Finding("duplicate", steps, told, "error")


def _same_part(steps: tuple[int, ...], every: Sequence[int], parts: Sequence[str], what: str) -> Finding:
    named = f"{len(parts)} {what}{'s'[: len(parts) != 1]} ({', '.join(parts[:3])}{', ...' if len(parts) > 3 else ''})"
    if (every[0] in steps or every[-1] in steps) and _side_by_side(steps, every):
        told = f"{named} did not change from step {steps[0]} to {steps[-1]}: frozen then, or saved wrongly"
        return Finding("frozen part", steps, f"{told}; compare with how the run was trained", "warning")
    if steps[-1] == every[-1]:
        told = f"{named} of {at_steps(steps[:-1])} hold the weights of the last step, {steps[-1]}; leave it out"
        return Finding("foreign part", steps[:-1], told, "error")
    told = f"{named} are the same at {at_steps(steps)} while other weights differ; leave these steps out"
    return Finding("foreign part", steps, told, "error")


def _side_by_side(steps: Sequence[int], every: Sequence[int]) -> bool:
    start = every.index(steps[0])
    return tuple(every[start : start + len(steps)]) == tuple(steps)


def _opened(checkpoints: Sequence[Checkpoint]) -> tuple[list[Finding], dict[int, tuple[Path, ...]]]:
    """What cannot be opened, and the weight files of what can."""
    found, files = [], {}
    for one in checkpoints:
        if isinstance(one.place, Path):
            try:
                with open_weights(one.place) as weights:
                    files[one.step] = weights.files
            except (ValueError, OSError) as error:
                found.append(Finding("unreadable", (one.step,), f"{error}; it will be a gap", "warning"))
    return found, files


def _missing(steps: Sequence[int]) -> list[Finding]:
    if not (missing := missing_steps(steps)):
        return []
    told = f"{at_steps(missing)} should be there by the spacing of the others; fetch them, or do without"
    return [Finding("missing steps", missing, told, "warning")]


def _weights_among(files: Mapping[str, str]) -> dict[str, str]:
    from observatory.replay.listing import weights_among

    return {name: files[name] for name in weights_among(list(files))}


def _of_one_run(checkpoints: Sequence[Checkpoint]) -> None:
    steps = [one.step for one in checkpoints]
    if len(set(steps)) < len(steps):
        twice = next(step for step in steps if steps.count(step) > 1)
        raise ValueError(f"a suite has one checkpoint of each step, and this one has several of step {twice}")
