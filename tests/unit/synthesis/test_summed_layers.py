"""Layers written out as sums over neighbours, against the models themselves on other graphs."""

from __future__ import annotations

import copy
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, GCNConv, GINConv, GraphConv, SAGEConv, SGConv

import graph_metamers as gm
from graph_metamers.graphs.loss_rewiring import LayerSums
from graph_metamers.graphs.neighbour_lists import NeighbourLists
from graph_metamers.graphs.rewiring import shuffled
from graph_metamers.synthesis.solvers import rewire

FEATURES, HIDDEN, CLASSES = 6, 5, 3
CONVS = {
    "gcn": GCNConv,
    "sage": SAGEConv,
    "sage_sum": lambda a, b: SAGEConv(a, b, aggr="sum"),
    "graph": GraphConv,
    "sgc": lambda a, b: SGConv(a, b, K=1),
    "sage_max": lambda a, b: SAGEConv(a, b, aggr="max"),
    "gat": GATConv,
    "gin": lambda a, b: GINConv(nn.Sequential(nn.Linear(a, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, b))),
}
SUMS, OTHERS = ("gcn", "sage", "sage_sum", "graph", "sgc"), ("sage_max", "gat", "gin")


class Stack(nn.Module):
    def __init__(
        self, conv: str, depth: int = 2, activation: type[nn.Module] = nn.ReLU, seed: int = 0
    ) -> None:
        super().__init__()
        widths = [FEATURES, *[HIDDEN] * (depth - 1), CLASSES]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.convs = nn.ModuleList(CONVS[conv](a, b) for a, b in pairwise(widths))
        self.act = activation()

    def forward(self, x, edge_index):
        for conv in self.convs[:-1]:
            x = self.act(conv(x, edge_index))
        return self.convs[-1](x, edge_index)


def graph_of(drawn: nx.Graph, loops: int = 0) -> Data:
    edge_index = torch.tensor(list(drawn.edges)).T
    own = torch.arange(loops).expand(2, -1)
    x = torch.randn(len(drawn), FEATURES, generator=torch.Generator().manual_seed(0))
    return Data(x=x, edge_index=torch.cat([edge_index, edge_index.flip(0), own], dim=1))


@pytest.fixture(scope="module")
def graph():
    return graph_of(nx.barabasi_albert_graph(60, 2, seed=1))


def form_of(model, graph, layer, monkeypatch, **vary):
    """What the solver makes of a layer: sums, or a reason."""
    found, original = [], rewire.layer_sums

    def noted(problem):
        found.append(original(problem))
        return found[-1]

    monkeypatch.setattr(rewire, "layer_sums", noted)
    structure = gm.Structure(**vary)
    gm.generate(
        model,
        graph,
        layer,
        vary=structure,
        solver=gm.Rewire(proposals=1),
        tolerance=1e-9,
        budget=gm.Budget(steps=40),
    )
    return found[0]


@pytest.mark.parametrize("loops", [0, 3])
@pytest.mark.parametrize("layer", ["act", "output"])
@pytest.mark.parametrize("conv", SUMS)
def test_the_form_gives_what_the_model_gives_on_any_graph(conv, layer, loops, monkeypatch):
    graph = graph_of(nx.barabasi_albert_graph(60, 2, seed=1), loops)
    model = Stack(conv)
    form = form_of(model, graph, layer, monkeypatch)
    assert isinstance(form, LayerSums), form
    assert (form.second is None) == (layer == "act")
    precise = copy.deepcopy(model).double().eval()
    lists = NeighbourLists.of(graph.edge_index.numpy(), 60, directed=False)
    for seed in range(90, 95):
        neighbours, edges = shuffled(lists, seed=seed)
        edge_index = torch.from_numpy(lists.edge_index(neighbours, edges))
        with torch.no_grad():
            hidden = precise.act(precise.convs[0](graph.x.double(), edge_index))
            value = hidden if layer == "act" else precise.convs[1](hidden, edge_index)
        assert form.at(lists, neighbours) == pytest.approx(
            value.numpy(), abs=1e-5
        )  # the compressed model is float32
        error = float(np.square(value.numpy() - form.target).sum())
        assert form.error(lists, neighbours) == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("conv", OTHERS)
def test_what_is_no_sum_is_left_to_the_descent(graph, conv, monkeypatch):
    reason = form_of(Stack(conv), graph, "output", monkeypatch)
    assert isinstance(reason, str)
    settings = {"vary": "structure", "solver": gm.Rewire(proposals=1), "tolerance": 1e-9}
    metamer = gm.generate(Stack(conv), graph, "output", budget=gm.Budget(steps=40), **settings)
    assert metamer.config["findings"] == {"no_annealing_on_the_loss": reason}


@pytest.mark.parametrize("depth", [1, 3])
def test_one_step_is_a_form_and_three_are_not(graph, depth, monkeypatch):
    form = form_of(Stack("gcn", depth), graph, "output", monkeypatch)
    assert isinstance(form, LayerSums) == (depth == 1)


def test_other_activation_functions_are_not_taken_for_a_relu(graph, monkeypatch):
    assert isinstance(form_of(Stack("gcn", activation=nn.Tanh), graph, "output", monkeypatch), str)


def test_edges_with_a_direction_are_left_to_the_descent(graph, monkeypatch):
    assert "direction" in form_of(Stack("gcn"), graph, "act", monkeypatch, directed=True)
