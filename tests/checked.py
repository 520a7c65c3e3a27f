"""What checks types and shapes: beartype, once for all functions that are annotated alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from beartype import beartype

Stub = Callable[..., Any]
_made: dict[Hashable, Stub] = {}


def once(stub: Stub) -> Stub:
    """The check of a function that jaxtyping made, without a body, for the sake of its annotations.

    It makes another whenever a function within a function is defined, as hooks are at every lesion, and to compile
    their checks took most of the time of all measuring. Nothing but what is compared here decides what is checked.
    """
    if stub.__defaults__ or stub.__kwdefaults__:  # these are checked while the check is made
        return beartype(stub)
    key = (stub.__module__, stub.__qualname__, stub.__code__, tuple(stub.__annotations__.items()))
    if key not in _made:
        _made[key] = beartype(stub)
    return _made[key]
