"""Restoring: lists that are wanted stay, and the rest comes back as far as degrees allow."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from graph_metamers.graphs.neighbour_lists import NeighbourLists
from graph_metamers.graphs.restoring import restored
from graph_metamers.graphs.rewiring import Rewirer, RewiringProblem
from graph_metamers.graphs.set_matching import Schedule


def drawn(*, directed, nodes=80, edges=200, seed=0):
    """A shuffled graph of two parts, with three loops, in which a tenth of the edges is fixed."""
    generator = np.random.default_rng(seed)
    graph = nx.gnm_random_graph(nodes, edges, seed=seed, directed=directed)
    half = np.arange(nodes) % 2
    pairs = np.array([pair for pair in graph.edges() if half[pair[0]] == half[pair[1]]])
    mask = generator.random(len(pairs)) < 0.1
    loops = np.array([[5, 5], [6, 6], [7, 7]])
    if not directed:
        pairs, mask = np.concatenate([pairs, pairs[:, ::-1]]), np.concatenate([mask, mask])
    edge_index = np.concatenate([pairs, loops]).T
    order = generator.permutation(edge_index.shape[1])
    edge_index, mask = edge_index[:, order], np.append(mask, [False] * 3)[order]
    lists = NeighbourLists.of(edge_index, nodes, directed=directed, fixed=mask, graphs=half)
    return lists, edge_index, mask


def scrambled(lists, proposals=20_000):
    nothing = np.zeros((lists.num_nodes, 1))
    rewirer = Rewirer(RewiringProblem(lists, [nothing], nothing, "forbid"), seed=0)
    for _ in rewirer.anneal(Schedule(proposals)):
        pass
    return rewirer.neighbours, rewirer.edges


def keys(edge_index):
    return set(map(tuple, edge_index.T.tolist()))


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_lists_that_are_wanted_stay_and_nearly_all_other_edges_come_back(directed, seed):
    whole, before, fixed = drawn(directed=directed, seed=seed)
    chosen = np.arange(80) < 4
    lists = whole.restricted(chosen)
    neighbours, edges = scrambled(lists)
    middle = lists.edge_index(neighbours, edges)
    after = lists.edge_index(*restored(lists, neighbours, edges))
    for node in np.flatnonzero(chosen):
        assert {u for u, v in keys(after) if v == node} == {u for u, v in keys(middle) if v == node}
    for side in range(2):
        assert np.array_equal(*(np.bincount(g[side], minlength=80) for g in (before, after)))
    assert len(keys(after)) == before.shape[1]
    assert np.array_equal(after[:, fixed], before[:, fixed])
    assert (after[0] % 2 == after[1] % 2).all()
    assert (after[0] % 2 == before[0] % 2).all()  # each column in its graph

    def elsewhere(g):
        return {(u, v) for u, v in keys(g) if not (chosen[v] or (chosen[u] and not directed))}

    lost, scrambled_away = (len(elsewhere(before) - keys(g)) for g in (after, middle))
    assert scrambled_away > 0.8 * len(elsewhere(before[:, ~fixed])) - 3
    # About one edge elsewhere has to go for each sender that is taken.
    taken = sum(1 for u, v in keys(after) - keys(before) if chosen[v])
    assert lost <= 2 * taken if directed else lost <= 4 * taken
    assert lost < 0.5 * scrambled_away
    back = [tuple(edge) in elsewhere(before) for edge in after.T.tolist()]
    assert np.array_equal(after[:, back], before[:, back]) or directed
    columns = {tuple(edge): place for place, edge in enumerate(before.T.tolist())}
    for place, edge in enumerate(map(tuple, after.T.tolist())):
        if edge in elsewhere(before):
            assert columns[edge] == place
    if not directed:  # both directions of an edge have the two columns of one edge
        reverse = np.array([columns[v, u] for u, v in before.T.tolist()])
        assert np.array_equal(after[:, reverse], after[::-1])


@pytest.mark.parametrize("directed", [False, True])
def test_the_reference_is_restored_already_and_twice_is_once(directed):
    lists, _, _ = drawn(directed=directed)
    lists = lists.restricted(np.arange(80) < 4)
    same = restored(lists, lists.neighbours, lists.edges)
    assert np.array_equal(same[0], lists.neighbours)
    assert np.array_equal(same[1], lists.edges)
    once = restored(lists, *scrambled(lists))
    twice = restored(lists, *once)
    assert np.array_equal(once[0], twice[0])
    assert np.array_equal(once[1], twice[1])


@pytest.mark.parametrize("directed", [False, True])
def test_what_was_scrambled_elsewhere_alone_comes_back(directed):
    """Lists of the nodes that are wanted are the reference's, so all edges may come back."""
    whole, before, _ = drawn(directed=directed)
    outside = np.arange(80) >= 4
    inner = ~outside[before[1]] | (~outside[before[0]] & (not directed))
    rest = NeighbourLists.of(before, 80, directed=directed, fixed=inner, graphs=whole.graphs)
    neighbours, edges = scrambled(rest)
    middle = rest.edge_index(neighbours, edges)
    lists = NeighbourLists.of(before, 80, directed=directed, graphs=whole.graphs).restricted(~outside)
    after = lists.edge_index(*restored(lists, neighbours, edges))
    assert len(keys(before) - keys(middle)) > 50
    assert len(keys(before) - keys(after)) < 0.1 * len(keys(before) - keys(middle))
