"""Edges vary: what holds for every convolution and activation function of the zoo."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.utils import contains_self_loops, degree, is_undirected

import graph_metamers as gm
from graph_metamers.models.activation_functions import ACTIVATION_FUNCTIONS

from .models import _graph

BUDGET = {"solver": gm.Rewire(proposals=100), "budget": gm.Budget(steps=60)}
GRID = [
    (info.name, activation)
    for info in gm.list_models()
    for activation in ACTIVATION_FUNCTIONS
    if info.name != "sgc" or activation == "identity"  # it has no hidden layer
]


def edges(graph):
    return set(map(tuple, graph.edge_index.T.tolist()))


@pytest.mark.parametrize("tolerance", [0.5, 1e-3])
@pytest.mark.parametrize(("name", "activation"), GRID)
def test_what_is_called_converged_is_within_the_tolerance_by_plain_pyg(name, activation, tolerance):
    graph = _graph(3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = gm.ModelConfig(
            architecture=name, in_channels=10, out_channels=3, hidden_channels=8, activation=activation
        )
        model = gm.GNN(config)
    before = graph.edge_index.clone()
    metamer = gm.generate(model, graph, "output", vary="structure", tolerance=tolerance, **BUDGET)
    assert torch.equal(graph.edge_index, before)
    assert model.training  # as it was

    model.eval()
    with torch.no_grad():
        ours, theirs = (model(g.x, g.edge_index).double() for g in (metamer.graph, graph))
    loss = float((ours - theirs).square().sum() / theirs.square().sum())
    assert metamer.activation_loss == pytest.approx(loss, rel=1e-5)
    assert (metamer.status is gm.Status.CONVERGED) == (
        loss <= tolerance and metamer.input_distance.scaled >= metamer.min_distance
    )
    assert torch.equal(metamer.graph.x, graph.x)
    assert len(edges(metamer.graph)) == metamer.graph.num_edges == graph.num_edges
    assert not contains_self_loops(metamer.graph.edge_index)
    assert is_undirected(metamer.graph.edge_index)
    for side in (0, 1):
        assert torch.equal(*(degree(g.edge_index[side], g.num_nodes) for g in (metamer.graph, graph)))
    if not metamer.is_metamer:
        # At least a sixth of what was asked for, and what the search says it did beside that.
        proposed = metamer.config.get("findings", {}).get("proposals", 100 * graph.num_edges)
        assert proposed >= 100 * graph.num_edges / 6
        assert f"{proposed} proposals and 60 steps: best loss " in metamer.message
        assert f"random graph {metamer.start_loss:.3g}" in repr(metamer)
