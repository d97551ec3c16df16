"""Observers against scikit-learn, and against plain PyTorch Geometric with the weights that are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch_geometric.nn import GATConv, LabelPropagation, SAGEConv, SGConv

import graph_metamers as gm
from graph_metamers.evidence.panel_plans import features_plan


@pytest.fixture(scope="module")
def watched(karate, karate_model, tmp_path_factory):
    """Features vary, and a whole panel looks."""
    panel = gm.train_panel(
        karate,
        karate_model,
        architectures=["sage", "gat", "sgc"],
        num_twins=1,
        cache=tmp_path_factory.mktemp("kept"),
    )
    return gm.audit(
        karate_model, karate, layers=["output"], num_starts=2, budget=gm.Budget(steps=30), observers=panel
    )


def test_accuracy_and_agreement_are_scikit_learns(watched, karate):
    told, test = watched.observers, karate.split.test.numpy()
    model = told.sights[0].reference.numpy()
    for sight in told.sights:
        for where, seen in (("reference", sight.reference[None]), ("output", sight.found["output"])):
            rows = seen.numpy()
            expected = {
                "accuracy": [accuracy_score(karate.graph.y.numpy()[test], row[test]) for row in rows],
                "as_the_model": [accuracy_score(model[test], row[test]) for row in rows],
                "as_before": [accuracy_score(sight.reference.numpy()[test], row[test]) for row in rows],
            }
            for figure, shares in expected.items():
                assert told.interval(figure, sight.name, where).estimate == pytest.approx(np.mean(shares))


def network(name, weights):
    """Plain PyTorch Geometric, with the weights by their names."""

    def filled(conv, prefix):
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        conv.load_state_dict(own)
        return conv.eval()

    if name == "SGC":
        return filled(SGConv(34, 4, K=2), "conv.0.")
    if name == "GAT":
        first, last = filled(GATConv(34, 2, heads=8), "conv.0."), filled(GATConv(16, 4), "conv.1.")
    else:
        first, last = filled(SAGEConv(34, 16), "conv.0."), filled(SAGEConv(16, 4), "conv.1.")
    return lambda x, edges: last(first(x, edges).relu(), edges)


def kept(tmp_path, name, panel):
    (key,) = [member.facts["key"] for member in panel.members if member.name == name]
    return load_file(tmp_path / "observers" / f"{key}.safetensors")


@pytest.mark.parametrize("name", ["GraphSAGE", "GAT", "SGC"])
def test_answers_are_those_of_plain_pyg_with_the_kept_weights(karate, tmp_path, name):
    panel = gm.train_panel(karate, architectures=["sage", "gat", "sgc"], cache=tmp_path)
    (member,) = [member for member in panel.members if member.name == name]
    plain = network(name, kept(tmp_path, name, panel))
    generator = torch.Generator().manual_seed(0)
    for x in (karate.graph.x, torch.randn(34, 34, generator=generator)):
        graph = karate.graph.clone()
        graph.x = x
        with torch.no_grad():
            expected = plain(x, graph.edge_index).argmax(dim=1)
        assert torch.equal(member.classes(graph), expected)


def by_name(panel, kind):
    return next(member for member in panel.members if member.kind == kind)


def outside_test(dataset):
    learned = torch.ones(dataset.num_nodes, dtype=torch.bool)
    learned[dataset.split.test] = False
    return learned.numpy()


def test_features_only_is_scikit_learns_classifier_of_all_but_the_test_labels(digits):
    x, y, learned = digits.graph.x.double().numpy(), digits.graph.y.numpy(), outside_test(digits)
    line = LogisticRegression(max_iter=1000).fit(x[learned], y[learned])
    plan = features_plan(digits)
    reader = plan.revive(plan.train())
    assert np.array_equal(reader(digits.graph).numpy(), line.predict(x))
    assert accuracy_score(y[~learned], line.predict(x)[~learned]) > 0.9


def test_continuous_features_are_standardised(digits):
    generator = torch.Generator().manual_seed(1)
    graph = digits.graph.clone()
    graph.x = graph.x * torch.logspace(-3, 3, 64) + torch.randn(64, generator=generator)
    dataset = replace(digits, graphs=(graph,), feature_kind="continuous", image_shape=None)
    x, y, learned = graph.x.double().numpy(), graph.y.numpy(), outside_test(dataset)
    line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x[learned], y[learned])
    plan = features_plan(dataset)
    found = plan.revive(plan.train())(graph).numpy()
    assert (found == line.predict(x)).mean() > 0.999  # weights that are folded into one round differently


@pytest.mark.parametrize("classes", [1, 2])
def test_features_only_with_one_or_two_classes(digits, classes):
    graph = digits.graph.clone()
    graph.y = 3 + graph.y % classes
    dataset = replace(digits, graphs=(graph,), class_names=tuple("abcde"))
    plan = features_plan(dataset)
    found = plan.revive(plan.train())(graph)
    if classes == 1:
        assert found.unique().tolist() == [3]
        return
    x, learned = graph.x.double().numpy(), outside_test(dataset)
    line = LogisticRegression(max_iter=1000).fit(x[learned], graph.y.numpy()[learned])
    assert np.array_equal(found.numpy(), line.predict(x))


def test_edges_only_is_label_propagation_of_the_training_labels(karate, watched):
    panel = gm.untrained_panel(karate)
    graph = karate.graph.clone()
    graph.edge_index = graph.edge_index[:, :100]
    for seen in (karate.graph, graph):
        spread = LabelPropagation(num_layers=50, alpha=0.9)
        expected = spread(seen.y, seen.edge_index, mask=karate.split.train).argmax(dim=1)
        assert torch.equal(by_name(panel, "edges").classes(seen), expected)
    told = watched.observers.interval("accuracy", "edges", "reference").estimate
    assert told == pytest.approx(gm.label_propagation(karate).test.accuracy)
