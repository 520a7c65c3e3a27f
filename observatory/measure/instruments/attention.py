"""Where heads look: at the first token whatever it is (sinks), and at what followed the last time (induction)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from observatory.measure.attended import Attended, attended
from observatory.measure.drawn import most_running, repeated, running
from observatory.measure.scene import Scene
from observatory.observation import Array, Instrument, Variable
from observatory.stimuli.tokens import Ids

_HEADLINES = {
    "sink_share": "attention sinks (share)",
    "strongest_induction": "best induction head",
}
_LEAST = 5
"""Tokens: the first, and two twice."""


@dataclass(frozen=True)
class Attention(Instrument):
    """Sinks on running text made of the battery's targets, induction on random tokens shown twice."""

    length: int = 64
    """Tokens of a text; as many as the context and the smallest domain allow, where these are fewer."""
    texts: int = 8
    """Of running text, for each domain."""
    sequences: int = 16
    """Of random tokens shown twice."""
    threshold: float = 0.3
    """A token is a sink for a head that gives it more than this, on the average over the tokens that see it."""

    name = "attention"

    def __post_init__(self) -> None:
        if self.length < _LEAST or self.texts < 1 or self.sequences < 1:
            raise ValueError(
                f"a text has {_LEAST} tokens or more, and there are 1 or more of either kind; got "
                f"length={self.length}, texts={self.texts}, sequences={self.sequences}"
            )
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is a share of a head's attention, between 0 and 1; got {self.threshold}")

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {
            "layer": np.arange(scene.anatomy.layers),
            "head": np.arange(scene.anatomy.layout.heads),
            "sink_position": np.arange(self._length(scene) // 2),
        }

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        length = self._length(scene)
        period = (length - 1) // 2
        sinks = self._attended(scene, self._running(scene, length), length // 2)
        twice = repeated(scene.tokens, self.sequences, period, self.name)
        looked = attended(scene.anatomy, twice, lambda w: repetition(w, period), 2, scene.batch_tokens)
        induction, previous = looked.values.mean(1)
        told = {"missing": sinks.unseen} if sinks.unseen else {}
        return {
            name: Variable(dims, values.numpy(), {"long_name": meaning, **_headline(name), **told})
            for name, (dims, values, meaning) in {
                **self._sinks(sinks.values),
                "induction": (
                    ("layer", "head"),
                    induction,
                    "mean attention to what followed this token the last time, on random tokens shown twice",
                ),
                "previous": (("layer", "head"), previous, "mean attention to the token before, on the same"),
                "strongest_induction": ((), induction.amax(), "induction of the head that has most of it"),
                "strongest_previous": ((), previous.amax(), "attention to the token before of the head with most"),
            }.items()
        }

    def _sinks(
        self, received: Float[Tensor, "position item layer head"]
    ) -> dict[str, tuple[tuple[str, ...], Tensor, str]]:
        over = torch.where(received.isnan(), torch.nan, (received > self.threshold).float())
        later = over[1:].amax(0)  # NaN wins
        return {
            "first": (("layer", "head"), received[0].mean(0), "attention that the first token gets, mean over texts"),
            "sink": (("layer", "head"), over[0].mean(0), "share of texts of which the first token is a sink"),
            "sink_by_position": (
                ("layer", "sink_position"),
                over.mean((1, 3)).T.contiguous(),
                "share of texts and heads with a sink at this position",
            ),
            "secondary": (
                ("layer",),
                later.mean((0, 2)),
                "share of texts and heads with a sink behind the first token, in the first half of the text",
            ),
            "sink_share": ((), over[0].mean(), "share of texts, layers and heads with a sink at the first token"),
            "secondary_share": ((), later.mean(), "share of texts, layers and heads with a sink behind it"),
        }

    def _attended(self, scene: Scene, texts: list[Ids], positions: int) -> Attended:
        return attended(scene.anatomy, texts, lambda w: alpha(w)[:positions], positions, scene.batch_tokens)

    def _length(self, scene: Scene) -> int:
        length = min(self.length, scene.anatomy.context or self.length, *self._most(scene).values())
        if length < _LEAST:
            raise ValueError(
                f"sinks and induction take texts of {_LEAST} tokens or more, and the battery or the context allows "
                f"{length}; use a larger battery or leave {self.name} out"
            )
        return length

    def _most(self, scene: Scene) -> dict[str, int]:
        return {name: most_running(scene.tokens, stimuli) for name, stimuli in _by_domain(scene).items()}

    def _running(self, scene: Scene, length: int) -> list[Ids]:
        return [
            text
            for name, stimuli in _by_domain(scene).items()
            for text in running(scene.tokens, stimuli, self.texts, length, f"{self.name}/{name}")
        ]


def alpha(weights: Float[Tensor, "item head query key"]) -> Float[Tensor, "key item head"]:
    """What each token gets on the average of those that see it: alpha_k = sum_{i >= k} A_ik / (T - k + 1).

    Gu et al. 2025 (When attention sink emerges in language models), section 3.1.
    """
    seen_by = torch.arange(weights.shape[-1], 0, -1, device=weights.device)
    return (weights.sum(-2) / seen_by).movedim(-1, 0)


def repetition(weights: Float[Tensor, "item head query key"], period: int) -> Float[Tensor, "2 item head"]:
    """Of one token and `period` others shown twice: attention to what followed the last time, and to the token before.

    From position i to i - period + 1 in the second showing (Olsson et al. 2022), and from i to i - 1; there from the
    third token on, since to the second the token before is the first, which is a sink.
    """
    again = weights.diagonal(1 - period, -2, -1)[..., 2:]  # queries from period + 1 on
    before = weights.diagonal(-1, -2, -1)[..., 1:]
    return torch.stack((again.mean(-1), before.mean(-1)))


def _headline(name: str) -> dict[str, str]:
    return {"headline": _HEADLINES[name]} if name in _HEADLINES else {}


def _by_domain(scene: Scene) -> dict[str, list[Ids]]:
    """The targets of each domain that has any."""
    found: dict[str, list[Ids]] = {}
    for one in scene.contrasts:
        found.setdefault(one.family.domain, []).extend(scene.tokens[one.targets])
    return found
