"""Whether the weights of a suite lie on one way from its first step to its last, and which of them do not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log

import numpy as np

from observatory.observation import Array
from observatory.replay import continuity as c
from observatory.replay.findings import Finding, at_steps
from observatory.replay.tensors import Samples, named

_EARLY = 16
"""So few steps do not make a model forget its initialisation, unless it goes on at that pace."""
_DESCENT = 4.0
_CLOSED = 0.75
"""Past an intrusion the way is shorter than into it; to a third run it would be as long."""
_STRAIGHT = 2.0
"""A part with no greater detour is in its place, though the whole is not."""


@dataclass(frozen=True)
class Course:
    """The moving tensors that all checkpoints have, in the order of the steps."""

    steps: tuple[int, ...]
    whole: Array
    """As `step entry`, the tensors of a part side by side."""
    spans: Mapping[str, slice]
    """The entries of each tensor."""
    matrices: frozenset[str]
    norms: Array
    """As `step tensor`."""

    def path(self, name: str) -> Array:
        """Of one tensor."""
        return self.whole[:, self.spans[name]]

    def parts(self) -> dict[str, Array]:
        """Of each layer, and of each tensor outside the layers."""
        spans: dict[str, slice] = {}
        for name, span in self.spans.items():
            part = part_of(name)
            spans[part] = slice(spans.get(part, span).start, span.stop)
        return {part: self.whole[:, span] for part, span in spans.items()}

    def turning(self) -> Array:
        """The cosine of each stride's ends, of the matrix that turned least: norms and biases all look alike."""
        return c.cosines([self.path(name) for name in sorted(self.matrices or self.spans)])

    def without(self, places: Collection[int]) -> Course:
        kept = [place for place in range(len(self.steps)) if place not in places]
        steps = tuple(self.steps[place] for place in kept)
        return replace(self, steps=steps, whole=self.whole[kept], norms=self.norms[kept])

    def exchanged(self, place: int) -> Course:
        """The steps stay; the weights of one checkpoint and the next are exchanged."""
        order = list(range(len(self.steps)))
        order[place : place + 2] = [place + 1, place]
        return replace(self, whole=self.whole[order], norms=self.norms[order])


def part_of(name: str) -> str:
    """The layer of a tensor, or else its own name."""
    number = re.search(r"\.(\d+)\.", name)
    return f"layer {number[1]}" if number else name


def course(samples: Samples) -> Course | None:
    """None where too few checkpoints, or nothing that moves, is left."""
    steps = tuple(sorted(samples))
    if len(steps) < 3:
        return None
    first = samples[steps[0]]
    shared = set.intersection(*(set(samples[step]) for step in steps))
    paths, spans, start = [], {}, 0
    for name in sorted(shared, key=lambda name: (part_of(name), name)):
        values = np.stack([samples[step][name].values for step in steps])
        if np.isfinite(values).all() and (values != values[0]).any():
            paths.append(values * np.float32((np.prod(first[name].shape) / values.shape[1]) ** 0.5))
            spans[name] = slice(start, start := start + values.shape[1])  # each entry stands for as many
    if not paths:
        return None
    return Course(
        steps,
        np.concatenate(paths, 1),
        spans,
        frozenset(name for name in spans if len(first[name].shape) > 1),
        np.array([[samples[step][name].norm for name in spans] for step in steps]),
    )


def course_findings(way: Course) -> list[Finding]:
    """The order first; then single checkpoints, which are left out of what follows; then where the way breaks.

    A last one that lies far back would make all before it look like detours; a first one is not judged so soon, since
    the first stride may be long, and an intruder may lie by it.
    """
    way, found = _put_right(way)
    for judge in (_last, _single, _first, _parts):
        more, places = judge(way)
        found += more
        way = way.without(places)
    return [*found, *_norms(way), *_breaks(way), *_descent(way), *_backwards(way)]


