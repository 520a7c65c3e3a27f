"""What an instrument gets to see of one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from observatory.measure.anatomy import Anatomy
from observatory.measure.answers import Answers
from observatory.measure.reading import Reading, SharedPass, Tokens
from observatory.observation import Variable
from observatory.stimuli.battery import Battery, Family
from observatory.stimuli.tokens import Ids


@dataclass(frozen=True)
class Contrast:
    """One family, and the rows of a reading that hold its stimuli."""

    family: Family
    targets: slice
    controls: slice


def contrasts(battery: Battery) -> tuple[Contrast, ...]:
    """How the stimuli lie in a reading: family after family, its targets before its controls."""
    found, start = [], 0
    for family in battery.families:
        count = len(family.items)
        found.append(Contrast(family, slice(start, start + count), slice(start + count, start + 2 * count)))
        start += 2 * count
    return tuple(found)


def texts(battery: Battery) -> list[str]:
    """The stimuli in the order of `contrasts`."""
    return [
        text
        for family in battery.families
        for condition in ([item.target for item in family.items], [item.control for item in family.items])
        for text in condition
    ]


@dataclass(frozen=True)
class Scene:
    """The model as found at one step, what it is shown, and the readings of the pass all instruments share."""

    model: nn.Module
    anatomy: Anatomy
    battery: Battery
    contrasts: tuple[Contrast, ...]
    tokens: Tokens
    """The stimuli, in the order of `contrasts`."""
    encode: Callable[[Sequence[str]], Tokens]
    """Other texts, as the stimuli are."""
    shared: SharedPass
    answers: Answers
    """To the battery's tasks."""
    found: Mapping[str, Variable]
    """What the instruments before this one have measured, by the names in the record."""
    batch_tokens: int
    """How many tokens go through the model at a time."""
    memory: int = 2**30
    """Bytes of host memory for the values of one pass."""

    def targets(self, most: int) -> list[Sequence[Ids]]:
        """The first targets of each family."""
        return [self.tokens[one.targets.start : one.targets.stop][:most] for one in self.contrasts]

    def reads(self, tokens: Tokens, *readings: Reading) -> SharedPass:
        """A pass of its own, over other tokens than those that all instruments share."""
        return SharedPass(self.anatomy, tokens, readings, batch_tokens=self.batch_tokens, memory=self.memory)

    def blocks(self, *readings: Reading) -> Iterator[dict[Reading, Float[Tensor, "value item unit"]]]:
        """The values of declared readings, layer after layer and mostly all at once."""
        return self.shared.blocks(*readings)
