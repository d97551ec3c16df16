"""Isomorphism, with networkx and the atlas of small graphs as judges."""

from __future__ import annotations

import itertools
from collections import Counter

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networkx.generators.atlas import graph_atlas_g
from torch_geometric.data import Data
from torch_geometric.nn import GIN

from graph_metamers.graphs.isomorphism import stable_colours, what_differs


def data(graph: nx.Graph, x: torch.Tensor | None = None) -> Data:
    forth = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).T
    edge_index = torch.cat([forth, forth.flip(0)], dim=1)
    return Data(x=x, edge_index=edge_index, num_nodes=graph.number_of_nodes())


def renamed(graph: Data, seed: int) -> Data:
    order = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(seed))
    x = None if graph.x is None else torch.empty_like(graph.x).index_copy_(0, order, graph.x)
    return Data(x=x, edge_index=order[graph.edge_index], num_nodes=graph.num_nodes)


def shrikhande() -> nx.Graph:
    steps = [(0, 1), (1, 0), (1, 1)]
    places = list(itertools.product(range(4), repeat=2))
    return nx.Graph(((a, b), ((a + s) % 4, (b + t) % 4)) for a, b in places for s, t in steps)


def numbered(graph: nx.Graph) -> nx.Graph:
    return nx.convert_node_labels_to_integers(graph)


def test_graphs_of_the_atlas_are_told_apart():
    six = [data(graph) for graph in graph_atlas_g() if graph.number_of_nodes() == 6]
    assert len(six) == 156
    alike = [(a, b) for a, b in itertools.combinations(six, 2) if a.num_edges == b.num_edges]
    told = Counter(what_differs(a, b) for a, b in alike)
    assert None not in told
    assert told["colours"] > told["pairs of nodes"] > 0
    assert all(what_differs(graph, renamed(graph, seed)) is None for seed, graph in enumerate(six))


@given(seed=st.integers(0, 10**6), nodes=st.integers(2, 9), labels=st.integers(1, 3))
def test_networkx_agrees(seed, nodes, labels):
    generator = torch.Generator().manual_seed(seed)
    one, other = (nx.gnm_random_graph(nodes, nodes, seed=seed + k) for k in range(2))
    sides = []
    for graph in (one, other):
        x = torch.randint(labels, (nodes, 1), generator=generator).float()
        nx.set_node_attributes(graph, dict(enumerate(x.flatten().tolist())), "x")
        sides.append(data(graph, x))
    same = nx.is_isomorphic(one, other, node_match=lambda a, b: a["x"] == b["x"])
    assert (what_differs(*sides) is None) == same
    assert what_differs(sides[0], renamed(sides[0], seed)) is None


def test_strongly_regular_graphs_are_told_apart_by_their_pairs():
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    one, other = (data(numbered(graph)) for graph in (rook, shrikhande()))
    assert not nx.is_isomorphic(rook, shrikhande())
    assert what_differs(one, other) == "pairs of nodes"
    assert what_differs(one, renamed(one, 0)) is None
    ours, theirs = stable_colours(one, other)
    assert len({*ours, *theirs}) == 1


def test_features_are_labels():
    path = nx.path_graph(3)
    ends, middle = torch.tensor([[1.0], [0.0], [0.0]]), torch.tensor([[0.0], [1.0], [0.0]])
    assert what_differs(data(path, ends), data(path, middle)) == "colours"
    assert what_differs(data(path, ends), data(path, ends.flip(0))) is None
    assert what_differs(data(path), data(nx.path_graph(4))) == "size"


@pytest.mark.parametrize("seed", range(5))
def test_nodes_of_one_colour_look_alike_to_message_passing_and_others_do_not(seed):
    torch.manual_seed(seed)
    one, other = (data(nx.gnm_random_graph(12, 14, seed=seed + k)) for k in (0, 100))
    model = GIN(1, 16, num_layers=12, act="tanh").double().eval()
    with torch.no_grad():
        rows = torch.cat([model(torch.ones(12, 1).double(), graph.edge_index) for graph in (one, other)])
    colours = torch.tensor([c for side in stable_colours(one, other) for c in side])
    apart = torch.cdist(rows, rows, p=float("inf"))
    same = colours.unsqueeze(1) == colours
    assert apart[same].max() < 1e-12
    assert apart[~same].min() > 1e-9