def _put_right(way: Course) -> tuple[Course, list[Finding]]:
    """Neighbours are exchanged only if the way is then as straight as others are, which it is not for a foreign one."""
    found: list[Finding] = []
    ratios = np.nan_to_num(c.exchanges(way.whole))
    for place in np.argsort(-ratios, kind="stable").tolist():
        limit = c.LAST_EXCHANGE if place == len(ratios) - 1 else c.EXCHANGE
        steps = way.steps[place : place + 2]
        if ratios[place] <= limit or any(step in one.steps for one in found for step in steps):
            continue
        other = way.exchanged(place)
        bends = np.nan_to_num(c.detours(other.whole))[max(place - 1, 0) : place + 3]
        strides = np.nan_to_num(c.jumps(other.whole, way.steps))[max(place - 1, 0) : place + 2]
        if bends.max() < c.USUAL_DETOUR and strides.max() < c.JUMP:
            told = (
                f"the weights of {at_steps(steps)} are exchanged: the way to their neighbours is {ratios[place]:.2g} "
                f"times as long as the other way round; give each the name of the other"
            )
            found.append(Finding("exchanged", steps, told, "error"))
            way = other
    return way, found


def _single(way: Course) -> tuple[list[Finding], list[int]]:
    wrong = c.off_the_way(way.whole, c.DETOUR)
    return [_off(way, place, ratio, wrong) for place, ratio in wrong.items()], list(wrong)


def _off(way: Course, place: int, ratio: float, wrong: Collection[int]) -> Finding:
    """Of another step; or in part; or only multiplied by a number."""
    left = way.without([other for other in wrong if other != place])
    here = left.steps.index(way.steps[place])
    scale = c.scale_of(left.whole, here)
    if abs(log(abs(scale) or 1)) > 0.1 and c.detours(_divided(left.whole, here, scale))[here] < c.DETOUR:
        return _scaled(way.steps[place], scale)
    parts = {name: c.detours(path)[here] for name, path in left.parts().items()}
    off = [name for name in parts if not parts[name] < _STRAIGHT]
    what = f"{named(off)} of step {way.steps[place]}" if len(off) <= 0.75 * len(parts) else f"step {way.steps[place]}"
    path = way.whole if len(off) > 0.75 * len(parts) else np.concatenate([way.parts()[name] for name in off], 1)
    told = (
        f"{what} does not lie between steps {left.steps[here - 1]} and {left.steps[here + 1]}: the way through it is "
        f"{ratio:.3g} times as long as past it; {_whose(path, way.steps, place)}; leave it out"
    )
    return Finding("foreign" if path is way.whole else "foreign part", (way.steps[place],), told, "error")


def _divided(path: Array, place: int, scale: float) -> Array:
    mended = path.copy()
    mended[place] /= scale
    return mended


def _scaled(step: int, scale: float) -> Finding:
    told = f"the weights of step {step} are those on the way times {scale:.3g}; fetch it anew, or leave it out"
    return Finding("scaled", (step,), told, "error")


def _whose(path: Array, steps: Sequence[int], place: int) -> str:
    other, far = c.nearest(path, place)
    beside = min(c.distance(path, place, at) for at in (place - 1, place + 1) if 0 <= at < len(path))
    if far == 0:
        return f"its weights are those of step {steps[other]}"
    if far < c.NEAREST * beside:
        return f"its weights are nearest to step {steps[other]}, at {far / beside:.2g} of the way to its neighbours"
    return "its weights are near no other step of the suite"


def _first(way: Course) -> tuple[list[Finding], list[int]]:
    return _end(way, 0, 1)


def _last(way: Course) -> tuple[list[Finding], list[int]]:
    return _end(way, len(way.steps) - 1, len(way.steps) - 2)


def _end(way: Course, place: int, beside: int) -> tuple[list[Finding], list[int]]:
    """Of an end only one stride is known; it is another step's if it lies by that, or else its neighbour's scaled."""
    ratios, alike = np.nan_to_num(c.jumps(way.whole, way.steps)), c.cosines([way.whole])
    stride, step = min(place, beside), way.steps[place]
    other, far = c.nearest(way.whole, place)
    scale = c.scale_of(way.whole, place)
    if ratios[stride] > c.JUMP and alike[stride] > 0.9 and abs(log(abs(scale) or 1)) > 0.3:
        if c.jumps(_divided(way.whole, place, scale), way.steps)[stride] < c.JUMP:
            return [_scaled(step, scale)], [place]
    elif ratios[stride] > 1.5 and other != beside and far < c.NEAREST * c.distance(way.whole, place, beside):
        told = (
            f"step {step} lies {ratios[stride]:.3g} times a stride away from step {way.steps[beside]}; "
            f"{_whose(way.whole, way.steps, place)}; leave it out"
        )
        return [Finding("foreign", (step,), told, "error")], [place]
    return [], []


