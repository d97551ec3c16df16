"""The oracle against Bayes' theorem written out, and its accuracy against counting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch_geometric.data import Data
from torch_geometric.nn import GCN
from torch_geometric.nn.models import LabelPropagation

import graph_metamers as gm
from graph_metamers.evidence.bayes_oracle import closed_form_accuracy

from .block_models import brute_force, drawn, log_joint


@pytest.fixture(scope="module")
def dataset():
    return gm.load_dataset("csbm", num_nodes=200, p=0.04, q=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_log_odds_are_those_of_bayes_theorem(seed):
    """log P(X, A | y_v = 1, others) - log P(X, A | y_v = -1, others), by the definition of the model."""
    model, graph = drawn(11, 0.3, seed)
    oracle = gm.BayesOracle(model, graph.y, torch.arange(3))
    signs = 2 * graph.y.numpy() - 1
    expected = []
    for node in range(11):
        plus, minus = signs.copy(), signs.copy()
        plus[node], minus[node] = 1, -1
        expected.append(log_joint(model, graph, plus) - log_joint(model, graph, minus))
    torch.testing.assert_close(
        oracle.log_odds(graph), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9
    )
    assert torch.equal(oracle.predict(graph), (torch.tensor(expected) > 0).long())


def test_the_whole_graph_reading_is_told_the_training_labels(dataset):
    model, graph = drawn(9, 0.3, seed=5)
    oracle = gm.BayesOracle(model, graph.y, torch.tensor([1, 4]))
    log_odds = oracle.log_odds(graph, reading="belief_propagation")
    expected = brute_force(model, graph, graph.y, (1, 4))
    judged = oracle.judged("belief_propagation")
    assert judged.nonzero().view(-1).tolist() == [0, 2, 3, 5, 6, 7, 8]
    torch.testing.assert_close(log_odds[judged], expected[judged], rtol=1e-10, atol=1e-10)
    assert torch.equal(gm.BayesOracle.of(dataset).evidence, dataset.split.train)


def test_where_all_others_are_told_both_readings_agree():
    model, graph = drawn(8, 0.4, seed=6)
    conditional = gm.BayesOracle(model, graph.y, torch.arange(8)).log_odds(graph)
    for node in range(8):
        others = torch.tensor([other for other in range(8) if other != node])
        whole = gm.BayesOracle(model, graph.y, others).log_odds(graph, reading="belief_propagation")
        assert float(whole[node]) == pytest.approx(float(conditional[node]), rel=1e-9)


@pytest.mark.parametrize("K", [0.5, 1.5, 3.0])
def test_its_accuracy_is_the_closed_form(K):
    """Means over independent graphs, of counts minus what the closed form says for each graph's classes."""
    differences = []
    for seed in range(20):
        dataset = gm.load_dataset("csbm", K=K, num_nodes=250, p=0.02, q=0.005, seed=seed)
        oracle = gm.BayesOracle.of(dataset)
        right = (oracle.predict(dataset.graph) == dataset.graph.y).double().mean()
        differences.append(float(right) - oracle.expected_accuracy())
    assert stats.ttest_1samp(differences, 0).pvalue > 0.001
    assert abs(np.mean(differences)) < 0.02


def test_the_closed_form_has_its_limits():
    model = gm.ContextualBlockModel.of(K=2.0, num_features=4, sigma=0.7, p=0.3, q=0.3)
    assert closed_form_accuracy(model, 20, 30) == pytest.approx(
        stats.norm.cdf(1.0), abs=1e-12
    )  # edges say nothing
    assert closed_form_accuracy(model, 0, 0) == pytest.approx(stats.norm.cdf(1.0), abs=1e-12)
    edges = gm.ContextualBlockModel.of(K=1e-6, num_features=4, sigma=1.0, p=0.3, q=0.1)
    # Features say nothing: one other node of the same class, which an edge or a gap tells all there is about.
    assert closed_form_accuracy(edges, 1, 0) == pytest.approx(0.3, abs=1e-4)
    both = closed_form_accuracy(
        gm.ContextualBlockModel.of(K=2.0, num_features=4, sigma=1.0, p=0.3, q=0.1), 20, 20
    )
    assert stats.norm.cdf(1.0) < both < 1


def test_a_set_that_nobody_drew_has_no_oracle(dataset):
    with pytest.raises(gm.DatasetError, match="nobody knows what drew it"):
        gm.BayesOracle.of(replace(dataset, block_model=None))


def test_a_graph_of_other_nodes_is_refused(dataset):
    oracle = gm.BayesOracle.of(dataset)
    other = dataset.graph.clone()
    other.x = other.x[:10]
    with pytest.raises(gm.ParameterError, match="'graph'"):
        oracle.log_odds(other)
    with pytest.raises(gm.ParameterError, match="'reading'"):
        oracle.log_odds(dataset.graph, reading="guess")


def test_the_model_says_what_the_oracle_says(dataset):
    oracle = gm.BayesOracle.of(dataset)
    logits = gm.OracleModel(oracle)(dataset.graph.x, dataset.graph.edge_index)
    torch.testing.assert_close(
        (logits[:, 1] - logits[:, 0]).double(), oracle.log_odds(dataset.graph), rtol=1e-4, atol=1e-4
    )
    posterior = torch.sigmoid(oracle.log_odds(dataset.graph))
    torch.testing.assert_close(logits.softmax(dim=1)[:, 1].double(), posterior, rtol=1e-4, atol=1e-4)


