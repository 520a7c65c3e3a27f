"""The verdict against known truth, in short: `benchmarks/calibration.py` measures the same in full."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from observatory import Observatory, load_battery
from observatory.measure import regions
from observatory.measure.instruments import ContrastLocalizer
from observatory.review.judge.evidence import LEVELS, Criteria
from observatory.review.judge.verdict import Verdict
from observatory.stimuli.battery import Battery
from observatory.train import GPTNeoX
from observatory.train.synthetic import corpus_tokenizer

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from measured import judge, judged_part
from planted import Plant, PlantedLocalizer, chosen_units, families_of

SHARE = 0.02
UNITS = 2 * 4 * 64
REGION = regions.size(SHARE, UNITS)
PLANTED = chosen_units(0, round(0.8 * REGION), UNITS)
MODERATE, STRONG = 1.5, 2.0
SELECTIVE, SPECIFIC, GENERAL = LEVELS


def small_battery(families: int = 4, items: int = 20) -> Battery:
    whole = load_battery()
    return Battery(
        "the built-in one, cut",
        tuple(
            replace(
                domain,
                families=tuple(
                    replace(family, items=family.items[:items])
                    for family in [one for one in domain.families if one.matched][:families]
                ),
            )
            for domain in whole.domains
            if domain.name in ("math", "social")
        ),
    )


BATTERY = small_battery()
MATH, SOCIAL = (families_of(BATTERY, domain) for domain in ("math", "social"))
PLANTS = {
    "math": Plant("mlp", PLANTED, MATH, MODERATE),
    "decoy": Plant("mlp", PLANTED, MATH[:1], STRONG),
    "everywhere": Plant("mlp", PLANTED, MATH + SOCIAL, STRONG),
}


def untrained(seed: int) -> nn.Module:
    shape = {"vocab_size": 4096, "hidden_size": 64, "layers": 2, "heads": 4, "context": 128}
    return GPTNeoX(**shape, seed=seed).model


def look(model: nn.Module, **plants: Plant) -> dict[str, xr.Dataset]:
    """What is seen of a model as it is, and with each plant."""
    localizers = [PlantedLocalizer(SHARE, name=name, plants=(plant,)) for name, plant in plants.items()]
    plain = ContrastLocalizer(SHARE)
    seen = Observatory(corpus_tokenizer(), battery=BATTERY, instruments=[plain, *localizers], twins=0).observe(model, 1)
    return {name: judged_part(seen, name, more=["contrast_region_mlp"]) for name in ("contrast", *plants)}


@pytest.fixture(scope="module")
def twins() -> xr.DataArray:
    observatory = Observatory(corpus_tokenizer(), battery=BATTERY, instruments=[ContrastLocalizer(SHARE, draws=0)])
    return observatory.observe(untrained(100), step=0).to_xarray().reset_coords(drop=True)["contrast_index_twins"]


@pytest.fixture(scope="module")
def seen() -> list[dict[str, xr.Dataset]]:
    """Untrained models, with plants in two of them."""
    return [look(untrained(0)), look(untrained(1), **PLANTS), look(untrained(2), **PLANTS), look(untrained(3))]


def reached(trajectory: Sequence[xr.Dataset], twins: xr.DataArray, first: int = 0) -> dict[str, set[str]]:
    """The levels that each domain emerged at, at any time."""
    judged: tuple[Verdict, ...] = judge(trajectory, twins, first, Criteria())
    return {one.domain: {level for level in LEVELS if one.episodes[level]} for one in judged}


def planted(seen: list[dict[str, xr.Dataset]], plant: str) -> list[xr.Dataset]:
    """An untrained model at step 0, then two with the same plant."""
    return [seen[0]["contrast"], seen[1][plant], seen[2][plant]]


def test_nothing_emerges_in_untrained_models(seen: list[dict[str, xr.Dataset]], twins: xr.DataArray) -> None:
    plain = [one["contrast"] for one in seen]
    for first in (0, 1):  # as a run from its start, and as one first seen later
        assert reached(plain, twins, first) == {"math": set(), "social": set()}


def test_a_planted_domain_emerges_and_no_other(seen: list[dict[str, xr.Dataset]], twins: xr.DataArray) -> None:
    assert reached(planted(seen, "math"), twins) == {"math": set(LEVELS), "social": set()}


def test_the_recorded_region_is_the_planted_units(seen: list[dict[str, xr.Dataset]]) -> None:
    recorded = np.stack([one["contrast_region_mlp"].sel(domain="math").values for one in planted(seen, "math")[1:]])
    flat = recorded.reshape(*recorded.shape[:2], -1)  # (observation, pooling, unit)
    found = flat[..., list(PLANTED)].sum()
    assert found / (flat.shape[0] * flat.shape[1] * len(PLANTED)) >= 0.9
    assert found / flat.sum() >= 0.7


def test_a_strong_plant_in_one_family_is_not_a_domain(seen: list[dict[str, xr.Dataset]], twins: xr.DataArray) -> None:
    decoyed = planted(seen, "decoy")
    assert reached(decoyed, twins) == {"math": set(), "social": set()}
    alone = decoyed[1]["contrast_effect"].sel(space="mlp", source_family=MATH[0], family=MATH[0])
    assert (alone > 1).all()  # though a region of that family by itself is as clear as can be


def test_what_answers_to_every_domain_is_specific_to_none(
    seen: list[dict[str, xr.Dataset]], twins: xr.DataArray
) -> None:
    for levels in reached(planted(seen, "everywhere"), twins).values():
        assert levels == {SELECTIVE}


def test_scrambled_weights_with_heavy_tails_are_not_a_trained_model(
    seen: list[dict[str, xr.Dataset]], twins: xr.DataArray
) -> None:
    scrambled = [look(heavy_tailed(seed))["contrast"] for seed in (4, 5, 6)]
    assert reached([seen[0]["contrast"], *scrambled], twins) == {"math": set(), "social": set()}


def heavy_tailed(seed: int) -> nn.Module:
    """Matrices with the few large entries, and norms with the spread, that training leaves; nothing learned."""
    model, draw = untrained(seed), np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            values = draw.standard_t(3, parameter.shape) * (0.1 if parameter.ndim > 1 else 0.3)
            parameter.copy_(torch.from_numpy(values + (parameter.mean().item() if parameter.ndim < 2 else 0.0)))
    return model
