from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np
import pytest
from scipy import stats

from graph_metamers.graphs.random_edges import random_edges


def of(graph: nx.Graph) -> np.ndarray:
    edges = np.array(list(graph.edges), dtype=np.int64).reshape(-1, 2).T
    return edges if graph.is_directed() else np.concatenate([edges, edges[::-1]], axis=1)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("density", [0.0, 0.2, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_as_many_edges_each_once(directed, density, seed):
    graph = nx.gnp_random_graph(9, density, seed=seed, directed=directed)
    graph.add_edge(3, 3)
    loops = np.array([[3], [3]])
    reference = np.concatenate([of(nx.restricted_view(graph, [], [(3, 3)])), loops], axis=1)
    found = random_edges(reference, 9, np.random.default_rng(seed))
    pairs = list(map(tuple, found.T.tolist()))
    assert len(pairs) == len(set(pairs)) == reference.shape[1]
    assert [pair for pair in pairs if pair[0] == pair[1]] == [(3, 3)]
    if not directed:
        assert sorted(pairs) == sorted((b, a) for a, b in pairs)


@pytest.mark.parametrize("directed", [False, True])
def test_every_pair_is_as_likely(directed):
    reference = np.array([[0, 1], [1, 2]]) if directed else np.array([[0, 1, 1, 2], [1, 0, 2, 1]])
    generator = np.random.default_rng(0)
    counted = Counter()
    for _ in range(2000):
        counted.update(map(tuple, random_edges(reference, 5, generator).T.tolist()))
    assert len(counted) == 20
    assert stats.chisquare(list(counted.values())).pvalue > 1e-3


def test_graphs_of_a_batch_keep_their_edges():
    first, second = nx.gnp_random_graph(6, 0.8, seed=0), nx.gnp_random_graph(9, 0.1, seed=1)
    graphs = np.repeat([0, 1], [6, 9])
    found = random_edges(of(nx.disjoint_union(first, second)), 15, np.random.default_rng(0), graphs=graphs)
    assert (graphs[found[0]] == graphs[found[1]]).all()
    assert Counter(graphs[found[0]].tolist()) == {0: 2 * len(first.edges), 1: 2 * len(second.edges)}
