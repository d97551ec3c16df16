"""Belief propagation against the sum over all assignments, and against itself where it is not exact."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from graph_metamers.datasets import load_dataset
from graph_metamers.errors import ParameterError
from graph_metamers.evidence import propagate_beliefs
from graph_metamers.evidence.counting_messages import cutset_of

from .block_models import brute_force, drawn, random_forest

EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.mark.parametrize("density", [0.0, 0.15, 0.4, 0.8, 1.0])
@pytest.mark.parametrize("num_nodes", [1, 2, 3, 7, 10])
def test_it_equals_brute_force_whatever_the_edges(num_nodes, density):
    model, graph = drawn(num_nodes, density, seed=num_nodes)
    beliefs = propagate_beliefs(model, graph)
    assert beliefs.exact
    torch.testing.assert_close(beliefs.log_odds, brute_force(model, graph), **EXACT)


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.1, 0.3, 1.0])
def test_it_equals_brute_force_on_twelve_nodes(density):
    model, graph = drawn(12, density, seed=3)
    beliefs = propagate_beliefs(model, graph)
    assert beliefs.exact
    torch.testing.assert_close(beliefs.log_odds, brute_force(model, graph), **EXACT)


@given(
    num_nodes=st.integers(1, 7),
    density=st.floats(0, 1),
    seed=st.integers(0, 10**6),
    p=st.floats(0.01, 0.95),
    q=st.floats(0.01, 0.95),
    num_known=st.integers(0, 3),
)
def test_it_equals_brute_force_with_known_labels_and_any_probabilities(
    num_nodes, density, seed, p, q, num_known
):
    model, graph = drawn(num_nodes, density, seed, p=p, q=q)
    known = tuple(range(min(num_known, num_nodes)))
    beliefs = propagate_beliefs(
        model, graph, labels=graph.y, known=torch.tensor(known, dtype=torch.int64), method="exact"
    )
    expected = brute_force(model, graph, graph.y, known)
    free = torch.arange(num_nodes) >= len(known)
    torch.testing.assert_close(beliefs.log_odds[free], expected[free], rtol=1e-9, atol=1e-9)
    assert torch.equal(
        beliefs.log_odds[~free], torch.where(graph.y[~free] == 1, math.inf, -math.inf).double()
    )


def test_without_evidence_the_classes_cannot_be_told_apart():
    model, graph = drawn(8, 0.4, seed=1)
    graph.x = torch.zeros_like(graph.x)
    torch.testing.assert_close(
        propagate_beliefs(model, graph).log_odds, torch.zeros(8, dtype=torch.float64), **EXACT
    )
    told = propagate_beliefs(model, graph, labels=graph.y, known=torch.tensor([0]))
    assert float(told.log_odds[1:].abs().max()) > 0.01


def test_loopy_propagation_is_exact_on_a_forest_without_gaps():
    """Gaps say nothing where p and q are tiny; edges still do, since p / q is 3."""
    model, graph = drawn(9, 0.0, seed=2, p=6e-13, q=2e-13)
    graph.edge_index = random_forest(9, seed=2)
    loopy = propagate_beliefs(model, graph, method="loopy")
    assert loopy.converged
    torch.testing.assert_close(loopy.log_odds, brute_force(model, graph), rtol=1e-9, atol=1e-9)
    assert not loopy.exact


def test_loopy_propagation_is_near_where_it_is_not_exact():
    """With couplings as strong as p = 0.4 against q = 0.15 it errs, and this is how much."""
    errors = []
    for seed in range(10):
        model, graph = drawn(10, 0.25, seed)
        loopy = propagate_beliefs(model, graph, method="loopy")
        exact = propagate_beliefs(model, graph)
        assert loopy.converged
        errors.append(float((loopy.log_odds.sigmoid() - exact.log_odds.sigmoid()).abs().max()))
    assert 1e-6 < max(errors) < 0.25
    assert float(np.median(errors)) < 0.1


def test_on_a_drawn_graph_loopy_and_exact_agree():
    """500 nodes of which most are known: few cycles are left, so that the exact way is cheap enough."""
    dataset = load_dataset("csbm", num_nodes=300, num_features=5, p=0.02, q=0.005)
    known = torch.cat([dataset.split.train, dataset.split.validation])
    ways = {
        method: propagate_beliefs(
            dataset.block_model, dataset.graph, labels=dataset.graph.y, known=known, method=method
        )
        for method in ("exact", "loopy")
    }
    assert ways["exact"].exact
    free = ways["exact"].log_odds.isfinite()
    errors = (ways["exact"].log_odds[free].sigmoid() - ways["loopy"].log_odds[free].sigmoid()).abs()
    assert int(free.sum()) == len(dataset.split.test)
    assert float(errors.max()) < 0.02


def test_it_is_better_than_features_and_edges_to_known_nodes_alone():
    dataset = load_dataset("csbm", K=1.0, num_nodes=1000, seed=2)
    test, y = dataset.split.test, dataset.graph.y
    beliefs = propagate_beliefs(dataset.block_model, dataset.graph, labels=y, known=dataset.split.train)
    features = dataset.block_model.feature_log_odds(dataset.graph.x) > 0
    right = (beliefs.predictions == y)[test].double().mean()
    assert float(right) > float((features.long() == y)[test].double().mean()) + 0.05


@pytest.mark.parametrize("seed", range(6))
def test_what_is_left_without_the_cutset_is_a_forest(seed):
    graph = nx.gnp_random_graph(14, 0.3, seed=seed)
    pairs = np.array(list(graph.edges), dtype=np.int64).reshape(-1, 2)
    cutset = cutset_of(14, pairs)
    graph.remove_nodes_from(cutset.tolist())
    assert nx.is_forest(graph)
    assert len(cutset_of(14, np.array(list(nx.complete_graph(14).edges)))) == 12
    assert not len(cutset_of(5, np.array(list(nx.path_graph(5).edges))))


def test_what_it_cannot_read_is_refused():
    model, graph = drawn(6, 0.5, seed=0)
    known = torch.tensor([0])
    for changed, text in (
        (Data(x=graph.x, edge_index=torch.tensor([[0], [1]])), "undirected"),
        (Data(x=graph.x, edge_index=torch.tensor([[0], [0]])), "self-loops"),
        (Data(x=graph.x[:, :2], edge_index=graph.edge_index), "3 features"),
    ):
        with pytest.raises(ParameterError, match=text):
            propagate_beliefs(model, changed)
    for options, name in (
        ({"known": known}, "labels"),
        ({"known": known, "labels": torch.full((6,), 2)}, "labels"),
        ({"known": torch.tensor([6]), "labels": graph.y}, "known"),
        ({"method": "junction"}, "method"),
        ({"damping": 1.0}, "damping"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"tolerance": -1.0}, "tolerance"),
    ):
        with pytest.raises(ParameterError, match=f"'{name}'"):
            propagate_beliefs(model, graph, **options)


def test_exactness_is_refused_where_it_would_fill_the_memory():
    model, graph = drawn(60, 0.5, seed=0)
    with pytest.raises(
        ParameterError, match="'method' parameter must be 'loopy' for a graph whose cycles need"
    ):
        propagate_beliefs(model, graph, method="exact")
    assert not propagate_beliefs(model, graph).exact


def test_it_says_when_it_has_not_converged():
    dataset = load_dataset("csbm", num_nodes=400)
    beliefs = propagate_beliefs(dataset.block_model, dataset.graph, max_iterations=2)
    assert not beliefs.converged
    assert "NOT converged" in repr(beliefs)
