"""Dimension of whole graphs: closed forms beside brute force, and where simple formulas are wrong."""

from __future__ import annotations

import copy

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, SGConv

import graph_metamers as gm


class OneLayer(nn.Module):
    def __init__(self, features: int, hidden: int, activation: str = "relu", steps: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            conv = SGConv(features, hidden, K=steps) if steps else GCNConv(features, hidden)
        self.conv, self.act = conv, {"relu": nn.ReLU, "elu": nn.ELU}[activation]()

    def forward(self, x, edge_index):
        return self.act(self.conv(x, edge_index))


def graph_of(drawn: nx.Graph, features: int) -> Data:
    edge_index = torch.tensor(list(drawn.edges)).T
    x = torch.randn(len(drawn), features, generator=torch.Generator().manual_seed(0))
    return Data(x=x, edge_index=torch.cat([edge_index, edge_index.flip(0)], dim=1))


def brute_force(model, graph, layer):
    """Rank of the whole Jacobian of a float64 copy, and slopes of its rectifiers."""
    precise = copy.deepcopy(model).double()
    part = precise if layer == "act" else precise.conv
    whole = torch.autograd.functional.jacobian(lambda x: part(x, graph.edge_index), graph.x.double())
    return int(np.linalg.matrix_rank(whole.flatten(0, 1).flatten(1).numpy()))


def propagation(graph):
    """A_hat, [n, n], written out."""
    adjacency = torch.eye(graph.num_nodes, dtype=torch.float64)
    adjacency[graph.edge_index[1], graph.edge_index[0]] = 1
    scale = adjacency.sum(dim=1).rsqrt()
    return scale[:, None] * adjacency * scale


TWINS = nx.complete_graph(4)  # all of one closed neighbourhood: A_hat has rank 1
TAIL = nx.lollipop_graph(4, 3)
DRAWN = nx.gnm_random_graph(14, 22, seed=3)
GRAPHS = {"twins": TWINS, "tail": TAIL, "drawn": DRAWN}


@pytest.mark.parametrize("largest", [3000, 14])  # 14: J itself is too large, A is not
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("layer", ["conv", "act"])
@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("name", GRAPHS)
def test_closed_forms_and_decompositions_equal_brute_force(name, activation, layer, steps, largest):
    graph, model = graph_of(GRAPHS[name], features=6), OneLayer(6, 4, activation, steps)
    found = gm.whole_graph_dimension(model, graph, layer, largest=largest)
    assert found.method == "exact" or largest == 14
    assert found.rank == brute_force(model, graph, layer)
    assert found.dimension == graph.x.numel() - found.rank == found.linear + found.rest


@pytest.mark.parametrize(("features", "hidden"), [(6, 4), (4, 6)])
@pytest.mark.parametrize("name", GRAPHS)
def test_before_the_activation_rank_is_that_of_both_maps(name, features, hidden):
    graph, model = graph_of(GRAPHS[name], features), OneLayer(features, hidden)
    rank_a = int(torch.linalg.matrix_rank(propagation(graph)))
    expected = features * graph.num_nodes - rank_a * min(features, hidden)
    assert gm.whole_graph_dimension(model, graph, "conv").dimension == expected


def test_rank_is_not_the_number_of_active_units_where_nodes_are_twins():
    graph, model = graph_of(TWINS, features=6), OneLayer(6, 4)
    active = int((model(graph.x, graph.edge_index) > 0).sum())
    found = gm.whole_graph_dimension(model, graph, "act")
    assert found.rank == brute_force(model, graph, "act") == active // 4 < active


def test_rank_is_not_the_number_of_active_units_where_there_are_more_than_features():
    drawn = next(g for g in map(_drawn, range(50)) if _invertible(g))
    graph, model = graph_of(drawn, features=2), OneLayer(2, 9)
    active = int((model(graph.x, graph.edge_index) > 0).sum())
    found = gm.whole_graph_dimension(model, graph, "act")
    assert found.rank == brute_force(model, graph, "act") < active
    assert gm.whole_graph_dimension(model, graph, "act", largest=9).method.startswith("estimate")


def test_rank_is_the_number_of_active_units_where_a_is_invertible():
    drawn = next(g for g in map(_drawn, range(50)) if _invertible(g))
    graph, model = graph_of(drawn, features=6), OneLayer(6, 4)
    active = int((model(graph.x, graph.edge_index) > 0).sum())
    found = gm.whole_graph_dimension(model, graph, "act", largest=9)
    assert found.method == "active units"
    assert found.rank == brute_force(model, graph, "act") == active


def _drawn(seed: int) -> nx.Graph:
    return nx.gnm_random_graph(9, 12, seed=seed)


def _invertible(drawn: nx.Graph) -> bool:
    return int(torch.linalg.matrix_rank(propagation(graph_of(drawn, 1)))) == len(drawn)


def test_deep_layers_are_decomposed_in_parts_or_estimated():
    graph = graph_of(nx.disjoint_union(TAIL, DRAWN), features=5)
    model = gm.build_model("gcn", _Task(), hidden_channels=4)
    found = gm.whole_graph_dimension(model, graph, "output", largest=50)
    assert found.rank <= 3 * graph.num_nodes
    precise = copy.deepcopy(model).double().eval()
    whole = torch.autograd.functional.jacobian(lambda x: precise(x, graph.edge_index), graph.x.double())
    assert found.rank == int(np.linalg.matrix_rank(whole.flatten(0, 1).flatten(1).numpy()))
    estimated = gm.whole_graph_dimension(model, graph, "output", largest=20)
    values = np.linalg.svd(whole.flatten(0, 1).flatten(1).numpy(), compute_uv=False)
    seen = int((values > 0.01 * values[0]).sum())
    # Lanczos' method goes to the end here: what is left is the chance of the probes.
    assert abs(estimated.rank - seen) <= estimated.rank_error + 1
    assert estimated.counted == 0.01
    assert found.rank_error == 0.0


def test_jacobians_with_too_many_entries_are_refused(monkeypatch):
    graph = graph_of(DRAWN, features=5)
    monkeypatch.setattr("graph_metamers.theory.whole_graph.MOST_ENTRIES", 10)
    with pytest.raises(gm.ParameterError, match="at most 10 entries"):
        gm.whole_graph_dimension(gm.build_model("gcn", _Task()), graph, "output", largest=2)


class _Task:
    num_features, num_classes = 5, 3


def test_one_layer_is_asked_about():
    graph = graph_of(DRAWN, features=5)
    with pytest.raises(gm.ParameterError, match="the name of one layer"):
        gm.whole_graph_dimension(gm.build_model("gcn", _Task()), graph, ["output"])
