"""Free shares, against projectors of the whole Jacobian by torch and numpy."""

from __future__ import annotations

import copy

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv, global_mean_pool

import graph_metamers as gm

FEATURES, HIDDEN, CLASSES = 5, 3, 2
CONVS = {
    "gcn": GCNConv,
    "sage": SAGEConv,
    "gat": lambda a, b: GATConv(a, b, heads=2, concat=False),
    "gin": lambda a, b: GINConv(nn.Linear(a, b)),
}


class Stack(nn.Module):
    def __init__(self, conv: str, activation: type[nn.Module] = nn.Tanh) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first, self.second = CONVS[conv](FEATURES, HIDDEN), CONVS[conv](HIDDEN, CLASSES)
        self.act = activation()

    def forward(self, x, edge_index):
        return self.second(self.act(self.first(x, edge_index)), edge_index)


@pytest.fixture(scope="module")
def graph():
    drawn = nx.gnm_random_graph(12, 15, seed=4)
    edge_index = torch.tensor(list(drawn.edges)).T
    x = torch.randn(12, FEATURES, generator=torch.Generator().manual_seed(0))
    return Data(x=x, edge_index=torch.cat([edge_index, edge_index.flip(0)], dim=1))


def jacobian(model, graph, layer):
    """J [items, d_k, n, F] of a float64 copy, and the activation."""
    precise = copy.deepcopy(model).double().eval()

    def read(x):
        return (
            precise.act(precise.first(x, graph.edge_index))
            if layer == "act"
            else precise(x, graph.edge_index)
        )

    whole = torch.autograd.functional.jacobian(read, graph.x.double())
    return whole.numpy(), read(graph.x.double()).detach().numpy()


def by_brute_force(whole, node, directions, ridge=0.0):
    """tr of the block of I - P over the directions, P of all items that read the node."""
    reading = np.abs(whole[:, :, node]).sum(axis=(1, 2)) > 0
    matrix = whole[reading].reshape(-1, whole.shape[2] * FEATURES)
    if ridge:
        gram = matrix @ matrix.T + ridge * np.eye(len(matrix))
        projector = matrix.T @ np.linalg.solve(gram, matrix)
    else:
        projector = np.linalg.pinv(matrix, rcond=1e-12) @ matrix
    own = slice(node * FEATURES, (node + 1) * FEATURES)
    return 1 - np.trace(projector[own, own]) / directions


@pytest.mark.parametrize("layer", ["act", "output"])
@pytest.mark.parametrize("conv", CONVS)
def test_shares_are_those_of_the_ball_of_every_node(graph, conv, layer):
    model = Stack(conv)
    whole, _ = jacobian(model, graph, layer)
    found = gm.free_shares(model, graph, layer)
    directions = gm.local_metamer_dimension(model, graph, layer).features_read
    expected = [by_brute_force(whole, node, directions) for node in range(12)]
    assert found.shares.numpy() == pytest.approx(np.array(expected), abs=1e-8)
    reads = np.abs(whole).sum(axis=(1, 3)) > 0
    assert found.items.tolist() == reads.sum(axis=0).tolist()


@pytest.mark.parametrize("layer", ["act", "output"])
@pytest.mark.parametrize("conv", ["gcn", "sage", "gin"])
def test_with_a_tolerance_shares_are_those_of_the_ridge(graph, conv, layer):
    model, tolerance = Stack(conv), 1e-2
    whole, activation = jacobian(model, graph, layer)
    found = gm.free_shares(model, graph, layer, tolerance=tolerance)
    directions = gm.local_metamer_dimension(model, graph, layer).features_read
    # Unrelated rows of features, in the directions that are read, by pairs.
    rows = whole.reshape(-1, 12, FEATURES).reshape(-1, FEATURES)
    basis = np.linalg.svd(rows)[2][:directions].T
    seen = graph.x.double().numpy() @ basis
    pairs = np.square(seen[:, None] - seen).mean(axis=(0, 1)).mean()
    ridge = tolerance * np.square(activation).mean() / pairs
    expected = [by_brute_force(whole, node, directions, ridge) for node in range(12)]
    assert found.shares.numpy() == pytest.approx(np.array(expected), abs=1e-6)
    exact = gm.free_shares(model, graph, layer)
    assert (found.shares >= exact.shares - 1e-9).all()


def test_the_whole_graph_leaves_no_more_than_the_ball(graph):
    model = Stack("gcn")
    whole, _ = jacobian(model, graph, "output")
    matrix = whole.reshape(-1, 12 * FEATURES)
    projector = np.linalg.pinv(matrix, rcond=1e-12) @ matrix
    found = gm.free_shares(model, graph, "output")
    free = [
        FEATURES - np.trace(projector[n * FEATURES :, n * FEATURES :][:FEATURES, :FEATURES])
        for n in range(12)
    ]
    linear = FEATURES - gm.local_metamer_dimension(model, graph, "output").features_read
    read = FEATURES - linear
    assert (np.array(free) - linear <= found.shares.numpy() * read + 1e-8).all()


def test_a_node_that_nobody_reads_is_free():
    graph = Data(x=torch.randn(3, FEATURES), edge_index=torch.tensor([[0, 1], [1, 0]]))
    found = gm.free_shares(Stack("gin", nn.ReLU), graph, "output", index=[2])
    lonely = gm.free_shares(SAGEConvWithoutItself(), graph, "output", index=[2])
    assert found.items.tolist() == [1]
    assert lonely.items.tolist() == [0]
    assert lonely.shares.tolist() == [1.0]


class SAGEConvWithoutItself(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = SAGEConv(FEATURES, CLASSES, root_weight=False)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


def test_nodes_are_asked_in_their_order_until_the_work_is_done(graph):
    model = Stack("gcn")
    every = gm.free_shares(model, graph, "output")
    some = gm.free_shares(model, graph, "output", index=[7, 2, 9], work=1.0)
    assert some.index.tolist() == [7]
    assert some.shares[0] == every.shares[7]
    assert "FreeShares('output', 1 nodes" in repr(some)


def test_the_model_and_the_graph_come_back_as_they_were(graph):
    model = Stack("gat").train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    x = graph.x.clone()
    gm.free_shares(model, graph, "act", tolerance=1e-3)
    assert model.training
    assert torch.equal(graph.x, x)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tolerance": -1}, "tolerance"),
        ({"work": 0}, "work"),
        ({"layer": ["act"]}, "one layer"),
        ({"index": [12]}, "index"),
    ],
)
def test_bad_parameters_are_named(graph, settings, message):
    with pytest.raises(gm.ParameterError, match=message):
        gm.free_shares(Stack("gcn"), graph, **{"layer": "act", **settings})


def test_items_must_be_nodes(graph):
    class Pooled(Stack):
        def forward(self, x, edge_index, batch):
            return global_mean_pool(super().forward(x, edge_index), batch)

    with pytest.raises(gm.ModelError, match="must be nodes"):
        gm.free_shares(Pooled("gcn"), Batch.from_data_list([graph, graph]), "output")
