"""Shapes are enforced, in functions within functions, too, whose checks are made once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from checked import once
from jaxtyping import Float, TypeCheckError, jaxtyped
from torch import Tensor

from observatory.measure.lesion import _Cut
from observatory.measure.matched import layer_matched


def within(letter: str) -> Callable[..., Tensor]:
    """A new function each time, of one name."""
    if letter == "a":

        def inner(one: Float[Tensor, " a"], other: Float[Tensor, " a"]) -> Float[Tensor, " a"]:
            return torch.cat([one, other])[: len(one) + int(one[0])]
    else:

        def inner(one: Float[Tensor, " a"], other: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
            return other

    return jaxtyped(inner, typechecker=once)


@pytest.mark.parametrize("time", [1, 2])
def test_functions_within_functions_are_checked_every_time_each_by_its_own_annotations(time: int) -> None:
    same, different = within("a"), within("b")
    assert len(same(torch.zeros(2), torch.zeros(2))) == 2
    assert len(different(torch.zeros(2), torch.zeros(3))) == 3
    with pytest.raises(TypeCheckError, match="parameters"):
        same(torch.zeros(2), torch.zeros(3))
    with pytest.raises(TypeCheckError, match="return value"):
        same(torch.ones(2), torch.zeros(2))
    with pytest.raises(TypeCheckError, match="parameters"):
        different(torch.zeros(2), torch.zeros(3, 3))


def test_measuring_is_checked() -> None:
    with pytest.raises(TypeCheckError, match="layer_matched"):
        layer_matched(torch.zeros(4), [2, 2], 1, "of numbers")  # type: ignore[arg-type]
    with pytest.raises(TypeCheckError, match="_Cut"):
        _Cut(None, torch.zeros(2, 2, dtype=torch.bool), torch.zeros(2))  # type: ignore[arg-type]
