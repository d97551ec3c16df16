"""Audits in which features and edges vary together."""

from __future__ import annotations

import math
from dataclasses import replace

import networkx as nx
import pytest
import torch

import graph_metamers as gm
from graph_metamers.auditing.defaults import NUM_STARTS, STEPS
from graph_metamers.auditing.wording import RANDOM_GRAPHS
from graph_metamers.inputs import what_varies

OF_FEATURES = {"visible_distance", "null_space_distance", "cosine", "centred_cosine", "word_overlap"}
OF_EDGES = {"edge_overlap", "kept_degrees", "clustering", "homophily"}


def edges_of(graph):
    return set(map(tuple, graph.edge_index.T.tolist()))


def test_every_layer_has_measures_of_features_and_of_edges(both_audit):
    assert both_audit.varies == "both"
    assert both_audit.theory is None
    assert {row["varies"] for row in both_audit.rows()} == {"both"}
    for layer in both_audit.layers:
        assert (OF_FEATURES | OF_EDGES | {"input_distance"}) <= set(layer.measures)
        assert not {"visible_share", "null_space_share"} & set(layer.measures)
        assert (layer.front, layer.floor) == (None, None)
        assert layer.measures["kept_degrees"].values == (1.0, 1.0)


def test_measures_are_those_of_networkx_and_of_sets(both_audit):
    reference = both_audit.graph
    for layer in both_audit.layers:
        found, measures = layer.metamer.graph, layer.measures
        ours, theirs = edges_of(found), edges_of(reference)
        assert measures["edge_overlap"].values[0] == pytest.approx(len(ours & theirs) / len(ours | theirs))
        assert measures["clustering"].values[0] == pytest.approx(nx.average_clustering(nx.Graph(list(ours))))
        both = int(((found.x == 1) & (reference.x == 1)).sum())
        either = int(((found.x == 1) | (reference.x == 1)).sum())
        assert measures["word_overlap"].values[0] == pytest.approx(both / either)
        assert measures["input_distance"].values[0] == pytest.approx(layer.metamer.input_distance.scaled)


def test_the_distance_is_the_smaller_of_that_of_features_and_of_edges(both_audit, karate):
    layer = both_audit.layers[1]
    alone = [
        what_varies(vary, karate.graph).distance(layer.metamer.graph, "none").scaled
        for vary in (gm.Features(kind="binary"), "structure")
    ]
    assert layer.measures["input_distance"].values[0] == pytest.approx(min(alone))


def test_chance_is_shuffled_features_on_a_random_graph(karate):
    variables = what_varies(("features", "structure"), karate.graph)
    graph = variables.shuffled(torch.Generator().manual_seed(0))
    before = karate.graph
    assert graph.x.sum(dim=0).tolist() == before.x.sum(dim=0).tolist()  # each feature's values
    assert not torch.equal(graph.x, before.x)
    degrees = [torch.bincount(g.edge_index[1], minlength=34).tolist() for g in (graph, before)]
    assert degrees[0] == degrees[1]
    assert edges_of(graph) != edges_of(before)
    assert variables.distance(graph, "none").scaled > 0.7


def test_gate_three_asks_for_other_features_and_other_neighbours(both_audit, karate):
    features = what_varies(gm.Features(kind="binary"), karate.graph)
    edges = what_varies("structure", karate.graph)
    for layer in both_audit.layers:
        gates, found = layer.starts[0].gates, layer.metamer.graph
        near = [variables.distance(found, "nodes").items for variables in (features, edges)]
        smaller = torch.fmin(near[0].double(), near[1].double())
        assert torch.equal(gates.different, smaller >= gates.min_distance)
        assert torch.equal(gates.visible, gates.different)
        assert torch.equal(gates.passes, gates.same_prediction & gates.closer & gates.different)
    still = karate.graph.clone()
    still.x = layer.metamer.graph.x  # other features on the reference's own edges are no metamer of both
    null = gm.null_distribution(both_audit.model, karate.graph, layer.name)
    assert not bool(gm.gates(still, null, vary=("features", "structure")).different.any())
    assert bool(gm.gates(still, null, vary=gm.Features(kind="binary")).different.any())


