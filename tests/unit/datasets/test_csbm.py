from __future__ import annotations

import math

import networkx as nx
import pytest
import torch
from scipy import stats

from graph_metamers.datasets import ContextualBlockModel, load_dataset
from graph_metamers.errors import DatasetError, ParameterError


def test_the_defaults_are_those_of_gosch_et_al():
    dataset = load_dataset("csbm")
    model = dataset.block_model
    assert (dataset.num_nodes, dataset.num_features, dataset.num_classes) == (1000, 21, 2)
    assert (model.p, model.q, model.sigma) == (0.0063, 0.0015, 1.0)
    assert pytest.approx(1.5) == model.K
    torch.testing.assert_close(model.mean, torch.full((21,), 1.5 / (2 * math.sqrt(21)), dtype=torch.float64))
    # 3.16 and 0.74 neighbours of each class, as their code says.
    assert 500 * model.p == pytest.approx(3.16, abs=0.02)
    assert 500 * model.q == pytest.approx(0.74, abs=0.02)


def test_the_graph_is_undirected_without_loops_or_doubles():
    graph = load_dataset("csbm", seed=4).graph
    pairs = list(map(tuple, graph.edge_index.T.tolist()))
    distinct = set(pairs)
    assert len(distinct) == len(pairs)
    assert all((b, a) in distinct and a != b for a, b in pairs)
    assert len(pairs) == 2 * nx.Graph(pairs).number_of_edges()
    assert graph.x.dtype == torch.float32


def test_edges_are_as_many_as_the_model_says():
    counts = {True: [0, 0], False: [0, 0]}
    for seed in range(20):
        graph = load_dataset("csbm", num_nodes=300, p=0.05, q=0.02, seed=seed).graph
        same = graph.y[:, None] == graph.y[None]
        joined = torch.zeros_like(same)
        joined[tuple(graph.edge_index)] = True
        upper = torch.ones_like(same).triu(1)
        for alike, count in counts.items():
            pairs = upper & (same == alike)
            count[0] += int((joined & pairs).sum())
            count[1] += int(pairs.sum())
    assert stats.binomtest(*counts[True], 0.05).pvalue > 0.001
    assert stats.binomtest(*counts[False], 0.02).pvalue > 0.001


def test_features_are_gaussian_around_their_class():
    dataset = load_dataset("csbm", num_nodes=2000, num_features=3, sigma=0.5, K=4.0)
    graph, model = dataset.graph, dataset.block_model
    centred = (graph.x.double() - (2 * graph.y[:, None] - 1) * model.mean) / 0.5
    for column in centred.T:
        assert stats.kstest(column.numpy(), "norm").pvalue > 0.001
    assert stats.binomtest(int(graph.y.sum()), 2000, 0.5).pvalue > 0.001


def test_features_alone_tell_the_class_with_the_chance_that_k_says():
    dataset = load_dataset("csbm", num_nodes=3000, K=2.0)
    right = (dataset.block_model.feature_log_odds(dataset.graph.x) > 0).long() == dataset.graph.y
    assert stats.binomtest(int(right.sum()), 3000, stats.norm.cdf(1.0)).pvalue > 0.001


def test_another_seed_is_another_graph_and_k_moves_the_classes():
    first, second = load_dataset("csbm", seed=0), load_dataset("csbm", seed=1)
    assert first.fingerprint != second.fingerprint
    assert pytest.approx(3.0) == load_dataset("csbm", K=3.0).block_model.K
    assert torch.equal(load_dataset("csbm", K=3.0).graph.edge_index, first.graph.edge_index)


def test_the_split_has_both_classes_alike():
    dataset = load_dataset("csbm", num_nodes=60)
    split, y = dataset.split, dataset.graph.y
    sizes = torch.bincount(y[split.train])
    assert sizes[0] == sizes[1] == 3 * int(torch.bincount(y).min()) // 5
    assert len(split.validation) == 12
    assert len(split.train) + len(split.validation) + len(split.test) == 60


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("K", 0.0), ("K", math.nan), ("num_nodes", 9), ("num_nodes", 20.0), ("num_features", 0),
        ("sigma", 0.0),
        ("p", 0.0), ("p", 1.0), ("q", -0.1), ("q", math.inf),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(name, value):
    with pytest.raises(ParameterError, match=f"the '{name}' parameter must be"):
        load_dataset("csbm", **{name: value})


def test_other_sets_refuse_its_options():
    with pytest.raises(ParameterError, match="the 'K' parameter must be left out for karate"):
        load_dataset("karate", K=2.0)
    with pytest.raises(
        ParameterError, match=r"the 'words' parameter must be left out for csbm.*It takes K, num"
    ):
        load_dataset("csbm", words=3)
    with pytest.raises(ParameterError, match="left out for a graph of your own"):
        load_dataset("mine.npz", K=2.0)


def test_a_draw_of_one_class_only_says_so():
    def of_one_class(seed):
        try:
            load_dataset("csbm", num_nodes=10, seed=seed)
        except DatasetError as error:
            return "too few for a split" in str(error)
        return False

    assert any(of_one_class(seed) for seed in range(400))  # 22 in 1024 draws have fewer than two of a class


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"mean": torch.zeros(3, dtype=torch.float64)}, "mean"),
        ({"mean": torch.ones(3)}, "mean"),
        ({"mean": torch.full((2,), math.nan, dtype=torch.float64)}, "mean"),
        ({"sigma": -1.0}, "sigma"),
        ({"q": 0.0}, "q"),
    ],
)
def test_a_block_model_checks_itself(changes, name):
    good = {"mean": torch.ones(3, dtype=torch.float64), "sigma": 1.0, "p": 0.2, "q": 0.1}
    with pytest.raises(ParameterError, match=f"'{name}'"):
        ContextualBlockModel(**(good | changes))
