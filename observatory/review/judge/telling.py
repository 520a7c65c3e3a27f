"""A verdict in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from observatory.record.console import human
from observatory.review.judge.emergence import Emergence
from observatory.review.judge.evidence import LEVELS
from observatory.review.judge.verdict import NONE, UNKNOWN, Episode, Readout, Verdict
from observatory.review.judge.wording import ABSENT, LOST, standing

SPACES = {"mlp": "MLP units", "residual": "residual stream", "heads": "attention heads"}
POOLINGS = {"last": "last token", "mean": "mean over tokens"}


@dataclass(frozen=True)
class _Words:
    """How it is said that something came and went."""

    there: str
    came: str
    came_again: str
    lost: str


def verdict_sentence(judged: Emergence, domain: str) -> str:
    """Of one domain: whether it emerged, between which observations, and how strong it is."""
    one = next((verdict for verdict in judged.verdicts if verdict.domain == domain), None)
    if one is None:
        known = ", ".join(verdict.domain for verdict in judged.verdicts)
        raise ValueError(f"no verdict on {domain!r} was given; there are {known}")
    return f"{'; '.join(filter(None, _clauses(judged, one)))}."


def readout_words(readout: Readout) -> str:
    """Where E was read, as "MLP units, last token"."""
    return f"{SPACES.get(readout.space, readout.space)}, {POOLINGS.get(readout.pooling, readout.pooling)}"


def _clauses(judged: Emergence, one: Verdict) -> Iterator[str]:
    name = one.domain[:1].upper() + one.domain[1:]
    now = standing(one)
    if now == UNKNOWN:
        yield f"Nothing can be said of {one.domain}: {one.reason}"
    elif now == ABSENT:
        yield f"{name} was not shown to have emerged by {_at(judged, judged.steps[-1])}"
    else:
        yield from _history(judged, name, one)
    yield _strength(judged, one)
    if now in (ABSENT, LOST):
        yield one.reason
    elif one.holds_at_last == UNKNOWN != now:
        yield "the last observation says nothing of it"
    elif one.holds_at_last != one.level and now != UNKNOWN:
        held = "no level" if one.holds_at_last == NONE else f"only {one.holds_at_last}"
        yield f"{held} holds at the last observation"


def _history(judged: Emergence, name: str, one: Verdict) -> Iterator[str]:
    """Of the lowest level, with those that came and went with it, and then of the others."""
    first = one.episodes[LEVELS[0]]
    alike = [level for level in LEVELS if one.episodes[level] == first]
    region = f"a {_listed(alike)} region"
    yield f"{name} " + _course(
        judged,
        first,
        _Words(f"was there as {region}", f"emerged as {region}", "emerged again", "was lost again"),
    )
    further: dict[tuple[Episode, ...], list[str]] = {}
    for level in (level for level in LEVELS if level not in alike and one.episodes[level]):
        further.setdefault(one.episodes[level], []).append(level)
    for episodes, levels in further.items():
        what = _listed(levels)
        words = _Words(f"was {what}", f"became {what}", "became so again", "ceased to be so")
        yield f"it {_course(judged, episodes, words)}"


def _course(judged: Emergence, episodes: Sequence[Episode], words: _Words) -> str:
    said = []
    for number, episode in enumerate(episodes):
        if episode.after is None:
            said.append(f"{words.there} from the first observation on, {_at(judged, episode.by)}")
        else:
            came = words.came_again if number else words.came
            said.append(f"{came} {_between(judged, episode.after, episode.by)}")
        if episode.lost_after is not None and episode.lost_by is not None:
            said.append(f"{words.lost} {_between(judged, episode.lost_after, episode.lost_by)}")
    return ", ".join(said)


def _strength(judged: Emergence, one: Verdict) -> str:
    """E at the last observation that says anything, which need not be the last."""
    if one.readout is None or not isfinite(one.index):
        return ""
    low, high = one.interval
    interval = f" [{low:.2f}, {high:.2f}]" if isfinite(low) and isfinite(high) else ""
    when = f"at step {judged.steps[-1]}" if one.holds_at_last != UNKNOWN else "where last known"
    return f"{when} E = {one.index:.2f}{interval} ({readout_words(one.readout)})"


def _at(judged: Emergence, step: int) -> str:
    return f"step {step}{_tokens(judged, step)}"


def _between(judged: Emergence, after: int, by: int) -> str:
    return f"between steps {after} and {by}{_tokens(judged, after, by)}"


def _tokens(judged: Emergence, *steps: int) -> str:
    """Nothing for a logbook that counted none."""
    if not any(judged.tokens):
        return ""
    counted = [human(judged.tokens[judged.steps.index(step)]) for step in steps]
    return f" ({'-'.join(dict.fromkeys(counted))} tokens)"


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
