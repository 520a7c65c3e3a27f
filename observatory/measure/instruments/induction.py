"""What the context is good for: the loss on random tokens shown again, and on the same text after more of its like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from observatory.measure.anatomy import Anatomy
from observatory.measure.asking import LOGITS_AT_ONCE, Asking, ask
from observatory.measure.drawn import most_running, opening, repeated, running
from observatory.measure.scene import Scene
from observatory.observation import Array, Instrument, Variable
from observatory.stimuli.tokens import Ids

_PART = 16
"""A text is scored on its last sixteenth, after one sixteenth and after fourteen: about tokens 50 and 500 of 512."""


@dataclass(frozen=True)
class Induction(Instrument):
    """Two scores that need no attention weights."""

    sequences: int = 8
    """Of random tokens shown twice."""
    period: int = 50
    """How many tokens are shown twice, or half the context where that is less."""
    texts: int = 2
    """Of running text made of the battery's targets, for each domain."""
    length: int = 512
    """Tokens of such a text, or as many as the context and the smallest domain allow."""

    name = "induction"

    def __post_init__(self) -> None:
        if self.period < 2 or self.length < _PART + 1 or self.sequences < 2 or self.texts < 1:
            raise ValueError(
                f"a period has 2 tokens or more, a running text {_PART + 1}, and there are 2 sequences and 1 text or "
                f"more; got period={self.period}, length={self.length}, sequences={self.sequences}, texts={self.texts}"
            )

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        return {
            "showing": np.array(["first", "second"]),
            "period_position": np.arange(1, self._period(scene) + 1),
            "domain": np.array([domain.name for domain in scene.battery.domains]),
            "context_length": np.array(["short", "long"]),
        }

    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        period = self._period(scene)
        twice = repeated(scene.tokens, self.sequences, period, self.name)
        loss = losses(scene.anatomy, twice, scene.batch_tokens).reshape(-1, 2, period)
        drop = (loss[:, 0] - loss[:, 1])[:, 1:].mean(-1)  # the first token shown again cannot be foreseen
        nats = {"units": "nats/token"}
        score = {"headline": "induction from loss (nats)", "error": "score_error", **nats}
        error = drop.std() / len(drop) ** 0.5
        return {
            "loss": Variable(
                ("showing", "period_position"),
                loss.mean(0).numpy(),
                {"long_name": "loss on random tokens, shown for the first and for the second time", **nats},
            ),
            "drop": Variable(
                ("random_sequence",), drop.numpy(), {"long_name": "first loss less second, of a sequence", **nats}
            ),
            "score": Variable(
                (), drop.mean().numpy(), {"long_name": "loss on random tokens less that on their repeat", **score}
            ),
            "score_error": Variable(
                (), error.numpy(), {"long_name": "standard error of score, over sequences", **nats}
            ),
            **self._in_context(scene),
        }

    def _in_context(self, scene: Scene) -> dict[str, Variable]:
        """The same tokens twice: after a short context, and after a long one that ends with the short one."""
        names = [domain.name for domain in scene.battery.domains]
        stimuli = {name: _targets(scene, name) for name in names}
        longest = self._longest(scene, stimuli)
        part = (longest - len(opening(scene.tokens))) // _PART
        loss = torch.full((len(names), self.texts, 2), torch.nan)
        attrs: dict[str, str | float | int] = {"units": "nats/token"}
        if part < 1:
            attrs["missing"] = f"texts of {longest} tokens have no sixteenth; a larger battery or context would do"
        else:
            known = [row for row, name in enumerate(names) if stimuli[name]]
            texts = [
                text
                for row in known
                for text in running(scene.tokens, stimuli[names[row]], self.texts, longest, f"{self.name}/{names[row]}")
            ]
            loss[known] = _after_short_and_long(scene, texts, part).reshape(len(known), self.texts, 2)
            attrs |= {"scored_tokens": part, "short_context": part, "long_context": longest - part}
        gained = (loss[..., 1] - loss[..., 0]).mean(-1)
        return {
            "context_loss": Variable(
                ("domain", "running_text", "context_length"),
                loss.numpy(),
                {"long_name": "loss on the end of a running text", **attrs},
            ),
            "in_context": Variable(
                ("domain",), gained.numpy(), {"long_name": "loss after a long context less that after a short", **attrs}
            ),
            "in_context_score": Variable(
                (),
                gained.nanmean().numpy(),
                {"long_name": "the same, mean over domains", "headline": "long less short context (nats)", **attrs},
            ),
        }

    def _period(self, scene: Scene) -> int:
        context = scene.anatomy.context
        found = self.period if context is None else min(self.period, (context - 1) // 2)
        if found < 2:
            raise ValueError(f"two tokens shown twice need a context of 5; this model's is {context}")
        return found

    def _longest(self, scene: Scene, stimuli: Mapping[str, Sequence[Ids]]) -> int:
        most = [most_running(scene.tokens, of_domain) for of_domain in stimuli.values() if of_domain]
        return min(self.length, scene.anatomy.context or self.length, *most)


def losses(anatomy: Anatomy, texts: Sequence[Ids], batch_tokens: int) -> Float[Tensor, "text following"]:
    """On every token but the first, of texts of one length."""
    ids = torch.tensor(list(texts))
    following = ids.shape[1] - 1
    most = min(batch_tokens // following, LOGITS_AT_ONCE // (following * anatomy.voice.vocabulary))
    found = torch.zeros(len(ids), following)
    for rows in anatomy.ranks.own(torch.split(torch.arange(len(ids)), max(1, most))):
        logits = anatomy.voice.logits(ids[rows, :-1].to(anatomy.device), following)
        wanted = ids[rows, 1:, None].to(logits.device)
        found[rows] = -logits.float().log_softmax(-1).gather(-1, wanted)[..., 0].cpu()
    return anatomy.ranks.total(found)


def _after_short_and_long(scene: Scene, texts: Sequence[Ids], part: int) -> Float[Tensor, "text 2"]:
    """The loss on the last `part` tokens after the opening and the `part` tokens before them, and after all of it."""
    start = opening(scene.tokens)
    askings = [
        Asking(context, (text[-part:],))
        for text in texts
        for context in ((*start, *text[-2 * part : -part]), text[:-part])
    ]
    return -ask(scene.anatomy, askings, scene.batch_tokens).reshape(len(texts), 2) / part


def _targets(scene: Scene, domain: str) -> list[Ids]:
    return [ids for one in scene.contrasts if one.family.domain == domain for ids in scene.tokens[one.targets]]
