"""Which checkpoints a repository on the hub holds: its revisions that are named as such, or else its folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from observatory.replay.listing import files_of, revisions_of, weights_among
from observatory.replay.places import Checkpoint, Remote
from observatory.replay.retry import HURRIED, Patience
from observatory.replay.suites import Moment, moment, suite

_MAIN = "main"
_KNOWN = "step1000, stage1-step1000-tokens5B, ckpt_100 and their like"


def hub_checkpoints(source: str, patience: Patience = HURRIED) -> list[Checkpoint]:
    """All of a repository by stage and step, or those that are selected.

    Args:
        source: `owner/name`; `owner/name@step1000`; `owner/name@step0,step512`; `owner/name@step0..step1000`, which
            has both its ends. `main` counts where it is asked for by name.
        patience: how long to try; shorter than for a download, since somebody is waiting to see it start.
    """
    repository, _, selection = source.partition("@")
    commits = revisions_of(repository, patience)
    places = {name: Remote(repository, name, commit=commit) for name, commit in commits.items() if moment(name)}
    found = [_checkpoint(place, place.revision) for place in places.values()] or _in_folders(
        repository, commits, patience
    )
    ordered = sorted(found, key=lambda one: (one.stage, one.step))
    if selection:
        return _chosen(selection, ordered, repository, commits)
    if not ordered:
        raise ValueError(
            f"{repository} has no checkpoints: looked for revisions and folders called {_KNOWN}, found the revisions "
            f"{_some(list(commits))}" + _top(repository, commits, patience)
        )
    return ordered


def _in_folders(repository: str, commits: Mapping[str, str], patience: Patience) -> list[Checkpoint]:
    """Of the main revision, those that hold weights."""
    if _MAIN not in commits:
        return []
    inside: dict[str, list[str]] = {}
    for file in files_of(repository, commits[_MAIN], patience):
        path = PurePosixPath(file.path)
        inside.setdefault(str(path.parent), []).append(path.name)
    return [
        _checkpoint(Remote(repository, _MAIN, folder, commits[_MAIN]), PurePosixPath(folder).name)
        for folder, names in inside.items()
        if moment(PurePosixPath(folder).name) and weights_among(names)
    ]


def _checkpoint(place: Remote, name: str, told: Moment | None = None) -> Checkpoint:
    known, told = suite(place.repository), told or moment(name)
    assert told is not None
    tokens = told.tokens if told.tokens is not None else (known.tokens_per_step or 0) * told.step
    return Checkpoint(told.step, tokens, place, name, told.stage, known.seed)


def _chosen(
    selection: str, found: Sequence[Checkpoint], repository: str, commits: Mapping[str, str]
) -> list[Checkpoint]:
    chosen: list[Checkpoint] = []
    for part in selection.split(","):
        first, dots, last = (word.strip() for word in part.partition(".."))
        low = _called(first, found, repository, commits)
        if not dots:
            chosen.append(low)
            continue
        high = _called(last, found, repository, commits)
        if low.stage != high.stage or low.step > high.step:
            raise ValueError(f"{first}..{last} is no range: both ends are of one stage, and the earlier comes first")
        chosen += [one for one in found if one.stage == low.stage and low.step <= one.step <= high.step]
    return list(dict.fromkeys(chosen))


def _called(name: str, found: Sequence[Checkpoint], repository: str, commits: Mapping[str, str]) -> Checkpoint:
    if same := [one for one in found if one.name == name]:
        return same[0]
    final = suite(repository).final_step
    if name == _MAIN and name in commits and final is not None:
        return _checkpoint(Remote(repository, name, commit=commits[name]), name, Moment(final))
    if name in commits:
        raise ValueError(f"{repository}@{name} does not say of which step it is; {_there_are(found, None)}")
    raise ValueError(f"{repository} has no {name}; {_there_are(found, moment(name))}")


def _there_are(found: Sequence[Checkpoint], sought: Moment | None) -> str:
    if not found:
        return f"it has no checkpoints, which are called {_KNOWN}"
    there = f"it has {len(found)} checkpoints, {found[0].name} to {found[-1].name}"
    if sought is None:
        return there
    near = sorted(found, key=lambda one: (one.stage != sought.stage, abs(one.step - sought.step)))[:2]
    return f"{there}; near it are {' and '.join(one.name for one in sorted(near, key=lambda one: one.step))}"


def _top(repository: str, commits: Mapping[str, str], patience: Patience) -> str:
    if _MAIN not in commits:
        return ""
    names = dict.fromkeys(file.path.split("/")[0] for file in files_of(repository, commits[_MAIN], patience))
    return f", and in main {_some(list(names))}"


def _some(names: Sequence[str]) -> str:
    return (", ".join(names[:5]) or "nothing") + (", ..." if len(names) > 5 else "")