def test_a_constant_model_is_constant_and_still_differentiable(dataset):
    x = dataset.graph.x.clone().requires_grad_()
    logits = gm.ConstantModel()(x, dataset.graph.edge_index)
    assert bool((logits == logits[0]).all())
    logits.square().sum().backward()
    assert bool(x.grad.any())


def test_label_propagation_behind_a_model_is_the_formula(dataset):
    model = gm.build_model("gcn", dataset).eval()
    spread = gm.WithLabelPropagation(model, dataset, num_layers=3, alpha=0.6)
    graph, train = dataset.graph, dataset.split.train
    adjacency = torch.zeros(dataset.num_nodes, dataset.num_nodes)
    adjacency[graph.edge_index[1], graph.edge_index[0]] = 1
    scale = adjacency.sum(1).rsqrt().nan_to_num(posinf=0.0)
    start = model(graph.x, graph.edge_index).softmax(dim=1)
    start[train] = torch.nn.functional.one_hot(graph.y[train], 2).float()
    told = start
    for _ in range(3):
        told = (0.6 * (scale[:, None] * adjacency * scale) @ told + 0.4 * start).clamp(0, 1)
    expected = told.clamp(max=1, min=1e-6).log()
    expected = expected - expected.mean(dim=1, keepdim=True)
    torch.testing.assert_close(spread(graph.x, graph.edge_index), expected, rtol=1e-4, atol=1e-4)
    pyg = LabelPropagation(3, 0.6)(start, graph.edge_index).clamp(min=1e-6).log()
    pyg = pyg - pyg.mean(dim=1, keepdim=True)
    torch.testing.assert_close(spread(graph.x, graph.edge_index), pyg, rtol=1e-4, atol=1e-4)


def test_label_propagation_before_a_model_keeps_a_nodes_own_label_from_it(dataset):
    graph, train = dataset.graph, dataset.split.train
    torch.manual_seed(0)
    model = GCN(graph.num_features + 2, 4, num_layers=2, out_channels=2).eval()
    told = gm.WithLabelPropagation(model, dataset, place="before", num_layers=4, alpha=0.6).eval()
    adjacency = torch.zeros(dataset.num_nodes, dataset.num_nodes)
    adjacency[graph.edge_index[1], graph.edge_index[0]] = 1
    scale = adjacency.sum(1).rsqrt().nan_to_num(posinf=0.0)
    step = 0.6 * (scale[:, None] * adjacency * scale)
    labels = torch.nn.functional.one_hot(graph.y[train], 2).float()
    expected = torch.zeros(dataset.num_nodes, 2)
    for node in range(dataset.num_nodes):  # by hand: for every node without its own label
        start = torch.zeros(dataset.num_nodes, 2)
        others = train != node
        start[train[others]] = labels[others]
        spread = start
        for _ in range(4):
            spread = step @ spread + 0.4 * start
        expected[node] = spread[node]
    logits = model(torch.cat([graph.x, expected], dim=1), graph.edge_index)
    torch.testing.assert_close(told(graph.x, graph.edge_index), logits, rtol=1e-4, atol=1e-4)
    fewer = graph.edge_index[:, 2:]  # other edges: other scores
    with_fewer = told(graph.x, fewer)
    again = gm.WithLabelPropagation(
        model, replace(dataset, graphs=(Data(graph.x, fewer, y=graph.y),)), place="before",
        num_layers=4, alpha=0.6,
    )  # fmt: skip
    torch.testing.assert_close(with_fewer, again(graph.x, fewer))
    assert not torch.allclose(with_fewer, model(torch.cat([graph.x, expected], dim=1), fewer))


def test_label_propagation_has_two_places(dataset):
    with pytest.raises(gm.ParameterError, match="'place' parameter must be"):
        gm.WithLabelPropagation(gm.build_model("gcn", dataset), dataset, place="ahead")


def test_scores_before_a_model_have_no_order_and_own_labels_come_back_by_others_alone(
    dataset,
):
    graph, train = dataset.graph, dataset.split.train
    model = GCN(graph.num_features + 2, 4, num_layers=2, out_channels=2).double().eval()
    told = gm.WithLabelPropagation(model, dataset, place="before", num_layers=4).eval()
    order = torch.randperm(graph.num_edges, generator=torch.Generator().manual_seed(0))
    x = graph.x.double()
    same, shuffled = told(x, graph.edge_index), told(x, graph.edge_index[:, order])
    torch.testing.assert_close(same, shuffled, rtol=1e-10, atol=1e-10)
    node = int(train[0])
    labels = graph.y.clone()
    labels[node] = 1 - labels[node]
    other = replace(dataset, graphs=(Data(graph.x, graph.edge_index, y=labels),))
    changed = gm.WithLabelPropagation(model, other, place="before", num_layers=4)
    torch.testing.assert_close(changed.scores[node], told.scores[node], rtol=1e-12, atol=1e-15)
    neighbours = graph.edge_index[0, graph.edge_index[1] == node]
    assert not torch.allclose(changed.scores[neighbours], told.scores[neighbours])
