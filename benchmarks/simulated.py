"""An outside representation of which the truth is known: `python benchmarks/simulated.py MODEL --layer N --out FILE`.

MODEL is a checkpoint's folder or one of the subjects. Channels are random directions among the main axes of a layer's
activations to texts of the battery, and each repeat has noise of its own, so that the ceiling is known before anything
is measured. It stands in for brains and raters, of whom nothing is here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import numpy as np
import torch
from subjects import SUBJECTS, Subject
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from observatory.measure.anatomy import anatomy
from observatory.measure.undisturbed import undisturbed
from observatory.observation import Array
from observatory.stimuli.battery import load_battery
from observatory.stimuli.tokens import encode

AXES, CHANNELS, REPEATS = 20, 40, 4
RELIABILITY = 0.6
"""Of the mean over repeats; the ceiling is its square root, .775."""


def simulate(subject: Subject, layer: int, count: int, path: Path) -> None:
    """Writes the answers to so many texts, each a target or control beside its other half."""
    shown, group = stimuli(count)
    signal = main_axes(activations(subject, layer, shown))
    random = np.random.default_rng(0)
    channels = signal @ random.normal(size=(AXES, CHANNELS))
    channels = (channels - channels.mean(0)) / channels.std(0)
    noise = random.normal(size=(*channels.shape, REPEATS)) * sqrt(REPEATS * (1 - RELIABILITY) / RELIABILITY)
    np.savez(path, stimuli=np.array(shown), group=np.array(group), responses=channels[..., None] + noise)


def stimuli(count: int) -> tuple[list[str], list[int]]:
    """Evenly from all families of the battery: both halves of an item, which are one group."""
    items = [item for family in load_battery().families for item in family.items]
    chosen = [items[place] for place in np.linspace(0, len(items) - 1, 2 * count).astype(int)]
    groups: dict[str, int] = {}
    for number, item in enumerate(chosen):
        for text in (item.target, item.control):
            groups.setdefault(text, number)
    return list(groups)[:count], list(groups.values())[:count]


def activations(subject: Subject, layer: int, shown: Sequence[str]) -> Tensor:
    """After a block, mean over the tokens from the second on, each unit standardised, as `alignment` has them."""
    found = anatomy(subject.model)
    kept: list[Tensor] = []
    site = found.sites["residual"][layer].module
    handle = site.register_forward_hook(
        lambda _, __, out: kept.append((out[0] if isinstance(out, tuple) else out)[0, 1:].mean(0))
    )
    with undisturbed(subject.model):
        for ids in encode(subject.tokenizer, shown, found.context):
            found.body(torch.tensor([list(ids)]), use_cache=False)
    handle.remove()
    made = torch.stack(kept).double()
    return (made - made.mean(0)) / made.std(0)


def main_axes(values: Tensor) -> Array:
    """Each of a variance of one, so that no axis decides alone."""
    u, _, _ = torch.linalg.svd(values, full_matrices=False)
    axes: Array = (u[:, :AXES] * sqrt(len(values))).numpy()
    return axes


def subject_of(model: str) -> Subject:
    if model in SUBJECTS:
        return SUBJECTS[model]()
    return Subject(AutoModelForCausalLM.from_pretrained(model).train(False), AutoTokenizer.from_pretrained(model))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help=f"a checkpoint's folder, or one of {', '.join(SUBJECTS)}")
    parser.add_argument("--layer", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=500)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    simulate(subject_of(chosen.model), chosen.layer, chosen.texts, chosen.out)
    print(
        f"{chosen.out}: {chosen.texts} texts, {CHANNELS} channels, {REPEATS} repeats, ceiling {sqrt(RELIABILITY):.3f}"
    )


if __name__ == "__main__":
    main()
