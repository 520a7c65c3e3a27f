"""The one path from a model to an observation."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from observatory.choice import due, instruments_from, refuse_what_cannot_stand
from observatory.measure.anatomy import Anatomy, anatomy
from observatory.measure.answers import Answers
from observatory.measure.asking import Questions, questions
from observatory.measure.gathered import gathered
from observatory.measure.layout import Layout
from observatory.measure.needs import Needs, is_out_of_memory, needs, release_memory
from observatory.measure.on_twins import OnTwins
from observatory.measure.ranks import ALONE, Ranks
from observatory.measure.reading import SharedPass, Tokens
from observatory.measure.scene import Scene, contrasts, texts
from observatory.measure.twins import Fresh
from observatory.measure.undisturbed import undisturbed
from observatory.observation import Array, Instrument, Observation, Variable
from observatory.stimuli.battery import Battery, load_battery
from observatory.stimuli.tokens import encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_FEWEST_TOKENS = 64
"""At a time; with fewer than these, the memory is short for other reasons."""


class Observatory:
    """Shows the battery to a model and measures what its units do.

    The model is left exactly as found: weights, gradients, modes, hooks and random generators.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        battery: Battery | Path | str | Sequence[Path | str] | None = None,
        instruments: Sequence[Instrument | str] | None = None,
        layout: Layout | None = None,
        twins: int | None = None,
        fresh: Fresh | None = None,
        batch_tokens: int = 2048,
        memory: int = 2**30,
        ranks: Ranks = ALONE,
    ) -> None:
        """Only the tokenizer is required.

        Args:
            tokenizer: the one the model was trained with.
            battery: what is shown; a folder of data files, or the built-in one, or several together.
            instruments: what is measured, by name or made by you; `contrast` unless said otherwise. Each is a file of
                `observatory.measure.instruments`; one that goes on from another's regions stands behind it.
            layout: where the model keeps its blocks, for one whose modules do not tell.
            twins: how many re-initialised twins of the model are measured at the start; 16 of a small model and fewer
                of a large one unless given. 0 leaves them out, and then no verdict can be given.
            fresh: makes the model anew with random weights, for one that is first seen trained and is not of
                transformers.
            batch_tokens: how many tokens go through the model at a time.
            memory: bytes of host memory for the values of one pass; what needs more is read in several passes.
            ranks: the processes that observe together, from `all_ranks()`; then each of them must observe whenever one
                does.
        """
        self.battery = battery if isinstance(battery, Battery) else load_battery(battery)
        self.instruments = instruments_from(instruments)
        refuse_what_cannot_stand(self.instruments)
        if batch_tokens < 1 or memory < 1:
            raise ValueError(f"batch_tokens and memory must be positive; got {batch_tokens} and {memory}")
        self._tokenizer = tokenizer
        self._layout = layout
        self._twins = OnTwins(self.instruments, twins, fresh, layout)
        self._batch_tokens = batch_tokens
        self._memory = memory
        self._ranks = ranks
        self._tokens: dict[int | None, Tokens] = {}
        self._questions: dict[int | None, Questions] = {}

    def observe(
        self,
        model: nn.Module,
        step: int,
        *,
        tokens: int = 0,
        previous: Observation | None = None,
        last: bool = False,
    ) -> Observation:
        """Measures the model as it is.

        Args:
            model: any decoder, on any device.
            step: the optimizer step it is at.
            tokens: how many tokens it has been trained on.
            previous: the observation before this one, for what is a matter of change.
            last: measures with all instruments, whatever their schedules.
        """
        while True:
            try:
                return self._observe(model, step, tokens, previous, last)
            except RuntimeError as error:
                if not is_out_of_memory(error) or self._batch_tokens < 2 * _FEWEST_TOKENS:
                    raise
                self._batch_tokens //= 2
                warnings.warn(
                    f"the device has not enough memory for {2 * self._batch_tokens} tokens at a time; going on with "
                    f"{self._batch_tokens}, which in half precision rounds otherwise",
                    stacklevel=2,
                )
            release_memory()

    def _observe(
        self, model: nn.Module, step: int, tokens: int, previous: Observation | None, last: bool
    ) -> Observation:
        began = time.perf_counter()
        after = -1 if previous is None else previous.step
        chosen = due(self.instruments, after, step, last)
        variables: dict[str, Variable] = {}
        coordinates: dict[str, Array] = {}
        costs: dict[str, float] = {}
        with self._ranks.together(), gathered(model), undisturbed(model):
            found = replace(anatomy(model, self._layout), ranks=self._ranks)
            provenance = self._provenance(found)
            scene = self._scene(model, found, chosen, variables)
            for instrument in chosen:
                started = time.perf_counter()
                for rule in instrument.rules():  # so that its cost is not counted as of whoever asks first
                    scene.answers.attributions(rule)
                costs[instrument.name] = time.perf_counter() - started
            for instrument in chosen:
                started = time.perf_counter()
                coordinates.update(instrument.coordinates(scene))
                variables.update({f"{instrument.name}_{name}": v for name, v in instrument.measure(scene).items()})
                costs[instrument.name] += time.perf_counter() - started
            started = time.perf_counter()
            variables.update(self._twins.of(found, self._scene_of_twin, previous, step, provenance))
            costs["twins"] = time.perf_counter() - started
        observation = Observation(
            step=step,
            tokens=tokens,
            variables=variables,
            coordinates=coordinates,
            costs=costs,
            provenance=provenance,
        )
        return replace(self.since(previous, observation), seconds=time.perf_counter() - began)

    def needs(self, model: nn.Module) -> Needs:
        """What memory an observation will take."""
        with gathered(model):
            found = anatomy(model, self._layout)
            return needs(
                found,
                [reading for instrument in self.instruments for reading in instrument.readings()],
                len(self._encode(found.context)),
                len(self._ask(found.context).askings) // 2 if any(one.rules() for one in self.instruments) else 0,
                batch_tokens=self._batch_tokens,
                memory=self._memory,
                twins=self._twins.wanted,
            )

    def since(self, previous: Observation | None, observation: Observation) -> Observation:
        """With what has changed since another observation."""
        changes = {
            f"{one.name}_{name}": variable
            for one in self.instruments
            for name, variable in one.changes(previous, observation.variables).items()
        }
        return replace(observation, variables={**observation.variables, **changes})

    def _scene(
        self,
        model: nn.Module,
        found: Anatomy,
        instruments: Sequence[Instrument],
        variables: Mapping[str, Variable],
    ) -> Scene:
        return Scene(
            model=model,
            anatomy=found,
            battery=self.battery,
            contrasts=contrasts(self.battery),
            tokens=self._encode(found.context),
            encode=partial(encode, self._tokenizer, context=found.context),
            shared=SharedPass(
                found,
                self._encode(found.context),
                [reading for instrument in instruments for reading in instrument.readings()],
                batch_tokens=self._batch_tokens,
                memory=self._memory,
            ),
            answers=Answers(
                found,
                lambda: self._ask(found.context),
                list(dict.fromkeys(rule for instrument in instruments for rule in instrument.rules())),
                batch_tokens=self._batch_tokens,
                memory=self._memory,
            ),
            found=variables,
            batch_tokens=self._batch_tokens,
            memory=self._memory,
        )

    def _scene_of_twin(self, twin: Anatomy, instruments: Sequence[Instrument]) -> Scene:
        return self._scene(twin.whole, twin, instruments, {})

    def _encode(self, context: int | None) -> Tokens:
        if context not in self._tokens:
            self._tokens[context] = encode(self._tokenizer, texts(self.battery), context)
        return self._tokens[context]

    def _ask(self, context: int | None) -> Questions:
        if context not in self._questions:
            self._questions[context] = questions(self._tokenizer, self.battery.tasks, context)
        return self._questions[context]

    def provenance(self, model: nn.Module) -> dict[str, str]:
        """What an observation of this model says of its origin; observations are compared only where it is the same."""
        with gathered(model):
            return self._provenance(anatomy(model, self._layout))

    def _provenance(self, found: Anatomy) -> dict[str, str]:
        # Not where the blocks are: a wrapper's path says nothing of the model inside.
        shape = (type(found.body).__name__, {space: found.widths(space) for space in found.sites})
        return {
            "battery": self.battery.hash,
            "stimuli": _digest(list(self._encode(found.context))),
            "model": _digest(shape),
            "dtype": str(next(found.body.parameters()).dtype).removeprefix("torch."),
            "settings": "; ".join(repr(instrument) for instrument in self.instruments),
        }


def _digest(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
