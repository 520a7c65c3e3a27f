"""What the docs quote figures from: responses of known reliability, and a logbook's numbers in a table."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hidden_planted import capable
from rich.table import Table

from observatory.measure.comparisons import comparisons
from observatory.observation import Array
from observatory.stimuli.battery import load_battery
from observatory.stimuli.outside import Outside
from observatory.stimuli.readers.outside import read_outside
from observatory.stimuli.tokens import encode

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from quoted import left, number, spread, told
from simulated import AXES, CHANNELS, RELIABILITY, REPEATS, activations, simulate
from subjects import Subject, pythia

COUNT = 300


@pytest.fixture(scope="module")
def subject() -> Subject:
    return pythia(32, 2, layers=2)


@pytest.fixture(scope="module")
def responses(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Outside:
    path = tmp_path_factory.mktemp("simulated") / "responses.npz"
    simulate(subject, 0, COUNT, path)
    return read_outside(path)


def by_hand(subject: Subject, texts: list[str]) -> Array:
    """What the first block gives, as the model itself tells it, mean over tokens from the second on."""
    rows = []
    for ids in encode(subject.tokenizer, texts):
        with torch.no_grad():
            told = subject.model(torch.tensor([list(ids)]), output_hidden_states=True)
        rows.append(told.hidden_states[1][0, 1:].mean(0).double().numpy())
    values = np.array(rows)
    return (values - values.mean(0)) / values.std(0, ddof=1)


def explained(values: Array, by: Array) -> float:
    """Share of the variance of all channels that a line through these columns explains."""
    known = np.column_stack([by, np.ones(len(by))])
    rest = values - known @ np.linalg.lstsq(known, values, rcond=None)[0]
    return float(1 - rest.var(0).sum() / values.var(0).sum())


def test_responses_are_of_the_layer_and_as_reliable_as_they_say(subject: Subject, responses: Outside) -> None:
    assert responses.values.shape == (COUNT, CHANNELS, REPEATS)
    layer = by_hand(subject, list(responses.stimuli))
    np.testing.assert_allclose(activations(subject, 0, responses.stimuli).numpy(), layer, atol=1e-4)
    axes, mean = np.linalg.svd(layer, full_matrices=False)[0][:, :AXES], responses.values.mean(-1)
    chance = AXES / COUNT
    assert explained(mean, axes) == pytest.approx(RELIABILITY + (1 - RELIABILITY) * chance, abs=0.03)
    assert explained(mean, np.random.default_rng(1).normal(size=axes.shape)) == pytest.approx(chance, abs=0.03)
    (predictivity, _) = comparisons(responses)
    assert predictivity.ceiling[1] == pytest.approx(RELIABILITY**0.5, abs=0.03)


def test_both_halves_of_an_item_are_held_out_together(responses: Outside) -> None:
    of = dict(zip(responses.stimuli, responses.groups, strict=True))
    items = [item for family in load_battery().families for item in family.items]
    both = [(of[item.target], of[item.control]) for item in items if item.target in of and item.control in of]
    assert len(both) >= COUNT // 2 - 1
    assert all(one == other for one, other in both)
    assert len({one for one, _ in both}) == len(both)


def cells(table: Table) -> dict[str, list[str]]:
    """By what the first column has."""
    columns = [list(column.cells) for column in table.columns]
    return {str(row[0]): list(map(str, row[1:])) for row in zip(*columns, strict=True)}


def test_a_table_has_the_mean_and_the_ends_of_what_is_finite_at_each_step_and_place() -> None:
    values = np.array([[[1.0, 3.0], [5.0, np.nan]], [[0.5, 0.5], [np.nan, np.nan]]])
    logbook = xr.Dataset(
        {"a_map": (("step", "layer", "unit"), values), "a_one": ("step", [2.0, np.nan]), "b": ("step", [1.0, 1.0])},
        {"step": [0, 7], "layer": [4, 6]},
    )
    assert cells(told(logbook, [0, 7], ["a_"])) == {
        "a_map": ["layer unit", "3 (1 to 5)", "0.5 (0.5 to 0.5)"],
        "a_one": ["", "2", "-"],
    }
    assert cells(told(logbook, [7, 0], ["a_map"], by="layer")) == {
        "a_map 4": ["unit", "0.5 (0.5 to 0.5)", "2 (1 to 3)"],
        "a_map 6": ["unit", "-", "5 (5 to 5)"],
    }
    assert number(np.array(1234.56)) == "1235"
    assert spread(list(range(100))) == [0, 20, 40, 59, 79, 99]
    assert spread([3, 8]) == [3, 8]


def test_what_is_planted_of_hidden_capability_is_what_the_table_says() -> None:
    """Asked from step 316 on, steered from 32 on, 4 nats a factor of e; of one kind of control a nat more."""
    logbook = capable({"one": (316.0, 32.0), "two": (100.0, 1e9)})
    kinds = [f"{kind} {draw}" for kind in ("shuffled", "random") for draw in range(4)]
    control = logbook["hidden_control"] + xr.DataArray([1.0] * 4 + [0.0] * 4, dims="control")
    found = cells(left(logbook.assign(hidden_control=control).assign_coords(control=kinds)))
    assert list(found) == ["one", "two", *logbook["task"].values.tolist()]
    prompted, steered, lead, *nats = found["one"]
    last = np.log1p(float(logbook["step"][-1]))
    expected = [4 * (last - np.log1p(316)), 4 * (last - np.log1p(32)), 1.0, 0.0]
    assert list(map(float, nats)) == pytest.approx(expected, abs=0.1)
    assert 316 <= float(prompted.split()[0]) < 450
    assert 32 <= float(steered.split()[0]) < 60
    assert float(lead.split()[0]) > 20  # tokens grow with the square of steps
    assert found["two"][1].startswith("inf")
    assert float(found["two/task_0"][4]) == pytest.approx(0, abs=0.1)
