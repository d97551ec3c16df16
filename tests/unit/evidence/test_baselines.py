from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from graph_metamers.datasets import load_dataset
from graph_metamers.errors import ParameterError
from graph_metamers.evidence import label_propagation


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def dense_label_propagation(dataset, *, num_layers, alpha):
    """The formula, with a dense matrix."""
    graph = dataset.graph
    adjacency = torch.zeros(dataset.num_nodes, dataset.num_nodes, dtype=torch.float64)
    adjacency[graph.edge_index[1], graph.edge_index[0]] = 1
    scale = adjacency.sum(1).rsqrt()
    spread = scale[:, None] * adjacency * scale
    given = torch.zeros(dataset.num_nodes, dataset.num_classes, dtype=torch.float64)
    given[dataset.split.train, graph.y[dataset.split.train]] = 1
    labels = given
    for _ in range(num_layers):
        labels = (alpha * (spread @ labels) + (1 - alpha) * given).clamp(0, 1)
    return labels.argmax(dim=1)


def test_the_digits_are_almost_solved_by_their_edges_alone(digits):
    control = label_propagation(digits)
    assert 0.94 <= control.test.accuracy <= 0.99
    assert control.test.num_items == 1097
    assert not control.test.at_chance
    assert "label propagation" in repr(control)


def test_it_is_the_published_formula(digits):
    control = label_propagation(digits, num_layers=7, alpha=0.6)
    expected = dense_label_propagation(digits, num_layers=7, alpha=0.6)
    for part in ("validation", "test"):
        nodes = getattr(digits.split, part)
        share = float((expected[nodes] == digits.graph.y[nodes]).double().mean())
        assert getattr(control, part).accuracy == pytest.approx(share, abs=2 / len(nodes))


def test_features_and_foreign_labels_are_not_used(digits):
    graph = digits.graph.clone()
    graph.x = torch.zeros_like(graph.x)
    assert label_propagation(replace(digits, graphs=(graph,))) == label_propagation(digits)


def test_without_edges_it_is_no_better_than_chance(digits):
    graph = digits.graph.clone()
    graph.edge_index = graph.edge_index[:, :0]
    assert label_propagation(replace(digits, graphs=(graph,))).test.at_chance


@pytest.mark.parametrize(
    "wrong", [{"num_layers": 0}, {"num_layers": True}, {"alpha": 1.1}, {"alpha": -0.1}, {"alpha": math.nan}]
)
def test_what_is_out_of_range_is_refused(digits, wrong):
    (name,) = wrong
    with pytest.raises(ParameterError, match=f"the '{name}' parameter must be"):
        label_propagation(digits, **wrong)


def test_a_graph_level_data_set_is_refused(digits):
    with pytest.raises(ParameterError, match="node-level"):
        label_propagation(replace(digits, task_level="graph"))
