"""Structure measures against networkx, PyTorch Geometric and brute force."""

from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from torch_geometric.utils import homophily

from graph_metamers.metrics import structure
from graph_metamers.metrics.structure import (
    clustering_coefficient,
    edge_overlap,
    kept_degrees,
    label_homophily,
)


def drawn(nodes, edges, seed, *, undirected=True):
    """Random edges, some of them doubled, some self-loops."""
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(nodes, (2, edges), generator=generator)
    return torch.cat([edge_index, edge_index.flip(0)], dim=1) if undirected else edge_index


def pairs(edge_index):
    return set(map(tuple, edge_index.T.tolist()))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("undirected", [True, False])
def test_overlap_is_the_jaccard_index_of_the_sets_of_edges(seed, undirected):
    one, other = (drawn(12, 40, 2 * seed + k, undirected=undirected) for k in range(2))
    expected = len(pairs(one) & pairs(other)) / len(pairs(one) | pairs(other))
    assert edge_overlap(one, other, 12) == pytest.approx(expected)
    assert edge_overlap(one, one, 12) == 1


def test_overlap_without_edges_is_not_defined():
    empty = torch.empty(2, 0, dtype=torch.long)
    assert math.isnan(edge_overlap(empty, empty, 3))


@pytest.mark.parametrize("seed", range(3))
def test_homophily_is_the_share_of_edges_within_a_class(seed):
    edge_index = drawn(20, 60, seed)
    labels = torch.randint(3, (20,), generator=torch.Generator().manual_seed(seed))
    counted = [int(labels[a] == labels[b]) for a, b in edge_index.T.tolist()]
    assert label_homophily(edge_index, labels) == pytest.approx(sum(counted) / len(counted))
    assert label_homophily(edge_index, labels) == pytest.approx(homophily(edge_index, labels, method="edge"))


@pytest.mark.parametrize("rows_at_once", [1, 7, 1024])
@pytest.mark.parametrize("undirected", [True, False])
def test_clustering_is_that_of_networkx(rows_at_once, undirected, monkeypatch):
    monkeypatch.setattr(structure, "ROWS_AT_ONCE", rows_at_once)
    edge_index = drawn(30, 90, 5, undirected=undirected)
    graph = nx.Graph()
    graph.add_nodes_from(range(30))
    graph.add_edges_from((a, b) for a, b in edge_index.T.tolist() if a != b)
    assert clustering_coefficient(edge_index, 30) == pytest.approx(nx.average_clustering(graph))


def test_a_triangle_with_a_tail_has_the_clustering_of_the_textbook():
    edges = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 3]])
    assert clustering_coefficient(edges, 4) == pytest.approx((1 + 1 + 1 / 3 + 0) / 4)


def test_degrees_are_compared_in_both_directions():
    reference = torch.tensor([[0, 1, 2], [1, 2, 0]])
    assert kept_degrees(torch.tensor([[0, 2, 1], [2, 1, 0]]), reference, 3) == 1
    assert kept_degrees(torch.tensor([[0, 1, 1], [1, 2, 0]]), reference, 3) == pytest.approx(1 / 3)
