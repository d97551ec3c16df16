"""Gate 2 is decided by activations, and not by the last digits of float32."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

import graph_metamers as gm
from graph_metamers.evidence.null import EQUAL


def perceptron(num_features: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(num_features, 21), torch.nn.Tanh(), torch.nn.Linear(21, 5))


def features_only(model, graph):
    return model(graph.x)


def test_a_copy_of_the_nearest_real_node_is_not_closer_than_it():
    # A matrix product rounds a row by where it stands: of these copies a third came out closer than what
    # they are copies of.
    torch.manual_seed(0)
    graph = Data(x=torch.randn(384, 7) + 3, edge_index=torch.empty(2, 0, dtype=torch.long))
    null = gm.null_distribution(perceptron(7), graph, "output", pairs=10, forward=features_only)
    copies = graph.clone()
    copies.x = graph.x[null.nearest_item]
    report = gm.gates(copies, null)
    assert not report.closer.any()


def test_closer_means_by_more_than_rounding():
    x = torch.tensor([[1.0], [1.01], [3.0]])
    graph = Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long))
    null = gm.null_distribution(torch.nn.Identity(), graph, "output", pairs=10, forward=features_only)
    rival = 10 ** (-null.nearest_snr / 20)
    torch.testing.assert_close(rival, torch.tensor([0.01, 0.01 / 1.01, 1.99 / 3], dtype=torch.float64))
    for margin, passes in ((0.5, False), (2, True)):
        error = rival - margin * EQUAL * (1 + rival)
        assert (null.beaten_by(-20 * error.log10()) == passes).all()
