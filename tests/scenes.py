"""What an instrument gets to see, put together by hand."""

from __future__ import annotations

from typing import Any

from torch import nn

from observatory.measure.anatomy import Anatomy
from observatory.measure.answers import Answers
from observatory.measure.scene import Scene, contrasts
from observatory.stimuli.battery import Battery


def scene_of(model: nn.Module, found: Anatomy, shown: Battery, shared: Any) -> Scene:
    """With a shared pass of the test's own, and no tasks."""
    return Scene(
        model=model,
        anatomy=found,
        battery=shown,
        contrasts=contrasts(shown),
        tokens=[],
        encode=_none,
        shared=shared,
        answers=Answers(found, _none, (), batch_tokens=64, memory=2**30),
        found={},
        batch_tokens=64,
    )


def _none(*_: object) -> Any:
    raise AssertionError("there are no tasks to ask for, and no other texts")
