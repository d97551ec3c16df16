from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GIN
from torch_geometric.utils import from_networkx

import graph_metamers as gm


def plain(graph):
    data = from_networkx(graph)
    return Data(x=torch.ones(data.num_nodes, 1), edge_index=data.edge_index)


def hashes_of(graph):
    nx.set_node_attributes(graph, "same", "label")
    return nx.weisfeiler_lehman_subgraph_hashes(graph, iterations=3, node_attr="label")


@pytest.mark.parametrize("seed", range(3))
def test_classes_are_those_of_networkx(seed):
    graph = nx.gnp_random_graph(14, 0.25, seed=seed)
    torch.manual_seed(0)
    (found,) = gm.structure_classes(GIN(1, 8, num_layers=3), plain(graph), "output")
    assert found.hops == 3
    hashes = hashes_of(graph)
    expected = [1, *(len({hashes[v][r] for v in graph}) for r in range(3))]
    assert list(found.classes_per_round) == expected


def count_by_hand(graph, colours):
    """Swaps a-u, b-v -> a-v, b-u with c(a) = c(b), c(u) = c(v), by trying all."""
    count = 0
    for (a, u), (b, v) in combinations(graph.edges, 2):
        for x, y in ((b, v), (v, b)):
            fits = colours[a] == colours[x] and colours[u] == colours[y]
            if len({a, u, x, y}) == 4 and fits and not graph.has_edge(a, y) and not graph.has_edge(x, u):
                count += 1
    return count


def test_swaps_are_those_that_trying_all_finds():
    graph = nx.circular_ladder_graph(5)
    graph.add_edges_from([(0, 10), (1, 11)])
    torch.manual_seed(0)
    model = GIN(1, 8, num_layers=3)
    names = ["convs.0", "convs.1", "output"]
    found = gm.structure_classes(model, plain(graph), names, alike="inputs")
    hashes = hashes_of(graph)
    for rounds, each in enumerate(found):
        colours = {v: hashes[v][rounds - 1] if rounds else 0 for v in graph}
        assert each.swaps == count_by_hand(graph, colours)
        assert each.hops == rounds + 1
    assert found[0].swaps > found[1].swaps
    assert found[0].row()["classes_1"] == found[0].classes_per_round[1]


def test_classes_bound_the_rows_of_a_layer():
    dataset = gm.load_dataset("karate")
    graph = dataset.graph.clone()
    graph.x = torch.ones(34, 4)
    model = gm.build_model("gcn", Few(), hidden_channels=8)
    for each in gm.structure_classes(model, graph):
        values = gm.activations(
            model.double(), Data(x=graph.x.double(), edge_index=graph.edge_index), each.layer
        )
        rows = np.unique(values[each.layer].detach().numpy().round(10), axis=0)
        assert 1 < len(rows) <= each.classes_per_round[-1] <= each.num_nodes
        assert each.reads_degrees
        assert each.largest_change < 1e-10
        model = model.float()


class Few:
    num_features, num_classes = 4, 3


def test_unknown_kinds_are_refused():
    with pytest.raises(gm.ParameterError, match="'alike'"):
        gm.structure_classes(GIN(1, 8, num_layers=1), plain(nx.path_graph(4)), alike="names")