def _parts(way: Course) -> tuple[list[Finding], list[int]]:
    wrong: dict[int, list[str]] = {}
    paths = way.parts()
    for name, path in paths.items():
        for place in c.off_the_way(path, c.PART_DETOUR):
            wrong.setdefault(place, []).append(name)
    found = []
    for place, names in wrong.items():
        path = np.concatenate([paths[name] for name in names], 1)
        told = (
            f"{named(names)} of step {way.steps[place]}: the way through it is {c.detours(path)[place]:.3g} times as "
            f"long as past it, unlike the rest; {_whose(path, way.steps, place)}; leave it out"
        )
        found.append(Finding("foreign part", (way.steps[place],), told, "error"))
    return found, list(wrong)


def _norms(way: Course) -> Iterator[Finding]:
    """What lies between the sampled weights shows in the norms alone."""
    whole = c.there_and_back(np.sqrt((way.norms**2).sum(1, keepdims=True)))[:, 0]
    parts = c.there_and_back(way.norms)
    for place, step in enumerate(way.steps):
        if whole[place] > c.NORM or parts[place].max() > c.PART_NORM:
            worst = list(way.spans)[int(parts[place].argmax())]
            told = (
                f"the norm of step {step} leaves that of its neighbours by a factor of {np.exp(whole[place]):.3g}, and "
                f"that of {worst} by {np.exp(parts[place].max()):.3g}; fetch it anew, or leave it out"
            )
            yield Finding("norm", (step,), told, "error")


def _breaks(way: Course) -> Iterator[Finding]:
    ratios = np.nan_to_num(c.jumps(way.whole, way.steps))
    alike = way.turning()
    breaks = []
    for place in range(1, len(ratios)):
        beside = [alike[at] for at in (place - 1, place + 1) if 0 <= at < len(alike)]
        if ratios[place] > c.JUMP or (alike[place] < c.FORGOTTEN and min(beside) > 2 * c.FORGOTTEN):
            breaks.append(place)
    closed: list[int] = []
    for first, second in pairwise(breaks):
        past = c.distance(way.whole, first, second + 1)
        if first not in closed and past < _CLOSED * c.strides(way.whole)[[first, second]].min():
            closed += [first, second]
            steps = way.steps[first + 1 : second + 1]
            told = f"{at_steps(steps)} lie off the way from step {way.steps[first]} to {way.steps[second + 1]}"
            yield Finding("foreign", steps, f"{told}, which is the same run before and after; leave them out", "error")
    for place in breaks:
        if place not in closed:
            before, after = way.steps[place : place + 2]
            told = (
                f"the run breaks between steps {before} and {after}: this stride is {ratios[place]:.2g} times those "
                f"beside it, cosine {alike[place]:.2f}; from step {after} on it is another run, or it broke down there"
            )
            yield Finding("splice", way.steps[place + 1 :], f"{told}; measure the two apart", "error")


def _descent(way: Course) -> Iterator[Finding]:
    if len(way.steps) < 3 or way.steps[0] != 0:
        return
    alike, ratio = way.turning()[0], c.jumps(way.whole, way.steps)[0]
    if alike >= c.FORGOTTEN:
        return
    first = way.steps[1]
    if first <= _EARLY and ratio > _DESCENT:
        told = (
            f"the run does not go on from step 0: step {first} is {ratio:.2g} times as far from it as later strides "
            f"are long, cosine {alike:.2f}; leave step 0 out, or find the right one"
        )
        yield Finding("descent", (0,), told, "error")
    else:
        told = (
            f"whether the run goes on from step 0 cannot be told: at step {first} nothing is left of it, cosine "
            f"{alike:.2f}, which training may do in as many steps; an earlier checkpoint would tell"
        )
        yield Finding("descent", (0,), told, "note")


def _backwards(way: Course) -> Iterator[Finding]:
    """Many tensors of a model are one number throughout before it is trained, and none after."""
    if len(way.steps) < 3:
        return
    rank = c.runs_backwards(way.whole, way.steps)
    even = [sum(bool((way.path(name)[end] == way.path(name)[end, 0]).all()) for name in way.spans) for end in (0, -1)]
    if even[1] > even[0] or (rank is not None and rank < -0.5):
        why = (
            f"{even[1]} tensors of the last checkpoint hold one number throughout, as before training"
            if even[1] > even[0]
            else f"weights move most where the fewest steps lie between, rank correlation {rank:.2f}"
        )
        yield Finding("backwards", way.steps, f"the steps run backwards: {why}; reverse the names", "error")
