"""What instruments find on re-initialised twins of a model, which is measured once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from observatory.measure.anatomy import Anatomy
from observatory.measure.layout import Layout
from observatory.measure.scene import Scene
from observatory.measure.twins import Fresh, default_count, find_scheme, twins
from observatory.observation import Instrument, Observation, Variable

OF_TWINS = "_twins"

Look = Callable[[Anatomy, Sequence[Instrument]], Scene]


class OnTwins:
    """Measured when first asked for, and kept for every architecture and battery that is met."""

    def __init__(
        self, instruments: Sequence[Instrument], count: int | None, fresh: Fresh | None, layout: Layout | None
    ) -> None:
        if count is not None and (count < 0 or count == 1):
            raise ValueError(f"twins have a spread only if there are two or more; got {count} (0 leaves them out)")
        self._instruments = [one for one in instruments if type(one).on_twin is not Instrument.on_twin]
        self._count = count
        self._fresh = fresh
        self._layout = layout
        self._known: dict[tuple[str, ...], Mapping[str, Variable]] = {}

    @property
    def wanted(self) -> bool:
        """Whether any are to be made."""
        return self._count != 0

    def of(
        self, found: Anatomy, look: Look, previous: Observation | None, step: int, provenance: Mapping[str, str]
    ) -> Mapping[str, Variable]:
        """What an earlier observation of this architecture and battery has of them is taken over."""
        key = tuple(provenance.values())
        if previous is not None and previous.provenance == provenance:
            earlier = {n: v for n, v in previous.variables.items() if n.endswith(OF_TWINS)}
            if earlier:
                self._known.setdefault(key, earlier)
        if not self._known.get(key):
            self._known[key] = self._measure(found, look, step, told=key in self._known)
        return self._known[key]

    def _measure(self, found: Anatomy, look: Look, step: int, told: bool) -> Mapping[str, Variable]:
        count = default_count(found.body) if self._count is None else self._count
        if not self._instruments or not count:
            return {}
        scheme = find_scheme(found.whole, step, self._fresh, self._layout)
        if scheme is None:
            if not told:
                warnings.warn(
                    f"{type(found.body).__name__} has adapters, or is not of transformers, and first seen at step "
                    f"{step}: no re-initialised twins of it can be made and no verdict can be given; pass fresh=, "
                    f"which makes the model anew",
                    stacklevel=5,
                )
            return {}
        measured: list[dict[str, Variable]] = []
        for twin in twins(found, scheme, count):
            scene = look(twin, self._instruments)
            measured.append(
                {
                    f"{instrument.name}_{name}{OF_TWINS}": variable
                    for instrument in self._instruments
                    for name, variable in instrument.on_twin(scene).items()
                }
            )
        return {
            name: Variable(
                ("twin", *variable.dims),
                np.stack([one[name].values for one in measured]),
                {**variable.attrs, "twins": scheme.name},
            )
            for name, variable in measured[0].items()
        }
