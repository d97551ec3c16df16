"""Relabelling the nodes of a graph relabels what a model computes, and nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data
from torch_geometric.utils import erdos_renyi_graph

import graph_metamers as gm


def relabelled(graph: Data, order: torch.Tensor) -> Data:
    """The same graph with node v called order[v]."""
    x = torch.empty_like(graph.x)
    x[order] = graph.x
    return Data(x=x, edge_index=order[graph.edge_index])


@given(seed=st.integers(0, 10**6), name=st.sampled_from([model.name for model in gm.list_models()]))
def test_activations(seed, name):
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        edge_index = erdos_renyi_graph(15, 0.3)
    graph = Data(x=torch.randn(15, 5, generator=generator).double(), edge_index=edge_index)
    order = torch.randperm(15, generator=generator)
    model = gm.GNN(gm.ModelConfig(architecture=name, in_channels=5, out_channels=3, num_layers=3)).double()
    names = [layer.name for layer in gm.layers(model, graph) if layer.items == "nodes"]
    before = gm.activations(model, graph, names)
    after = gm.activations(model, relabelled(graph, order), names)
    for layer in names:
        torch.testing.assert_close(after[layer][order], before[layer])


@given(seed=st.integers(0, 10**6))
def test_a_relabelled_metamer_is_a_metamer_of_the_relabelled_reference(seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        edge_index = erdos_renyi_graph(15, 0.3)
    graph = Data(x=torch.randn(15, 9, generator=generator), edge_index=edge_index)
    model = gm.GNN(gm.ModelConfig(architecture="gcn", in_channels=9, out_channels=3, hidden_channels=4))
    metamer = gm.generate(model, graph, "act.0", seed=seed, budget=gm.Budget(steps=100))
    order = torch.randperm(15, generator=generator)
    h, changed = (
        gm.activations(model, relabelled(g, order), "act.0")["act.0"].double() for g in (graph, metamer.graph)
    )
    loss = float((changed - h).square().sum() / h.square().sum())
    assert loss == pytest.approx(metamer.activation_loss, rel=1e-3, abs=1e-9)
