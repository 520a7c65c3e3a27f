"""What is measured at one step, and the two contracts round it: Instrument and Recorder."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    import xarray

    from observatory.measure.attribution import Rule
    from observatory.measure.reading import Reading
    from observatory.measure.scene import Scene

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Variable:
    """One measured array with named axes; a scalar has none."""

    dims: tuple[str, ...]
    values: Array
    attrs: Mapping[str, str | float | int] = field(default_factory=dict)
    """What a reader of the file is told about it: `long_name`, `units`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values))
        if len(self.dims) != self.values.ndim:
            raise ValueError(
                f"a variable with dims {self.dims} needs {len(self.dims)} axes, got an array of shape "
                f"{self.values.shape}"
            )


@dataclass(frozen=True, repr=False)
class Observation:
    """Everything measured on a model at one step."""

    step: int
    variables: Mapping[str, Variable]
    coordinates: Mapping[str, Array]
    """Labels of the named axes, e.g. domain -> array of names. An axis without labels has no entry."""
    tokens: int = 0
    """Tokens seen in training up to this step."""
    time: float = field(default_factory=time.time)
    """When it was made, in seconds since 1970."""
    seconds: float = 0.0
    """How long it took."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """How long each instrument took of it, and the twins."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """What must not change within one logbook: `battery` (hash), `model` (hash of its shape), `settings`."""

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {name: len(labels) for name, labels in self.coordinates.items()}
        for name, variable in self.variables.items():
            for dim, size in zip(variable.dims, variable.values.shape, strict=True):
                if sizes.setdefault(dim, size) != size:
                    raise ValueError(
                        f"variable {name!r} has {size} entries along {dim!r} where others have {sizes[dim]}"
                    )

    def __getitem__(self, name: str) -> Array:
        """The values of one variable."""
        try:
            return self.variables[name].values
        except KeyError:
            raise KeyError(f"no variable {name!r} here; there are {', '.join(self.variables)}") from None

    def __repr__(self) -> str:
        """Names and sizes: the arrays themselves would fill the screen."""
        variables = (
            f"  {name} ({', '.join(f'{d} {n}' for d, n in zip(v.dims, v.values.shape, strict=True))})"
            for name, v in self.variables.items()
        )
        return "\n".join((f"Observation at step {self.step}, {self.tokens} tokens, {self.seconds:.1f} s", *variables))

    def to_xarray(self) -> xarray.Dataset:
        """The same with labelled axes, as one step of a logbook."""
        import xarray

        return xarray.Dataset(
            {name: (v.dims, v.values, dict(v.attrs)) for name, v in self.variables.items()},
            coords={**self.coordinates, "step": self.step, "tokens": self.tokens},
        )


@dataclass(frozen=True)
class Gap:
    """A step at which an observation was due and could not be made."""

    step: int
    reason: str
    tokens: int = 0
    time: float = field(default_factory=time.time)


class Instrument(ABC):
    """Measures one thing. Its variables appear in the record as `{name}_{variable}`."""

    name: str
    schedule: str | None = None
    """Where it costs more than observing every time: when it is measured, as `logarithmic 3`. That is at the first
    observation at or after each of these steps, and at the last of a run."""

    _given: str

    def __new__(cls, *given: object, **named: object) -> Self:
        self = super().__new__(cls)
        words = [*(repr(one) for one in given), *(f"{name}={value!r}" for name, value in named.items())]
        object.__setattr__(self, "_given", ", ".join(words))
        return self

    def __repr__(self) -> str:
        """What the record says of its settings: how it was made, whatever state it has come to since."""
        return f"{type(self).__qualname__}({self._given})"

    def readings(self) -> tuple[Reading, ...]:
        """What it wants read in the shared forward pass; equal readings of several instruments are read once."""
        return ()

    def needs(self) -> tuple[str, ...]:
        """The instruments whose measurements it goes on from: they stand before it, and are due whenever it is."""
        return ()

    def rules(self) -> tuple[Rule, ...]:
        """The attributions it wants taken, in the passes that give the answers to the tasks."""
        return ()

    def coordinates(self, scene: Scene) -> Mapping[str, Array]:
        """Labels of the axes of its variables."""
        return {}

    @abstractmethod
    def measure(self, scene: Scene) -> Mapping[str, Variable]:
        """The variables of one observation, by their names without the instrument's."""

    def expected(self, seconds: float, now: Mapping[str, Variable]) -> float:
        """What it will take when there is all to measure that there can be, from what it took now."""
        return seconds

    def changes(self, before: Observation | None, now: Mapping[str, Variable]) -> Mapping[str, Variable]:
        """What is a matter of change since the observation before, from what either holds, by the names in the record.

        Nothing where it has measured nothing now. It sees no model: observations may be made side by side and be put
        in their order afterwards.
        """
        return {}

    def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
        """What to know of a model of this architecture with fresh weights; nothing unless said otherwise.

        It is measured on several such twins at the start, and stands in every observation under
        `{name}_{variable}_twins` with `twin` as its first axis.
        """
        return {}


class Recorder(ABC):
    """A place where observations go."""

    def begin(self, recorders: Sequence[Recorder], loggers: Sequence[object] = ()) -> None:  # noqa: B027
        """Before the first of a run: all the recorders of it, a logbook mostly first, and the trainer's own loggers.

        For one that shows what a logbook says, or that writes where the trainer does; it is better opened when the
        first observation comes.
        """

    @abstractmethod
    def record(self, observation: Observation) -> None:
        """Keep one observation; returns once it is safe."""

    def gap(self, gap: Gap) -> None:  # noqa: B027 (a recorder may have nothing to say about gaps)
        """Note that an observation is missing, and why."""

    def note(self, text: str) -> None:  # noqa: B027
        """Tell whoever is watching; not for the record."""

    def close(self) -> None:  # noqa: B027
        """Finish; recording again afterwards is an error."""
