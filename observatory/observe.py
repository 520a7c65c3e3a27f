"""The one path from a model to an observation."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from observatory.measure.anatomy import Anatomy, anatomy
from observatory.measure.instruments.contrast import ContrastLocalizer
from observatory.measure.layout import Layout
from observatory.measure.reading import SharedPass, Tokens
from observatory.measure.scene import Scene, contrasts, texts
from observatory.measure.undisturbed import undisturbed
from observatory.observation import Array, Instrument, Observation, Variable
from observatory.stimuli.battery import Battery, load_battery
from observatory.stimuli.tokens import encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Observatory:
    """Shows the battery to a model and measures what its units do.

    The model is left exactly as found: weights, gradients, modes, hooks and random generators.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        battery: Battery | Path | str | Sequence[Path | str] | None = None,
        instruments: Sequence[Instrument] | None = None,
        layout: Layout | None = None,
        batch_tokens: int = 2048,
        memory: int = 2**30,
    ) -> None:
        """Only the tokenizer is required.

        Args:
            tokenizer: the one the model was trained with.
            battery: what is shown; a folder of data files, or the built-in one, or several together.
            instruments: what is measured; the contrast localizer unless said otherwise.
            layout: where the model keeps its blocks, for one whose modules do not tell.
            batch_tokens: how many tokens go through the model at a time.
            memory: bytes of host memory for the values of one pass; what needs more is read in several passes.
        """
        self.battery = battery if isinstance(battery, Battery) else load_battery(battery)
        self.instruments = tuple(instruments) if instruments is not None else (ContrastLocalizer(),)
        if len({instrument.name for instrument in self.instruments}) < len(self.instruments):
            names = ", ".join(instrument.name for instrument in self.instruments)
            raise ValueError(f"each instrument records under its own name; got {names}")
        if batch_tokens < 1 or memory < 1:
            raise ValueError(f"batch_tokens and memory must be positive; got {batch_tokens} and {memory}")
        self._tokenizer = tokenizer
        self._layout = layout
        self._batch_tokens = batch_tokens
        self._memory = memory
        self._tokens: dict[int | None, Tokens] = {}

    def observe(
        self, model: nn.Module, step: int, *, tokens: int = 0, previous: Observation | None = None
    ) -> Observation:
        """Measures the model as it is.

        Args:
            model: any decoder, on any device.
            step: the optimizer step it is at.
            tokens: how many tokens it has been trained on.
            previous: the observation before this one, for what is a matter of change.
        """
        began = time.perf_counter()
        found = anatomy(model, self._layout)
        shown = self._encode(found.context)
        readings = [reading for instrument in self.instruments for reading in instrument.readings()]
        with undisturbed(model):
            scene = Scene(
                model=model,
                anatomy=found,
                battery=self.battery,
                contrasts=contrasts(self.battery),
                shared=SharedPass(found, shown, readings, batch_tokens=self._batch_tokens, memory=self._memory),
                previous=previous,
            )
            variables: dict[str, Variable] = {}
            coordinates: dict[str, Array] = {}
            for instrument in self.instruments:
                coordinates.update(instrument.coordinates(scene))
                variables.update({f"{instrument.name}_{name}": v for name, v in instrument.measure(scene).items()})
        observation = Observation(
            step=step,
            tokens=tokens,
            variables=variables,
            coordinates=coordinates,
            provenance=self._provenance(found, shown),
        )
        return replace(observation, seconds=time.perf_counter() - began)

    def _encode(self, context: int | None) -> Tokens:
        if context not in self._tokens:
            self._tokens[context] = encode(self._tokenizer, texts(self.battery), context)
        return self._tokens[context]

    def provenance(self, model: nn.Module) -> dict[str, str]:
        """What an observation of this model says of its origin; observations are compared only where it is the same."""
        found = anatomy(model, self._layout)
        return self._provenance(found, self._encode(found.context))

    def _provenance(self, found: Anatomy, shown: Tokens) -> dict[str, str]:
        # Not where the blocks are: a wrapper's path says nothing of the model inside.
        shape = (type(found.body).__name__, {space: found.widths(space) for space in found.sites})
        return {
            "battery": self.battery.hash,
            "stimuli": _digest(list(shown)),
            "model": _digest(shape),
            "settings": "; ".join(repr(instrument) for instrument in self.instruments),
        }


def _digest(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
