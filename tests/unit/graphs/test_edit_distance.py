"""Edit distances against networkx and brute force over all orders of the nodes."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

from graph_metamers.graphs.edit_distance import edit_distance


def of(graph: nx.Graph) -> np.ndarray:
    edges = [*graph.edges]
    if not graph.is_directed():
        edges += [(b, a) for a, b in edges if a != b]
    return np.array(edges, dtype=np.int64).reshape(-1, 2).T


def drawn(nodes: int, density: float, seed: int, *, directed: bool, loops: int) -> nx.Graph:
    graph = nx.gnp_random_graph(nodes, density, seed=seed, directed=directed)
    graph.add_edges_from((v, v) for v in range(loops))
    return graph


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_networkxs(directed, seed):
    one, other = (drawn(5, 0.5, 2 * seed + k, directed=directed, loops=0) for k in range(2))
    assert edit_distance(of(one), of(other), 5) == nx.graph_edit_distance(one, other)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_least_over_all_orders(directed, seed):
    one = drawn(6, 0.2 + 0.08 * seed, seed, directed=directed, loops=seed % 3)
    other = drawn(6, 0.6, seed + 50, directed=directed, loops=2)
    first, second = (set(map(tuple, of(graph).T.tolist())) for graph in (one, other))
    name = tuple if directed else frozenset
    named = set(map(name, second))
    least = min(
        len({name((order[a], order[b])) for a, b in first} ^ named)
        for order in itertools.permutations(range(6))
    )
    assert edit_distance(of(one), of(other), 6) == least


@pytest.mark.parametrize("seed", range(3))
def test_another_order_of_a_dozen_nodes_is_no_edit(seed):
    edges = of(nx.gnp_random_graph(12, 0.4, seed=seed))
    order = np.random.default_rng(seed).permutation(12)
    assert edit_distance(order[edges], edges, 12) == 0
    assert edit_distance(order[edges[:, edges[0] + edges[1] > edges[0, 0] + edges[1, 0]]], edges, 12) > 0


def test_without_nodes_or_edges_there_is_nothing_to_edit():
    empty = np.empty((2, 0), dtype=np.int64)
    assert edit_distance(empty, empty, 0) == 0
    assert edit_distance(empty, empty, 4) == 0
    assert edit_distance(np.array([[0, 1], [1, 0]]), empty, 2) == 1
