"""Circuits over training: do tasks share units by domain or by format, how many stay, and in which layers they lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import nan
from typing import Any

import numpy as np
import xarray as xr

from observatory.observation import Array
from observatory.review.judge.emergence import plain
from observatory.review.sharing.circuit_record import Choice, CircuitRecord, circuit_record
from observatory.review.sharing.overlap import CONTRASTS, RELATIONS, Coefficients
from observatory.review.sharing.persistence import to_final, to_previous
from observatory.review.sharing.sharing_verdict import SharingVerdict, sharing_verdict, too_few
from observatory.review.sharing.task_sharing import DRAWS, Effect, Sharing, sharing


@dataclass(frozen=True)
class OfDomain:
    """Means over a domain's tasks done; missing (NaN) where there is none."""

    done: int
    asked: int
    ceiling: float
    """Overlap coefficient of the circuits of either half of a task's templates."""
    ceiling_corrected: float
    """The same above chance."""
    to_previous: float
    """Overlap above chance of a task's circuit with that at the recorded step before."""
    to_final: float
    layers: tuple[int, ...]
    """Units of the domain's region in each layer; all 0 where it has none."""


@dataclass(frozen=True)
class CircuitStep:
    """What is said of one recorded step."""

    step: int
    tokens: int
    done: tuple[str, ...]
    verdict: SharingVerdict
    overlap: Coefficients
    """Of all tasks, those not done missing."""
    by_share: Mapping[float, Sharing]
    """The chosen share among others; empty where too few tasks are done."""
    units: Mapping[float, int]
    """How many units the largest circuit of each share holds."""
    ceiling: float
    """Overlap above chance of the two halves' circuits of a task, mean over tasks done."""
    domains: Mapping[str, OfDomain]


@dataclass(frozen=True)
class CircuitReport:
    """Of every step at which circuits were looked for."""

    choice: Choice
    record: CircuitRecord
    steps: tuple[CircuitStep, ...]

    def sharing(self, step: CircuitStep) -> Sharing | None:
        """At the chosen share."""
        return step.by_share.get(float(self.record.shares[self.record.place(self.choice.share)]))

    def index_of_ceiling(self, step: CircuitStep) -> float:
        """The index as a share of what two halves of one task have in common."""
        found = self.sharing(step)
        return found.effects["index"].value / step.ceiling if found and step.ceiling > 0 else nan

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not a number is null."""
        tasks = self.record.tasks
        return {
            "format": "observatory-circuits",
            "format_version": "1.0",
            "choice": asdict(self.choice),
            "relations": {name: str(relation) for name, relation in RELATIONS.items()},
            "contrasts": {name: f"{one.of} - {one.minus}" for name, one in CONTRASTS.items()},
            "tasks": plain(asdict(tasks)),
            "steps": [plain(self._step_to_json(step)) for step in self.steps],
        }

    def _step_to_json(self, step: CircuitStep) -> dict[str, Any]:
        content = asdict(step)
        content["overlap"] = {name: values.tolist() for name, values in content["overlap"].items()}
        content["index_of_ceiling"] = self.index_of_ceiling(step)
        for share, found in step.by_share.items():
            effects = content["by_share"][share]["effects"]
            for name, effect in found.effects.items():
                effects[name] |= _beside_twins(effect)
        return content


def circuits(
    logbook: xr.Dataset, choice: Choice | None = None, sweep: bool = True, draws: int = DRAWS
) -> CircuitReport:
    """Judges every step at which circuits were looked for; ValueError where none were. The sweep is of all shares."""
    choice = choice or Choice()
    record = circuit_record(logbook, choice)
    done = record.done(choice.alpha)
    here = record.place(choice.share)
    stays = to_previous(record, here, done), to_final(record, here, done)
    places = range(len(record.shares)) if sweep else [here]
    steps = (_step(record, choice, place, done[place], stays, places, draws) for place in range(len(record.steps)))
    return CircuitReport(choice, record, tuple(steps))


def _step(
    record: CircuitRecord,
    choice: Choice,
    place: int,
    done: Array,
    stays: tuple[Array, Array],
    shares: Iterable[int],
    draws: int,
) -> CircuitStep:
    here, tasks = record.place(choice.share), record.tasks
    chosen = tasks.only(done)
    few = too_few(len(chosen.names), len(set(chosen.domains)))
    by_share = {} if few else {one: sharing(*record.overlaps(place, one, done), tasks, done, draws) for one in shares}
    ceiling = record.ceiling(place, here, done)
    return CircuitStep(
        step=int(record.steps[place]),
        tokens=int(record.tokens[place]),
        done=tuple(f"{domain}/{name}" for domain, name in zip(chosen.domains, chosen.names, strict=True)),
        verdict=few or sharing_verdict(by_share[here], choice.alpha),
        overlap=record.overlaps(place, here, done)[0],
        by_share={float(record.shares[one]): found for one, found in by_share.items()},
        units={float(share): int(size) for share, size in zip(record.shares, record.sizes[place].max(-1), strict=True)},
        ceiling=_mean(ceiling.corrected),
        domains={domain: _of_domain(record, domain, place, done, ceiling, stays) for domain in record.domains},
    )


def _of_domain(
    record: CircuitRecord, domain: str, place: int, done: Array, ceiling: Coefficients, stays: tuple[Array, Array]
) -> OfDomain:
    own = np.array([name == domain for name in record.tasks.domains])
    previous, final = (values[place, own] for values in stays)
    return OfDomain(
        done=int((own & done).sum()),
        asked=int(own.sum()),
        ceiling=_mean(ceiling.overlap[own]),
        ceiling_corrected=_mean(ceiling.corrected[own]),
        to_previous=_mean(previous),
        to_final=_mean(final),
        layers=tuple(int(units) for units in record.layers[place, record.domains.index(domain)]),
    )


def _beside_twins(effect: Effect) -> dict[str, float]:
    return {
        "twins_mean": effect.middle,
        "twins_sd": effect.spread,
        "above_twins": effect.excess,
        "p_of_twins": effect.p_of_twins,
    }


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else nan
