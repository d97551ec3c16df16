"""The weights that a search may reach: which edges share one, where it starts, how far it went."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Data

from graph_metamers.inputs import EdgeWeights
from graph_metamers.inputs.edge_weights import LEAST_SPREAD


def graph_of(edges, weights=None, nodes=5):
    graph = Data(x=torch.randn(nodes, 2), edge_index=torch.tensor(edges).T.contiguous())
    if weights is not None:
        graph.edge_weight = torch.tensor(weights, dtype=torch.float64)
    return graph


def variables_of(graph, **options):
    return EdgeWeights(**options).variables(graph, "edge_weight")


def test_both_directions_of_an_edge_share_a_weight_and_a_self_loop_has_its_own():
    graph = graph_of([(0, 1), (1, 2), (1, 0), (3, 3), (2, 1)])
    owners = variables_of(graph).owners.tolist()
    assert owners[0] == owners[2]
    assert owners[1] == owners[4]
    assert len(set(owners)) == 3
    assert len(set(variables_of(graph, directed=True).owners.tolist())) == 5


def test_of_doubled_edges_those_of_one_weight_belong_together():
    edges, weights = [(0, 1), (0, 1), (1, 0), (1, 0)], [1.0, 2.0, 2.0, 1.0]
    owners = variables_of(graph_of(edges, weights)).owners.tolist()
    assert owners[0] == owners[3]
    assert owners[1] == owners[2]
    assert owners[0] != owners[1]
    others = variables_of(graph_of(edges, [1.0, 2.0, 2.0, 3.0]))
    assert others.directed
    assert len(set(others.owners.tolist())) == 4


def test_the_reference_is_a_point_and_a_search_starts_with_its_mean_and_spread():
    generator = torch.Generator().manual_seed(0)
    count = 20_000
    weights = (0.7 + 0.9 * torch.randn(count, generator=generator, dtype=torch.float64)).exp()
    graph = Data(x=torch.randn(300, 2))
    graph.edge_index = torch.randint(300, (2, count), generator=generator)
    graph.edge_weight = weights
    variables = variables_of(graph, directed=True)
    torch.testing.assert_close(variables.discrete(variables.logarithms).edge_weight, weights)
    start = variables.discrete(variables.start("noise", generator)).edge_weight.log()
    assert float(start.mean()) == pytest.approx(float(weights.log().mean()), abs=0.02)
    assert float(start.std()) == pytest.approx(float(weights.log().std()), rel=0.02)
    near = variables.start("reference", generator) - weights.log()
    assert float(near.std()) == pytest.approx(0.05 * float(weights.log().std()), rel=0.05)


def test_weights_that_are_all_alike_start_apart():
    generator = torch.Generator().manual_seed(0)
    graph = Data(x=torch.randn(300, 2), edge_index=torch.randint(300, (2, 20_000), generator=generator))
    start = variables_of(graph, directed=True).start("noise", generator)
    assert float(start.std()) == pytest.approx(LEAST_SPREAD, rel=0.02)
    assert float(start.mean()) == pytest.approx(0, abs=0.02)
    near = variables_of(graph, directed=True)
    nudged = near.discrete(near.start("reference", generator))
    assert 0 < near.distance(nudged, "nodes").scaled < 0.1


@pytest.mark.parametrize("options", [{}, {"low": 0.6, "high": 1.5}])
def test_the_chance_level_is_that_of_weights_drawn_as_a_search_starts(options):
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(5, (2, 12), generator=generator)
    graph = Data(x=torch.randn(5, 2), edge_index=edges)
    graph.edge_weight = torch.rand(12, generator=generator, dtype=torch.float64) * 0.8 + 0.65
    variables = variables_of(graph, directed=True, **options)
    total = torch.zeros(12, dtype=torch.float64)
    draws = 4000
    for _ in range(draws):
        drawn = variables.discrete(variables.start("noise", generator)).edge_weight
        total += (2 * (drawn - graph.edge_weight) / (drawn + graph.edge_weight)).square()
    torch.testing.assert_close(variables.expected_square(), total / draws, rtol=0.05, atol=0.0)
    chance = variables.distance(graph, "nodes").chance
    assert chance == pytest.approx(math.sqrt(float(total.sum()) / draws / 12), rel=0.02)


def test_the_distance_counts_relative_changes_of_edges_into_each_node():
    graph = graph_of([(0, 1), (1, 2), (2, 1), (3, 2)], [1.0, 2.0, 3.0, 4.0])
    variables = variables_of(graph, mutable=torch.tensor([True, True, True, False]))
    changed = variables.graph_with_weights(torch.tensor([3.0, 1.0, 3.0, 4.0], dtype=torch.float64))
    distance = variables.distance(changed, "nodes")
    assert distance.raw == pytest.approx(math.sqrt((1.0**2 + (2 / 3) ** 2) / 3))
    expected = variables.expected_square()
    assert float(distance.items[1]) == pytest.approx(math.sqrt(1 / float(expected[0] + expected[2])))
    assert float(distance.items[2]) == pytest.approx(math.sqrt((2 / 3) ** 2 / float(expected[1])))
    assert bool(distance.items[[0, 3, 4]].isnan().all())
    assert variables.distance(graph, "nodes").scaled == 0
    assert len(variables.distance(changed, "edges").items) == 0


def test_one_edge_cannot_carry_the_distance_alone():
    edges = [(i, i + 1) for i in range(99)]
    graph = Data(x=torch.randn(100, 2), edge_index=torch.tensor(edges).T.contiguous())
    variables = variables_of(graph)
    weights = torch.ones(99)
    weights[0] = 1e-5
    assert variables.distance(variables.graph_with_weights(weights), "nodes").raw < 2.01 / math.sqrt(99)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ends", [(0.1, 0.3), (1e-3, 7.7), (1 / 3, 1000.1)])
def test_bounds_hold_exactly_whatever_the_point(dtype, ends):
    low, high = ends
    graph = graph_of([(0, 1), (1, 2)])
    graph.edge_weight = torch.tensor([(low + high) / 2, (low + high) / 3 + low / 3], dtype=dtype)
    variables = variables_of(graph, low=low, high=high)
    for far in (-50.0, 50.0):
        weights = variables.discrete(variables.project(torch.full((2,), far, dtype=dtype))).edge_weight
        assert bool(((weights.double() >= low) & (weights.double() <= high)).all())
        assert float(weights[0]) == pytest.approx(low if far < 0 else high, rel=1e-5)
