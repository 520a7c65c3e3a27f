"""What a grammar gives: one stimulus and its control, with the same number of words."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple


class Contrast(NamedTuple):
    """A target and the control that it is measured against."""

    target: str
    control: str


Grammar = Callable[[random.Random], Contrast]
