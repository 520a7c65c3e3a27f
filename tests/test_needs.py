"""What memory an observation takes is told before, and where there is too little of it batches become smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from loop import small_battery, word_tokenizer
from models import tiny
from tasks import battery_with_tasks
from torch import nn

from observatory import Observatory
from observatory.measure.needs import Needs, free_memory, is_out_of_memory


def watching(**settings: Any) -> Observatory:
    return Observatory(word_tokenizer(), **{"battery": small_battery(), "twins": 0, **settings})


def with_room_for(tokens: int, model: nn.Module) -> nn.Module:
    """As a device does that has too little memory for more."""

    def refuse(_: nn.Module, ids: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        count = (*ids, *kwargs.values())[0].numel()
        if count > tokens:
            raise torch.cuda.OutOfMemoryError(f"tried to allocate for {count} tokens")

    model.base_model.register_forward_pre_hook(refuse, with_kwargs=True)  # type: ignore[operator, union-attr]
    return model


def test_where_memory_is_short_batches_become_smaller_and_stay_so() -> None:
    observatory = watching(batch_tokens=512)
    model = with_room_for(100, tiny("gpt_neox"))
    with pytest.warns(UserWarning, match=r"not enough memory for \d+ tokens at a time; going on") as caught:
        found = observatory.observe(model, 0)
    told = [str(one.message).partition(",")[0].split()[-1] for one in caught]
    assert told == ["256", "128", "64"]
    observatory.observe(model, 1)  # without a warning
    fitting = watching(batch_tokens=64).observe(tiny("gpt_neox"), 0)
    np.testing.assert_allclose(found["contrast_index"], fitting["contrast_index"], rtol=1e-4)


def test_where_nothing_helps_the_error_is_raised() -> None:
    model = with_room_for(1, tiny("gpt_neox"))
    with pytest.raises(torch.cuda.OutOfMemoryError, match=r"for \d+ tok"), pytest.warns(UserWarning, match=r"on with"):
        watching(batch_tokens=256).observe(model, 0)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.cuda.OutOfMemoryError("no"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("OutOfMemoryError: no (on rank 1; the others are well)"), True),
        (RuntimeError("shapes differ"), False),
        (MemoryError(), False),
    ],
)
def test_which_errors_smaller_batches_may_mend(error: Exception, is_one: bool) -> None:
    assert is_out_of_memory(error) == is_one


CHANGES: dict[str, Callable[[], tuple[Needs, Needs]]] = {
    "batch_tokens": lambda: (needed(batch_tokens=64), needed(batch_tokens=128)),
    "twins": lambda: (needed(), needed(twins=2)),
    "memory": lambda: (needed(memory=1000), needed()),
    "items": lambda: (needed(), needed(battery=small_battery(items=12))),
    "tasks": lambda: (
        needed(battery=battery_with_tasks()),
        needed(battery=battery_with_tasks(), instruments=["contrast", "competence", "circuits"]),
    ),
}


def needed(**settings: Any) -> Needs:
    return watching(**settings).needs(tiny("gpt_neox"))


@pytest.mark.parametrize("what", CHANGES)
def test_what_takes_more_is_said_to_need_more(what: str) -> None:
    less, more = CHANGES[what]()
    assert less.host < more.host
    assert (less.device < more.device) == (what in ("batch_tokens", "twins", "tasks"))


def test_what_is_lacking_is_told_with_what_there_is() -> None:
    gpu = Needs(values=2**30, device=3 * 2**20, on_host=False)
    assert (
        gpu.told()
        == "An observation needs about 1 GiB of the host's memory and 3 MiB of the device's beside the model."
    )
    assert gpu.lacking({"host": 2**31, "device": 2**30}) is None
    assert gpu.lacking({}) is None
    told = gpu.lacking({"host": 2**31, "device": 2**20})
    assert (
        told == "an observation needs about 3 MiB on the device, where 1 MiB are free; use smaller batches, or no twins"
    )
    assert Needs(2**20, 2**20, on_host=True).host == 2**21
    assert free_memory(torch.device("cpu"))["host"] > 2**20
