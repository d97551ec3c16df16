"""Audits in which edges vary."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

import graph_metamers as gm
from graph_metamers.auditing.floors import rounded_down, structure_floor
from graph_metamers.auditing.layer_results import StructureFloor
from graph_metamers.auditing.wording import RANDOM_GRAPHS

OF_FEATURES = {
    "visible_share",
    "null_space_share",
    "visible_distance",
    "null_space_distance",
    "cosine",
    "centred_cosine",
    "word_overlap",
}


def edges_of(graph):
    return set(map(tuple, graph.edge_index.T.tolist()))


def test_every_layer_has_a_front_and_says_that_edges_vary(edge_audit):
    assert edge_audit.varies == "structure"
    assert [layer.front.layer for layer in edge_audit.layers] == [("act.0",), ("output",)]
    assert {row["varies"] for row in edge_audit.rows()} == {"structure"}
    assert edge_audit.config["search"]["vary"]["edges"]["reference_edges"] == "forbid"


def test_measures_of_edges_are_those_of_networkx_and_of_sets(edge_audit):
    reference = edge_audit.graph
    for layer in edge_audit.layers:
        found, measures = layer.metamer.graph, layer.measures
        ours, theirs = edges_of(found), edges_of(reference)
        assert measures["edge_overlap"].values[0] == pytest.approx(len(ours & theirs) / len(ours | theirs))
        drawn = nx.Graph(list(ours))
        assert measures["clustering"].values[0] == pytest.approx(nx.average_clustering(drawn))
        labels = edge_audit.labels
        within = sum(int(labels[a] == labels[b]) for a, b in ours) / len(ours)
        assert measures["homophily"].values[0] == pytest.approx(within)
        assert measures["kept_degrees"].values == (1.0, 1.0, 1.0)
        assert dict(drawn.degree) == dict(nx.Graph(list(theirs)).degree)
        assert measures["input_distance"].values[0] == pytest.approx(layer.metamer.input_distance.scaled)


def test_chance_is_a_random_graph_with_the_same_degrees(edge_audit):
    for layer in edge_audit.layers:
        assert layer.measures["input_distance"].chance == pytest.approx(1, abs=0.15)
        assert layer.measures["kept_degrees"].chances == (1.0, 1.0, 1.0)
        assert layer.measures["activation_loss"].chance > layer.measures["activation_loss"].value


def test_what_is_about_features_is_not_there(edge_audit):
    for layer in edge_audit.layers:
        assert not OF_FEATURES & set(layer.measures)
        assert all(start.gates.distance is None for start in layer.starts)
    columns = set(next(iter(edge_audit.node_rows())))
    assert columns == set(gm.NODE_COLUMNS) - {"kind", "visible_distance"}


def test_gates_ask_for_other_neighbours(edge_audit):
    reference = edge_audit.graph
    for layer in edge_audit.layers:
        gates, found = layer.starts[0].gates, layer.metamer.graph
        for node in range(len(edge_audit.labels)):
            old, new = (set(g.edge_index[0, g.edge_index[1] == node].tolist()) for g in (reference, found))
            changed = 1 - len(old & new) / len(old | new)
            scaled = changed / layer.metamer.input_distance.chance
            assert bool(gates.different[node]) == (max(changed, scaled) >= gates.min_distance)
        assert torch.equal(gates.passes, gates.same_prediction & gates.closer & gates.different)


def test_gates_alone_give_the_same(edge_audit, karate, karate_model):
    layer = edge_audit.layers[1]
    null = gm.null_distribution(karate_model, karate.graph, "output")
    report = gm.gates(layer.metamer, null, vary="structure")
    assert torch.equal(report.passes, layer.starts[0].gates.passes)
    assert torch.equal(report.item_distance, layer.starts[0].gates.item_distance)


def test_save_and_load_is_the_identity(edge_audit, tmp_path):
    edge_audit.save(tmp_path / "audit")
    loaded = gm.load_audit(tmp_path / "audit")
    assert repr(loaded) == repr(edge_audit)
    assert gm.verdict(loaded) == gm.verdict(edge_audit)
    for ours, theirs in zip(loaded.layers, edge_audit.layers, strict=True):
        assert ours.front == theirs.front
        assert ours.floor == theirs.floor is not None
        assert ours.measures == theirs.measures
        assert torch.equal(ours.metamer.graph.edge_index, theirs.metamer.graph.edge_index)
        assert torch.equal(ours.starts[2].gates.passes, theirs.starts[2].gates.passes)
    assert list(loaded.node_rows()) == list(edge_audit.node_rows())
    edge_audit.save_nodes(tmp_path / "nodes.csv")
    with (tmp_path / "nodes.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2 * 3 * 34


def test_an_audit_without_fronts_is_read_as_before(edge_audit, tmp_path):
    """What was saved before there were fronts has none."""
    older = replace(edge_audit, layers=tuple(replace(layer, front=None) for layer in edge_audit.layers))
    older.save(tmp_path / "older")
    text = (tmp_path / "older" / "audit.json").read_text(encoding="utf-8")
    (tmp_path / "older" / "audit.json").write_text(text.replace('"front": null', '"other": null'))
    loaded = gm.load_audit(tmp_path / "older")
    assert [layer.front for layer in loaded.layers] == [None, None]
    assert not any("Followed away" in sentence for sentence in gm.verdict(loaded))


def test_the_report_says_of_a_search_that_found_nothing_how_far_it_came(edge_audit, tmp_path):
    gm.write_report([edge_audit], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    missed = [layer.metamer for layer in edge_audit.layers if not layer.metamer.is_metamer]
    assert missed
    for metamer in missed:
        proposed = metamer.config["findings"]["proposals"]
        assert proposed >= 100 * edge_audit.graph.num_edges / 6
        said = f"Not found within a budget of {proposed} proposals and 30 steps: "
        assert f"{said}best loss {metamer.activation_loss:.3g}, random graph" in text


def test_the_verdict_speaks_of_edges_and_never_of_features(edge_audit):
    text = " ".join(gm.verdict(edge_audit))
    missed = next(layer.metamer for layer in edge_audit.layers if not layer.metamer.is_metamer)
    proposed = missed.config["findings"]["proposals"]
    found = f"no metamer without edges of the reference was found within {proposed} proposals and 30 steps"
    assert found in text
    assert RANDOM_GRAPHS in text
    assert "edge overlap" in text
    assert "features" not in text
    assert "cannot see" not in text
    assert "does not exist" not in text
    assert "whether the changed edges still mean the same is not measured" in text


def test_the_verdict_gives_the_least_overlap_of_each_front(edge_audit):
    text = next(sentence for sentence in gm.verdict(edge_audit) if "Followed away" in sentence)
    for layer in edge_audit.layers:
        reach = layer.front.least_overlap(layer.metamer.tolerance)
        assert (
            f"{'1, which is the reference itself' if reach == 1 else f'{reach:.3g}'} at {layer.name}" in text
        )


def test_a_matched_layer_is_said_to_be_matched(edge_audit):
    starts = edge_audit.layers[1].starts
    matched = tuple(replace(start, status=gm.Status.CONVERGED) for start in starts)
    layers = (edge_audit.layers[0], replace(edge_audit.layers[1], starts=matched))
    text = " ".join(gm.verdict(replace(edge_audit, layers=layers)))
    assert "GCN was matched at output, from 3 of 3 starts: with an edge overlap of" in text
    assert "keep their prediction and have other neighbours" in text
    assert "features" not in text


def test_a_front_holds_metamers_if_it_meets_both_limits(edge_audit):
    layer = edge_audit.layers[0]
    loose = replace(layer, metamer=replace(layer.metamer, tolerance=100.0))
    assert loose.front_holds_metamers
    strict = replace(layer, metamer=replace(layer.metamer, tolerance=0.0))
    assert not strict.front_holds_metamers
    far = replace(layer, metamer=replace(layer.metamer, tolerance=100.0, min_distance=2.0))
    assert not far.front_holds_metamers
    assert not replace(layer, front=None).front_holds_metamers


def test_advice_names_no_solver_of_features(edge_audit):
    sentences = gm.advice([edge_audit])
    assert any("look at the front" in sentence for sentence in sentences)
    assert not any("--solver" in sentence or "--hidden-channels" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "farthest"}, "'objective' parameter must be 'match'"),
        ({"init": "permuted"}, "'init' parameter must be 'noise' or 'reference'"),
        ({"solver": "lbfgs"}, "'solver' parameter must be 'rewire'"),
    ],
)
def test_what_is_about_features_is_refused_before_the_search(karate, karate_model, options, message):
    searched = []
    with pytest.raises(gm.ParameterError, match=message):
        gm.audit(karate_model, karate, vary="structure", on_search=lambda *at: searched.append(at), **options)
    assert not searched


def test_the_model_and_the_graph_come_back_as_they_were(karate, karate_model):
    edges = karate.graph.edge_index.clone()
    weights = {name: value.clone() for name, value in karate_model.state_dict().items()}
    audit = gm.audit(
        karate_model, karate, vary="structure", layers=["act.0"], num_starts=1, budget=gm.Budget(steps=3)
    )
    assert torch.equal(karate.graph.edge_index, edges)
    assert all(torch.equal(value, karate_model.state_dict()[name]) for name, value in weights.items())
    assert audit.layers[0].metamer.config["solver_options"].startswith("Rewire(proposals=1000")
    assert math.isnan(audit.rows()[0]["edge_overlap_low"])


def sparse_graph():
    """Few neighbours each, so that there are graphs with the same degrees and none of its edges."""
    drawn = nx.gnm_random_graph(40, 44, seed=3)
    edge_index = torch.tensor(list(drawn.edges)).T
    x = torch.randn(40, 34, generator=torch.Generator().manual_seed(0))
    return Data(x=x, edge_index=torch.cat([edge_index, edge_index.flip(0)], dim=1))


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_was_found_without_edges_of_the_reference_is_below_the_floor(karate_model, seed):
    graph = sparse_graph()
    floor = structure_floor(karate_model, graph, "act.0", gm.Structure())
    assert 0 < floor.bound < math.inf
    assert floor.why == ""
    found = gm.generate(
        karate_model, graph, "act.0", vary="structure", tolerance=0.0, seed=seed, budget=gm.Budget(steps=200)
    )
    assert not edges_of(found.graph) & edges_of(graph)
    assert floor.bound <= found.activation_loss
    proved = gm.structure_lower_bound(karate_model, graph, "act.0", max_degree=2)
    assert floor == StructureFloor(proved.bound, proved.unproved_energy)


def test_floors_say_why_there_is_none(karate, karate_model):
    deep = structure_floor(karate_model, karate.graph, "output", gm.Structure())
    assert (deep.bound, deep.unproved_energy) == (0.0, 1.0)
    assert deep.why
    # In karate a node has 17 of 33 others as neighbours: no graph has none of its edges.
    first = structure_floor(karate_model, karate.graph, "act.0", gm.Structure())
    assert first.bound == math.inf
    assert "node 33 has 17 neighbours" in first.why


def test_where_edges_of_the_reference_may_stay_nothing_is_proved(karate, karate_model):
    keeping = gm.Structure(reference_edges="free")
    assert structure_floor(karate_model, karate.graph, "act.0", keeping) is None
    audit = gm.audit(
        karate_model, karate, vary=keeping, layers=["act.0"], num_starts=1, budget=gm.Budget(steps=3)
    )
    assert audit.layers[0].floor is None


def test_floors_of_every_kind_are_saved(edge_audit, tmp_path):
    first, second = edge_audit.layers
    floors = (StructureFloor(math.inf, 0.25, "no such graph"), StructureFloor(0.125, 0.5))
    layers = (replace(first, floor=floors[0]), replace(second, floor=floors[1]))
    replace(edge_audit, layers=layers).save(tmp_path / "audit")
    assert tuple(layer.floor for layer in gm.load_audit(tmp_path / "audit").layers) == floors


@given(st.floats(1e-30, 1e3))
def test_bounds_are_never_shown_larger_than_they_are(bound):
    shown = rounded_down(bound)
    assert shown == float(f"{shown:.2g}")
    assert 0.9 * bound < shown <= bound
