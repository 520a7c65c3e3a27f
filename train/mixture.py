"""The settings of the synthetic corpus: which domains, how much of each, from which step, in which state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """How one domain takes part."""

    weight: float = 1.0
    """Its share of the documents, relative to the weights of the other domains that have started."""
    start: int = 0
    """The first optimizer step whose batch may contain it, in any condition."""
    shuffled: bool = False
    """Shuffle the words of every sentence: the domain's words remain, its order is gone."""

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"a domain needs a positive weight, got {self.weight}; leave it out to withhold it")
        if self.start < 0:
            raise ValueError(f"a domain starts at step 0 or later, got {self.start}")


def _all_four() -> dict[str, Source]:
    return {domain: Source() for domain in ("language", "math", "social", "physical")}


@dataclass(frozen=True)
class Mixture:
    """What the corpus is made of. A domain that is not listed never occurs."""

    domains: Mapping[str, Source] = field(default_factory=_all_four)
    """The domains by name, each with its settings."""
    control_share: float = 0.5
    """The share of the other documents in the control form; at one half neither form is the more familiar."""
    task_share: float = 0.15
    """The share of documents that are answered prompts, which is how the model comes to do the tasks."""
    shortest: int = 3
    """The fewest sentences of a document."""
    longest: int = 8
    """The most sentences of a document."""

    def __post_init__(self) -> None:
        if not self.domains:
            raise ValueError("a mixture needs at least one domain")
        for name, share in (("control_share", self.control_share), ("task_share", self.task_share)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is a share between 0 and 1, got {share}")
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(
                f"documents have 1 <= shortest <= longest sentences, got {self.shortest} and {self.longest}"
            )
        if not self.started(0):
            earliest = min(source.start for source in self.domains.values())
            raise ValueError(f"no domain starts at step 0 (the earliest at {earliest}), so there is no first batch")

    def started(self, step: int) -> dict[str, float]:
        """The weights of the domains that occur at a step."""
        return {name: source.weight for name, source in self.domains.items() if source.start <= step}
