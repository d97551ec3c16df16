"""Colour refinement against brute force and networkx on the atlas of small graphs."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np
import pytest

import graph_metamers as gm
from graph_metamers.graphs.colours import (
    graphs_told_apart,
    joined_colours,
    refine_colours,
    rounds_to_tell_apart,
    rows_as_colours,
)

ATLAS = [graph for graph in nx.graph_atlas_g() if 0 < len(graph) <= 6]


def arcs_of(graph):
    pairs = np.array(list(graph.edges()), dtype=np.int64).reshape(-1, 2)
    return pairs.T if graph.is_directed() else np.concatenate([pairs, pairs[:, ::-1]]).T


def by_hand(edge_index, num_nodes, rounds, colours, edge_colours):
    """Nested tuples: what a node knows is itself, and the sorted list of what its neighbours know."""
    known = [[(int(colour),) for colour in colours]]
    for _ in range(rounds):
        heard = [[] for _ in range(num_nodes)]
        for (source, target), kind in zip(edge_index.T.tolist(), edge_colours.tolist(), strict=True):
            heard[target].append((kind, known[-1][source]))
        known.append([(known[-1][v], tuple(sorted(heard[v], key=repr))) for v in range(num_nodes)])
    return known


def same_partition(ours, theirs):
    pairs = Counter(zip(ours.tolist(), theirs, strict=True))
    return len(pairs) == len(set(ours.tolist())) == len(set(theirs))


@pytest.mark.parametrize("labelled", [False, True])
def test_partitions_are_those_of_nested_tuples_on_the_atlas(labelled):
    generator = np.random.default_rng(0)
    for graph in ATLAS:
        edge_index, n = arcs_of(graph), len(graph)
        colours = generator.integers(2, size=n) if labelled else np.zeros(n, dtype=np.int64)
        kinds = generator.integers(2, size=edge_index.shape[1]) if labelled else np.zeros(edge_index.shape[1])
        ours = refine_colours(edge_index, n, rounds=3, colours=colours, edge_colours=kinds.astype(np.int64))
        theirs = by_hand(edge_index, n, 3, colours, kinds)
        assert ours.shape == (4, n)
        assert all(same_partition(*both) for both in zip(ours, theirs, strict=True))
        assert all(set(row.tolist()) == set(range(row.max() + 1)) for row in ours)


def test_partitions_are_those_of_networkx_on_random_graphs():
    for seed in range(5):
        graph = nx.gnm_random_graph(40, 60, seed=seed)
        nx.set_node_attributes(graph, "a", "label")
        hashes = nx.weisfeiler_lehman_subgraph_hashes(graph, node_attr="label", iterations=3)
        ours = refine_colours(arcs_of(graph), 40, rounds=4)
        for number in range(3):
            assert same_partition(ours[number + 1], [hashes[v][number] for v in range(40)])


def test_directed_doubled_edges_and_loops_count():
    edge_index = np.array([[0, 0, 1, 3, 4], [1, 2, 2, 3, 5]])
    ours = refine_colours(edge_index, 6, rounds=2)
    assert same_partition(ours[1], ["none", "one", "two", "one", "none", "one"])
    assert same_partition(ours[2], ["0", "of 0", "two", "loop", "0", "of 0"])
    doubled = refine_colours(np.array([[0, 0, 0], [1, 1, 2]]), 3, rounds=1)
    assert same_partition(doubled[1], ["none", "two", "one"])


def test_a_graph_without_edges_keeps_its_colours():
    colours = np.array([5, 3, 5])
    ours = refine_colours(np.zeros((2, 0), dtype=np.int64), 3, rounds=2, colours=colours)
    assert ours.tolist() == [[1, 0, 1]] * 3


def test_rows_that_differ_by_rounding_have_one_colour():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(7, 5))
    owner = generator.integers(7, size=200)
    rows = centres[owner] * (1 + 1e-15 * generator.normal(size=(200, 5)))
    assert same_partition(rows_as_colours(rows, 1e-12), owner.tolist())
    assert len(set(rows_as_colours(rows).tolist())) > 50
    assert same_partition(rows_as_colours(centres[owner]), owner.tolist())
    assert rows_as_colours(np.zeros((3, 0))).tolist() == [0, 0, 0]


def test_joined_colours_are_the_same_where_all_are():
    one, other = np.array([0, 0, 1, 1]), np.array([5, 7, 5, 5])
    assert same_partition(joined_colours(one, other), ["a", "b", "c", "c"])


def test_what_is_told_apart_is_not_isomorphic_and_what_is_isomorphic_is_not_told_apart():
    graphs = [graph for graph in ATLAS if len(graph) == 6 and graph.number_of_edges() == 7]
    generator = np.random.default_rng(0)
    labels, told = np.array([0, 0, 0, 1, 1, 1]), 0
    for first in graphs:
        for second in graphs:
            rounds = rounds_to_tell_apart(arcs_of(first), arcs_of(second), colours=labels)
            for graph in (first, second):
                nx.set_node_attributes(graph, dict(enumerate(labels.tolist())), "label")
            alike = nx.is_isomorphic(first, second, node_match=lambda a, b: a["label"] == b["label"])
            told += rounds is not None
            assert not (alike and rounds is not None)
        order = np.concatenate([generator.permutation(3), 3 + generator.permutation(3)])
        assert rounds_to_tell_apart(arcs_of(first), order[arcs_of(first)], colours=labels) is None
    assert told > 0.5 * len(graphs) ** 2


def test_a_hexagon_and_two_triangles_are_never_told_apart():
    hexagon, triangles = nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    nothing = np.zeros(6, dtype=np.int64)
    assert rounds_to_tell_apart(arcs_of(hexagon), arcs_of(triangles), colours=nothing) is None


def test_colours_of_another_shape_are_refused():
    with pytest.raises(gm.ParameterError, match="'colours' parameter must be of shape"):
        refine_colours(np.zeros((2, 0), dtype=np.int64), 3, rounds=1, colours=np.zeros(2, dtype=np.int64))
    with pytest.raises(gm.ParameterError, match="'rounds' parameter must be an integer"):
        refine_colours(np.zeros((2, 0), dtype=np.int64), 3, rounds=-1)


def test_graphs_of_a_batch_are_told_apart_where_each_alone_is():
    generator = np.random.default_rng(0)
    before, after, owners, labels, alone, place, same = [], [], [], [], [], 0, 0
    for number in range(60):
        nodes = 4 + number % 5
        one = nx.gnm_random_graph(nodes, nodes, seed=number)
        other = nx.gnm_random_graph(nodes, nodes, seed=number + 1000)
        if number % 3 == 0:
            other = nx.relabel_nodes(one, dict(enumerate(generator.permutation(nodes).tolist())))
        arcs = [arcs_of(graph) for graph in (one, other)]
        colours = np.zeros(nodes, dtype=np.int64)
        alone.append(rounds_to_tell_apart(*arcs, colours=colours) is not None)
        same += nx.is_isomorphic(one, other)
        assert not (alone[-1] and nx.is_isomorphic(one, other))
        before.append(arcs[0] + place)
        after.append(arcs[1] + place)
        owners.append(np.full(nodes, number))
        labels.append(colours)
        place += nodes
    names = generator.permutation(place)  # nodes of a graph need not be neighbours in the batch
    graphs = np.empty(place, dtype=np.int64)
    graphs[names] = np.concatenate(owners)
    joined = (names[np.concatenate(arcs, axis=1)] for arcs in (before, after))
    found = graphs_told_apart(*joined, graphs, colours=np.concatenate(labels))
    assert found.tolist() == alone
    assert same >= 20
    assert sum(alone) > 20


def test_attributes_tell_graphs_apart_too():
    arcs = arcs_of(nx.path_graph(4))
    other = arcs_of(nx.Graph([(1, 2), (2, 3), (0, 3)]))  # the path again, another edge in the middle
    graphs, colours = np.zeros(4, dtype=np.int64), np.zeros(4, dtype=np.int64)
    assert not graphs_told_apart(arcs, other, graphs, colours=colours)[0]
    marks = np.array([0, 1, 0, 0, 1, 0])  # of the middle edge
    assert not graphs_told_apart(arcs, other, graphs, colours=colours, edge_colours=marks)[0]
    end = np.array([1, 0, 0, 1, 0, 0])
    assert graphs_told_apart(arcs, other[:, [1, 0, 2, 4, 3, 5]], graphs, colours=colours, edge_colours=end)[0]