def test_save_and_load_is_the_identity(both_audit, tmp_path):
    both_audit.save(tmp_path / "audit")
    loaded = gm.load_audit(tmp_path / "audit")
    assert loaded.varies == "both"
    assert repr(loaded) == repr(both_audit)
    assert gm.verdict(loaded) == gm.verdict(both_audit)
    for ours, theirs in zip(loaded.layers, both_audit.layers, strict=True):
        assert ours.measures == theirs.measures
        assert torch.equal(ours.metamer.graph.edge_index, theirs.metamer.graph.edge_index)
        assert torch.equal(ours.metamer.graph.x, theirs.metamer.graph.x)
        distance = theirs.starts[1].gates.distance
        assert torch.equal(ours.starts[1].gates.distance.visible_items, distance.visible_items)
    columns = set(next(iter(both_audit.node_rows())))
    assert columns == set(gm.NODE_COLUMNS) - {"kind"}
    assert len(list(loaded.node_rows())) == 2 * 2 * 34


def test_the_verdict_speaks_of_both(both_audit):
    text = " ".join(gm.verdict(both_audit))
    assert "edge overlap" in text
    assert RANDOM_GRAPHS in text
    assert "whether the changed features and edges still mean the same is not measured" in text
    assert "Followed away" not in text
    assert "Proved" not in text
    assert "cannot see" not in text


def test_a_matched_layer_is_said_to_be_matched_in_both(both_audit):
    layers = tuple(
        replace(layer, starts=tuple(replace(start, status=gm.Status.CONVERGED) for start in layer.starts))
        for layer in both_audit.layers
    )
    text = " ".join(gm.verdict(replace(both_audit, layers=layers)))
    assert "features at a visible distance of" in text
    assert "and an edge overlap of" in text
    assert f"unrelated features on {RANDOM_GRAPHS}" in text
    assert "differ in their features and in their neighbours" in text
    assert any("input features and the edges" in sentence for sentence in gm.advice([
        replace(both_audit, layers=tuple(
            replace(layer, metamer=replace(layer.metamer, status=gm.Status.CONVERGED)) for layer in layers
        ))
    ]))  # fmt: skip


def test_the_defaults_of_a_joint_audit_are_smaller(karate, karate_model):
    counted, starts = [], NUM_STARTS["both"]
    audit = gm.audit(
        karate_model,
        karate,
        vary=("structure", "features"),
        layers=["act.0"],
        tolerance=10.0,
        num_untrained=0,
        on_search=lambda *at: counted.append(at),
    )
    assert counted == [("act.0", number, starts) for number in range(1, starts + 1)]
    config = audit.layers[0].metamer.config
    assert config["steps"] == STEPS["both"]
    assert "proposals=1000" in config["solver_options"]
    assert audit.varies == "both"
    assert not math.isnan(audit.rows()[0]["edge_overlap_low"])


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        (("features", "features"), "'vary' parameter must be"),
        (("features", "edge_weights"), "'vary' parameter must be"),
        (("features",), "'vary' parameter must be"),
    ],
)
def test_other_pairs_are_refused(karate, karate_model, vary, message):
    with pytest.raises(gm.ParameterError, match=message):
        gm.audit(karate_model, karate, vary=vary)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "farthest"}, "'objective' parameter must be 'match'"),
        ({"init": "permuted"}, "'init' parameter must be 'noise' or 'reference'"),
        ({"solver": "lbfgs"}, "'solver' parameter must be 'in_turn'"),
        ({"num_untrained": -1}, "'num_untrained' parameter must be"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_the_search(karate, karate_model, options, message):
    searched = []
    with pytest.raises(gm.ParameterError, match=message):
        gm.audit(
            karate_model,
            karate,
            vary=("features", "structure"),
            on_search=lambda *at: searched.append(at),
            **options,
        )
    assert not searched
