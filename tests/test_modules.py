"""Modules of neurons active together: against networkx, sums by hand, a published optimum, and what was planted."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from models import NanoGPT, seeded
from structural import observed, recorded

from observatory.measure.coactivation import NONE, correlations, halves, modularity, rotated, sampled, standard_errors
from observatory.measure.communities import (
    _moved,
    bipartite_matrix,
    by_size,
    louvain,
    modularity_matrix,
    quality,
    rewired,
    strongest,
)
from observatory.measure.instruments.modules import Modules
from observatory.observation import Array


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def same_partition(one: Array, other: Array) -> bool:
    return bool((by_size(np.asarray(one)) == by_size(np.asarray(other))).all())


def blocks(groups: int, each: int, seed: int = 0) -> Array:
    return nx.to_numpy_array(nx.planted_partition_graph(groups, each, 0.5, 0.05, seed=seed))


def planted(noise: float, stimuli: int = 400, seed: int = 0) -> Array:
    """Forty neurons, ten to each of four things that stimuli may hold."""
    held = np.repeat(draw(seed).standard_normal((stimuli, 4)), 10, axis=1)
    return held + noise * draw(seed + 1000).standard_normal(held.shape)


def parts(labels: Array) -> list[set[int]]:
    return [set(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)]


def test_q_is_newmans_sum_and_what_networkx_gives() -> None:
    graph = blocks(3, 12)
    labels = draw(1).integers(4, size=36)
    degrees, ends = graph.sum(0), graph.sum()
    by_hand = sum(
        (graph[i, j] - degrees[i] * degrees[j] / ends) / ends
        for i in range(36)
        for j in range(36)
        if labels[i] == labels[j]
    )
    found = quality(modularity_matrix(graph), labels)
    assert found == pytest.approx(by_hand, abs=1e-12)
    assert found == pytest.approx(nx.community.modularity(nx.from_numpy_array(graph), parts(labels)), abs=1e-12)


def test_bipartite_quality_is_barbers_sum() -> None:
    weights, labels = draw().random((5, 4)), draw(1).integers(3, size=9)
    total = weights.sum()
    by_hand = sum(
        (weights[i, j] - weights[i].sum() * weights[:, j].sum() / total) / total
        for i in range(5)
        for j in range(4)
        if labels[i] == labels[5 + j]
    )
    assert quality(bipartite_matrix(weights), labels) == pytest.approx(by_hand, abs=1e-12)
    apart = np.kron(np.eye(3), np.ones((2, 2)))  # three groups with nothing in common have 1 - 1/3
    found = louvain(bipartite_matrix(apart), draw())
    assert same_partition(found, np.tile(np.repeat(np.arange(3), 2), 2))
    assert quality(bipartite_matrix(apart), found) == pytest.approx(2 / 3)


def test_the_karate_club_is_parted_as_well_as_it_can_be() -> None:
    """Its Q is .4198, and a linear programme shows that none is above .420 (Agarwal and Kempe 2008)."""
    club = nx.to_numpy_array(nx.karate_club_graph(), weight=None)
    matrix = modularity_matrix(club)
    best = max(quality(matrix, louvain(matrix, draw(seed))) for seed in range(5))
    assert best == pytest.approx(0.4198, abs=5e-5)


def test_partitions_are_as_good_as_those_of_networkx() -> None:
    less = []
    for seed in range(8):
        for graph in (blocks(5, 16, seed), nx.to_numpy_array(nx.gnp_random_graph(60, 0.1, seed=seed))):
            matrix, known = modularity_matrix(graph), nx.from_numpy_array(graph)
            theirs = max(
                nx.community.modularity(known, nx.community.louvain_communities(known, seed=one)) for one in range(4)
            )
            less.append(theirs - quality(matrix, louvain(matrix, draw(seed))))
    assert np.mean(less) < 0.005


def test_no_node_would_gain_by_going_elsewhere() -> None:
    for seed in range(5):
        matrix = modularity_matrix(nx.to_numpy_array(nx.gnp_random_graph(40, 0.15, seed=seed)))
        labels = _moved(matrix, draw(seed))
        best = quality(matrix, labels)
        for node in range(40):
            for other in range(41):
                moved = labels.copy()
                moved[node] = other
                assert quality(matrix, moved) < best + 1e-9


def test_planted_groups_are_found_and_numbered_by_size() -> None:
    sizes = (6, 14, 10)
    graph = nx.to_numpy_array(nx.random_partition_graph(sizes, 0.9, 0.02, seed=0))
    found = louvain(modularity_matrix(graph), draw())
    np.testing.assert_array_equal(found, np.repeat([2, 0, 1], sizes))


def test_a_rewired_graph_has_the_degrees_and_nothing_else_of_the_old() -> None:
    graph = blocks(4, 25)
    drawn = [rewired(graph, draw(seed)) for seed in range(5)]
    for one in drawn:
        np.testing.assert_array_equal(one.sum(0), graph.sum(0))
        np.testing.assert_array_equal(one, one.T)
        assert set(np.unique(one)) == {0.0, 1.0}
        assert not np.diag(one).any()
    labels = np.repeat(np.arange(4), 25)
    left = [quality(modularity_matrix(one), labels) for one in drawn]
    assert quality(modularity_matrix(graph), labels) > 0.4
    assert abs(np.mean(left)) < 0.02
    share = graph.sum() / (100 * 99)
    assert np.mean([(one * graph).sum() / graph.sum() for one in drawn]) == pytest.approx(share, abs=0.03)


def test_edges_are_the_largest_correlations_above_zero() -> None:
    values = draw().standard_normal((30, 12))
    own = correlations(values)
    np.testing.assert_allclose(own, np.corrcoef(values.T), atol=1e-6)
    above = np.sort(own[np.triu_indices(12, 1)])[::-1]
    np.testing.assert_array_equal(strongest(own, 9) > 0, (own >= above[8]) & ~np.eye(12, dtype=bool))
    assert strongest(own, 66).sum() / 2 == (above > 0).sum()
    assert not strongest(-np.ones((4, 4)), 3).any()


def test_random_mixtures_keep_the_spectrum_and_lose_the_groups() -> None:
    own = correlations(planted(0.5))
    mixed = [rotated(own, draw(seed)) for seed in range(6)]
    for one in mixed:
        np.testing.assert_allclose(np.diag(one), 1, atol=1e-6)
        np.testing.assert_allclose(np.linalg.eigvalsh(one)[-4:], np.linalg.eigvalsh(own)[-4:], rtol=0.4)
        assert np.linalg.eigvalsh(one)[-5] < 0.5 * np.linalg.eigvalsh(one)[-4]
    inside = np.kron(np.eye(4), np.ones((10, 10))) - np.eye(40) > 0
    assert own[inside].mean() > 0.7
    assert abs(np.mean([one[inside].mean() for one in mixed])) < 0.1


def test_planted_modules_stand_out_from_both_nulls() -> None:
    found = modularity(planted(0.8), 0.2, 8, "x")
    assert same_partition(found.labels, np.repeat(np.arange(4), 10))
    assert found.communities == 4
    assert found.excess > 0.3
    assert found.beyond > 10 * found.rotated.std(ddof=1)


def test_a_neuron_without_a_fellow_is_in_no_community() -> None:
    lonely = draw(5).standard_normal((400, 1))
    found = modularity(np.concatenate([lonely, planted(0.5)], 1), 0.2, 2, "x")
    assert found.labels[0] == NONE
    assert (found.labels[1:] != NONE).all()
    assert found.communities == 4


def no_more_than_nothing(values: Array) -> bool:
    return bool(abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(len(values)) + 0.003)


def test_a_random_graph_has_no_more_than_it_has_rewired() -> None:
    excess = []
    for seed in range(10):
        graph = nx.to_numpy_array(nx.gnp_random_graph(80, 0.1, seed=seed))
        own, *others = (
            quality(matrix := modularity_matrix(one), louvain(matrix, draw(seed)))
            for one in (graph, *(rewired(graph, draw(number)) for number in range(4)))
        )
        excess.append(own - np.mean(others))
        assert own > 0.2  # which is why Q by itself says nothing
    assert no_more_than_nothing(np.array(excess))


def test_neurons_that_have_nothing_to_do_with_one_another_have_no_modules() -> None:
    found = [modularity(draw(seed).standard_normal((3000, 60)), 0.1, 4, "x") for seed in range(10)]
    assert no_more_than_nothing(np.array([one.excess for one in found]))
    assert no_more_than_nothing(np.array([one.beyond for one in found]))


def test_few_dimensions_alone_beat_a_rewired_graph_but_not_random_mixtures() -> None:
    found = [modularity(draw(seed).standard_normal((300, 4)) @ draw(seed + 99).standard_normal((4, 60)), 0.1, 8, "x")
             for seed in range(6)]  # fmt: skip
    assert min(one.excess for one in found) > 0.15
    beyond = np.array([one.beyond for one in found])
    assert abs(beyond.mean()) < 0.04


GROUPS = [(slice(0, 40), slice(40, 80)), (slice(80, 140), slice(140, 200))]


def test_the_error_is_of_the_size_that_other_stimuli_change() -> None:
    mixed = draw(77).standard_normal((8, 80))

    def shown(seed: int) -> Array:
        return np.maximum(draw(seed).standard_normal((1000, 8)), 0) @ mixed + 3 * draw(
            -seed - 1 + 10**6
        ).standard_normal((1000, 80))

    made = [shown(seed) for seed in range(16)]
    true = np.std([modularity(rows, 0.06, 0, "x").q for rows in made], ddof=1)
    groups = [(slice(0, 250), slice(250, 500)), (slice(500, 750), slice(750, 1000))]
    apart = [[modularity(rows[half], 0.06, 0, "x").q for half in halves(groups, 1, "x")[0]] for rows in made]
    errors = standard_errors(modularity(made[0], 0.06, 2, "x"), np.array(apart))
    assert 0.5 * true < errors["excess"] < 2 * true


def test_halves_hold_half_of_every_family_with_a_target_beside_its_control() -> None:
    split = halves(GROUPS, 3, "x")
    for first, second in split:
        np.testing.assert_array_equal(first, ~second)
        for targets, controls in GROUPS:
            np.testing.assert_array_equal(first[targets], first[controls])
            assert 2 * first[targets].sum() == targets.stop - targets.start
    assert (split[0] != split[1]).any()


def test_neurons_are_sampled_evenly_and_always_the_same() -> None:
    chosen = sampled((100, 5, 100, 100), 30, "x")
    assert [len(one) for one in chosen] == [8, 5, 7, 7]
    for one, other in zip(chosen, sampled((100, 5, 100, 100), 30, "x"), strict=True):
        np.testing.assert_array_equal(one, other)
        assert (np.diff(one) > 0).all()
    assert (chosen[2] != chosen[3]).any()


def test_the_instrument_reads_the_mean_magnitudes_of_every_text() -> None:
    model = seeded(NanoGPT)
    seen = observed(model, Modules(neurons=60, share=0.1), twins=2)
    inputs = recorded(model, [block.mlp.c_proj for block in model.transformer["h"]], "input")
    values = np.concatenate([np.stack([np.abs(one[1:]).mean(0) for one in texts]) for texts in inputs], 1)
    chosen = values[:, seen.coordinates["neuron"]]
    own = np.corrcoef(chosen.T)
    np.fill_diagonal(own, 0)
    edges = round(0.1 * 60 * 59 / 2)
    bound = np.sort(own[np.triu_indices(60, 1)])[-edges]
    graph = nx.from_numpy_array((own >= bound - 1e-9).astype(int))
    assert graph.number_of_edges() == edges
    labels = seen["modules_community"].copy()
    labels[labels == NONE] = 100 + np.flatnonzero(labels == NONE)
    assert seen["modules_q"] == pytest.approx(nx.community.modularity(graph, parts(labels)), abs=1e-9)
    assert seen["modules_excess"] == pytest.approx(seen["modules_q"] - seen["modules_rewired"].mean())
    assert seen["modules_beyond"] == pytest.approx(seen["modules_q"] - seen["modules_rotated"].mean())
    widths = [one[0].shape[1] for one in inputs]
    np.testing.assert_array_equal(
        seen["modules_layer"], np.searchsorted(np.cumsum(widths), seen.coordinates["neuron"], side="right")
    )
    assert np.isfinite(seen["modules_q_twins"]).all()
    for name in ("excess", "beyond"):
        told = seen.variables[f"modules_{name}"].attrs
        assert seen[f"modules_{told['error']}"] > 0
        assert told["headline"]


def test_a_silent_layer_is_in_no_community_and_a_diverged_model_has_none() -> None:
    model = seeded(NanoGPT)
    mlp = model.transformer["h"][1].mlp
    with torch.no_grad():
        mlp.c_fc.weight.zero_()
        mlp.c_fc.bias.fill_(0.5)
    seen = observed(model, "modules")
    assert (seen["modules_community"][seen["modules_layer"] == 1] == NONE).all()
    assert np.isfinite(seen["modules_q"])
    with torch.no_grad():
        mlp.c_fc.bias[:] = torch.nan
    seen = observed(model, "modules")
    assert (seen["modules_community"] == NONE).all()
    for name in ("q", "excess", "excess_error", "beyond", "beyond_error", "communities"):
        assert np.isnan(seen[f"modules_{name}"]), name


def test_nothing_is_said_of_neurons_too_few_to_part() -> None:
    for values in (np.zeros((20, 30)), draw().standard_normal((20, 7)), np.ones((20, 0))):
        found = modularity(values, 0.1, 3, "x")
        assert np.isnan([found.q, found.excess, found.beyond, found.communities]).all()
        assert (found.labels == NONE).all()


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"neurons": 7}, "neurons"), ({"share": 0.5}, "share"), ({"draws": 1}, "draws"), ({"splits": 0}, "splits")],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, int], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Modules(**settings)
    with pytest.raises(ValueError, match="without edges"):
        modularity_matrix(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="all 0"):
        bipartite_matrix(np.zeros((3, 3)))
