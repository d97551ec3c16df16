"""Admissible swaps against brute force on the atlas of small graphs."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

import graph_metamers as gm
from graph_metamers.graphs.admissible_swaps import SwapCount, SwapGroups, Swapper, count_swaps
from graph_metamers.graphs.colours import refine_colours
from graph_metamers.graphs.neighbour_lists import NeighbourLists

ATLAS = [graph for graph in nx.graph_atlas_g() if 4 <= len(graph) <= 6 and graph.number_of_edges() > 1]
SEVEN = [graph for graph in nx.graph_atlas_g() if len(graph) == 7 and graph.number_of_edges() > 1]


def arcs_of(graph):
    pairs = np.array(list(graph.edges()), dtype=np.int64).reshape(-1, 2)
    return pairs.T if graph.is_directed() else np.concatenate([pairs, pairs[:, ::-1]]).T


def swaps_by_hand(arcs, kinds, colours, *, directed, both_ends):
    """Every admissible swap, as the set of coloured arcs after it; arcs are pairs (source, target)."""
    kind_of = dict(zip(map(tuple, arcs.T.tolist()), kinds.tolist(), strict=True))
    found = []
    for (u, a), (v, b) in itertools.combinations(kind_of, 2):
        new = {(v, a), (u, b)}
        if len({a, u, b, v}) < 4 or new & set(kind_of) or kind_of[u, a] != kind_of[v, b]:
            continue
        if colours[u] != colours[v] or (both_ends and colours[a] != colours[b]):
            continue
        after = {arc: kind for arc, kind in kind_of.items() if arc not in ((u, a), (v, b))}
        after |= dict.fromkeys(new, kind_of[u, a])
        if not directed:
            if kind_of[a, u] != kind_of[b, v]:
                continue
            after = {arc: kind for arc, kind in after.items() if arc not in ((a, u), (b, v))}
            after |= {(a, v): kind_of[a, u], (b, u): kind_of[a, u]}
        found.append(frozenset(after.items()))
    if not directed:
        assert all(found.count(one) == 2 for one in set(found))  # from either ends, and never otherwise
        found = list(set(found))
    return frozenset(kind_of.items()), found


def renamed(coloured, p, q):
    names = {p: q, q: p}
    return frozenset(((names.get(u, u), names.get(v, v)), kind) for (u, v), kind in coloured)


def relabellings_by_hand(before, found, labels):
    """Swaps that are the reference with two nodes of one label that change names."""
    pairs = [pair for pair in itertools.combinations(range(len(labels)), 2) if len(set(labels[[*pair]])) == 1]
    others = {renamed(before, *pair) for pair in pairs}
    return [one for one in found if one in others]


def labelled(coloured, labels, *, directed):
    graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from((node, {"label": label}) for node, label in enumerate(labels.tolist()))
    graph.add_edges_from(arc for arc, _ in coloured)
    return graph


def groups_of(arcs, n, colours, labels, kinds, *, directed, both_ends=False):
    lists = NeighbourLists.of(arcs, n, directed=directed)
    return SwapGroups.of(lists, colours, labels=labels, edge_colours=kinds, both_ends=both_ends)


def check(graph, generator, hops, *, kinds_of_edges=1, both_ends=False):
    """Counts of one graph with random labels; returns how many there were of each sort."""
    n, arcs, directed = len(graph), arcs_of(graph), graph.is_directed()
    inputs = generator.integers(2, size=n) if generator.random() < 0.5 else np.zeros(n, dtype=np.int64)
    labels = inputs * 2 + generator.integers(2, size=n) * (generator.random() < 0.3)
    kinds = generator.integers(kinds_of_edges, size=arcs.shape[1])
    colours = refine_colours(arcs, n, rounds=hops - 1, colours=inputs, edge_colours=kinds)[-1]
    groups = groups_of(arcs, n, colours, labels, kinds, directed=directed, both_ends=both_ends)
    count = count_swaps(groups)
    before, found = swaps_by_hand(
        arcs, kinds, colours, directed=directed, both_ends=both_ends or not directed
    )
    same = relabellings_by_hand(before, found, labels)
    assert (count.swaps, count.relabellings, count.others) == (len(found), len(same), len(found) - len(same))
    return before, found, same, labels


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_counts_are_those_of_brute_force_on_the_atlas(hops):
    generator = np.random.default_rng(hops)
    seen = np.zeros(2, dtype=int)
    for graph in ATLAS:
        _, found, same, _ = check(graph, generator, hops)
        seen += len(found), len(same)
    assert seen[0] > seen[1] > 50


@pytest.mark.slow
def test_counts_are_those_of_brute_force_on_the_atlas_of_seven_nodes():
    generator = np.random.default_rng(7)
    for graph in SEVEN:
        for hops in (1, 2, 3):
            check(graph, generator, hops)


@pytest.mark.parametrize("both_ends", [False, True])
def test_counts_with_directions_and_attributes(both_ends):
    generator = np.random.default_rng(1)
    seen = np.zeros(2, dtype=int)
    for number in range(150):
        directed = number % 3 > 0
        graph = nx.gnm_random_graph(6, 8, seed=number, directed=directed)
        _, found, same, _ = check(
            graph, generator, 1 + number % 2, kinds_of_edges=1 + number % 2, both_ends=both_ends
        )
        seen += len(found), len(same)
    assert seen[0] > seen[1] > 0


def test_relabellings_are_isomorphic_to_the_reference_with_its_labels():
    generator = np.random.default_rng(2)
    others = 0
    for graph in [*ATLAS, *(nx.gnm_random_graph(5, 7, seed=s, directed=True) for s in range(40))]:
        before, found, same, labels = check(graph, generator, 1)
        reference = labelled(before, labels, directed=graph.is_directed())
        for one in same[:3]:
            changed = labelled(one, labels, directed=graph.is_directed())
            assert nx.is_isomorphic(reference, changed, node_match=lambda a, b: a["label"] == b["label"])
        for one in [one for one in found if one not in same][:3]:
            changed = labelled(one, labels, directed=graph.is_directed())
            others += not nx.is_isomorphic(
                reference, changed, node_match=lambda a, b: a["label"] == b["label"]
            )
    assert others > 50


def test_a_swap_that_is_no_relabelling_of_two_nodes_may_be_isomorphic_all_the_same():
    # Two centres with other names, each with a branch of two: the branches change places.
    arcs = arcs_of(nx.Graph([(0, 1), (1, 2), (3, 4), (4, 5)]))
    labels = np.array([0, 2, 2, 1, 2, 2])
    colours = np.array([0, 1, 2, 0, 1, 3])
    groups = groups_of(arcs, 6, colours, labels, None, directed=False)
    assert (count_swaps(groups).swaps, count_swaps(groups).relabellings) == (1, 0)
    nothing = np.zeros(arcs.shape[1], dtype=np.int64)
    before, (after,) = swaps_by_hand(arcs, nothing, colours, directed=False, both_ends=True)
    graphs = [labelled(one, labels, directed=False) for one in (before, after)]
    assert nx.is_isomorphic(*graphs, node_match=lambda a, b: a["label"] == b["label"])


def test_protected_edges_loops_and_doubled_edges_are_not_swapped():
    arcs = np.array([[0, 1, 2, 3, 4, 5, 0, 6, 6, 7, 7], [1, 0, 3, 2, 5, 4, 0, 7, 7, 6, 6]])
    same = np.zeros(8, dtype=np.int64)
    assert count_swaps(groups_of(arcs, 8, same, same, None, directed=False)).swaps == 6
    lists = NeighbourLists.of(arcs, 8, directed=False, fixed=np.arange(11) == 0)
    assert count_swaps(SwapGroups.of(lists, same)).swaps == 2


def drawn(seed=0, *, directed=False, classes=3):
    graph = nx.gnm_random_graph(40, 90, seed=seed, directed=directed)
    arcs = arcs_of(graph)
    colours = np.random.default_rng(seed).integers(classes, size=40)
    return arcs, colours, SwapGroups.of(NeighbourLists.of(arcs, 40, directed=directed), colours)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rule", ["free", "charge", "forbid"])
def test_every_swap_keeps_degrees_and_what_neighbours_look_like(directed, rule):
    arcs, colours, groups = drawn(directed=directed)
    swapper = Swapper(groups, seed=0, reference_edges=rule)
    kept = [1.0]
    for wanted in (1, 20, 60):
        swapper.run(wanted)
        assert swapper.made == wanted
        after = groups.lists.edge_index(swapper.neighbours, swapper.edges)
        assert (after[0] != after[1]).all()
        assert len({*map(tuple, after.T.tolist())}) == after.shape[1]
        if not directed:
            assert {*map(tuple, after.T.tolist())} == {*map(tuple, after[::-1].T.tolist())}
        for row in range(2):
            counts = [np.bincount(edges[row], minlength=40) for edges in (arcs, after)]
            assert np.array_equal(*counts)
        for node in range(40):
            heard = [sorted(colours[edges[0][edges[1] == node]].tolist()) for edges in (arcs, after)]
            assert heard[0] == heard[1]
        kept.append(groups.lists.kept(swapper.neighbours))
    mirror = swapper._mirror
    assert np.array_equal(mirror.out_held[mirror.twins], groups.lists.owners)
    places = np.repeat(np.arange(40), np.diff(mirror.out_starts))
    assert np.array_equal(places[mirror.twins], swapper.neighbours)
    assert all(later <= earlier for earlier, later in itertools.pairwise(kept))
    assert kept[-1] < 0.6


@pytest.mark.parametrize("directed", [False, True])
def test_what_is_left_in_the_end_is_nothing_by_brute_force(directed):
    for seed in range(4):
        graph = nx.gnm_random_graph(10, 12, seed=seed, directed=directed)
        arcs, colours = arcs_of(graph), np.arange(10) % 3
        labels = colours * 2 + np.arange(10) % 2
        groups = groups_of(arcs, 10, colours, labels, None, directed=directed)
        swapper = Swapper(groups, seed=seed, reference_edges="forbid")
        assert swapper.run(None)
        after = groups.lists.edge_index(swapper.neighbours, swapper.edges)
        kinds = np.zeros(after.shape[1], dtype=np.int64)
        before, found = swaps_by_hand(after, kinds, colours, directed=directed, both_ends=not directed)
        same = relabellings_by_hand(before, found, labels)
        reference = {*map(tuple, arcs.T.tolist())}
        here = {arc for arc, _ in before}
        for one in found:
            there = {arc for arc, _ in one}
            back = (there - here) & reference
            gone = (here - there) & reference
            assert one in same or back or not gone


def test_one_seed_gives_one_graph_and_fewer_are_made_where_no_more_are_possible():
    _, _, groups = drawn()
    runs = [Swapper(groups, seed=seed) for seed in (0, 0, 1)]
    for swapper in runs:
        assert not swapper.run(30)
    assert np.array_equal(runs[0].neighbours, runs[1].neighbours)
    assert not np.array_equal(runs[0].neighbours, runs[2].neighbours)
    lists = NeighbourLists.of(arcs_of(nx.Graph([(0, 1), (2, 3)])), 4, directed=False)
    alone = SwapGroups.of(lists, np.array([0, 1, 0, 1]), labels=np.arange(4))
    swapper = Swapper(alone, seed=0, reference_edges="forbid")
    assert swapper.run(5)
    assert swapper.made == 1
    twins = Swapper(SwapGroups.of(lists, np.array([0, 1, 0, 1])), seed=0)
    assert twins.run(5)
    assert twins.made == 0


def test_colours_of_another_shape_are_refused():
    lists = NeighbourLists.of(arcs_of(nx.path_graph(4)), 4, directed=False)
    with pytest.raises(gm.ParameterError, match="'labels' parameter must be of shape"):
        SwapGroups.of(lists, np.zeros(4, dtype=np.int64), labels=np.zeros(3, dtype=np.int64))


@pytest.mark.parametrize("directed", [False, True])
def test_with_some_lists_wanted_swaps_are_those_that_change_one(directed):
    counted = 0
    for seed in range(20):
        graph = nx.gnm_random_graph(10, 14, seed=seed, directed=directed)
        arcs, colours = arcs_of(graph), np.arange(10) % 2
        labels, chosen = colours * 2 + np.arange(10) % 3, np.arange(10) < 2
        lists = NeighbourLists.of(arcs, 10, directed=directed).restricted(chosen)
        groups = SwapGroups.of(lists, colours, labels=labels)
        kinds = np.zeros(arcs.shape[1], dtype=np.int64)
        before, found = swaps_by_hand(arcs, kinds, colours, directed=directed, both_ends=not directed)
        touching = [one for one in found if any(a < 2 for (_, a), _ in before ^ one)]
        same = relabellings_by_hand(before, touching, labels)
        assert count_swaps(groups) == SwapCount(len(touching), len(same))
        swapper = Swapper(groups, seed=seed)
        swapper.one_pass(1)
        after = lists.edge_index(swapper.neighbours, swapper.edges)
        now = frozenset((arc, 0) for arc in map(tuple, after.T.tolist()))
        assert now in touching if swapper.made else set(touching) == set(same)
        counted += len(touching) < len(found)
    assert counted > 5
