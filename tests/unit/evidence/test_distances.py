"""measure_distances: which distances apply, what stands beside them, and what is refused."""

from __future__ import annotations

import json
import math

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data, HeteroData

import graph_metamers as gm
from graph_metamers.evidence.seeing import ChanceGraphs, seen_of
from graph_metamers.inputs import resolve_variables
from graph_metamers.inputs.structure import Structure
from graph_metamers.randomness import generator_for


def made(seed=0, nodes=30, *, binary=False) -> Data:
    generator = torch.Generator().manual_seed(seed)
    graph = nx.gnp_random_graph(nodes, 0.2, seed=seed)
    pairs = torch.tensor(list(graph.edges)).T
    x = torch.randn(nodes, 6, generator=generator)
    return Data(
        x=(x > 0.5).float() if binary else x,
        edge_index=torch.cat([pairs, pairs.flip(0)], dim=1),
        y=torch.randint(3, (nodes,), generator=generator),
    )


def with_features(graph, x):
    changed = graph.clone()
    changed.x = x
    return changed


def shuffled(graph, seed=7):
    return resolve_variables("features", graph).shuffled(generator_for("test", seed))


def rewired(graph, seed=7):
    return Structure(reference_edges="free").variables(graph).shuffled(generator_for("test", seed))


class Linear(nn.Module):
    """Reads two directions of six features."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 2, bias=False)

    def forward(self, x, edge_index):
        return self.lin(x)


@pytest.mark.parametrize("binary", [False, True])
def test_unrelated_graphs_are_at_1(binary):
    reference = made(nodes=100, binary=binary)
    changed = rewired(reference)
    changed.x = shuffled(reference).x
    report = gm.measure_distances(changed, reference, draws=4)
    expected = {info.name for info in gm.list_distances() if not info.needs_model}
    left_out = {"edit"} | (set() if binary else {"idf_cosine", "jaccard"})
    assert {distance.name for distance in report.distances} == expected - left_out
    assert set(report.left_out) == left_out | {"visible", "null_space"}
    kept = ("degrees", "wasserstein")  # shuffling and rewiring keep what these look at
    noisy = ("homophily",)  # a single share of edges: its change by chance varies
    for distance in report.distances:
        if distance.name in kept:
            assert distance.scaled == 0, distance
        elif distance.name not in noisy:
            assert distance.scaled == pytest.approx(1, abs=0.35), distance
        assert distance.chance > 0


def test_the_reference_is_at_0():
    report = gm.measure_distances(made(), made())
    assert [distance.scaled for distance in report.distances] == pytest.approx(
        [0] * len(report.distances), abs=1e-6
    )
    assert report.consistency is None


def test_what_stayed_is_left_out_and_said():
    reference = made()
    features = gm.measure_distances(shuffled(reference), reference)
    assert {distance.kind for distance in features.distances} == {"features", "both"}
    assert features.left_out["spectrum"] == "the edges are the reference's"
    edges = gm.measure_distances(rewired(reference), reference)
    assert {distance.kind for distance in edges.distances} == {"structure", "both"}
    assert edges.left_out["cosine"] == "the features are the reference's"
    named = gm.measure_distances(rewired(reference), reference, names=["cosine", "spectrum"])
    assert [distance.name for distance in named.distances] == ["cosine", "spectrum"]
    assert named["cosine"].raw == pytest.approx(0, abs=1e-12)
    assert not named.left_out


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("idf_cosine", "not all 0 or 1"),
        ("jaccard", "not all 0 or 1"),
        ("edit", "30 nodes, more than"),
        ("visible", "pass model and layer"),
    ],
)
def test_what_does_not_apply_is_an_error_by_name(name, why):
    with pytest.raises(gm.ParameterError, match=f"{name}.*{why}"):
        gm.measure_distances(made(), made(), names=[name])


def test_without_classes_and_features():
    reference = made()
    bare = Data(edge_index=reference.edge_index, num_nodes=30)
    report = gm.measure_distances(bare, bare)
    assert {distance.kind for distance in report.distances} == {"structure"}
    assert report.left_out["homophily"] == "the graph has no class for every node (y)"
    assert report.left_out["cosine"] == "the graph has no node features"
    with pytest.raises(gm.ParameterError, match="no class for every node"):
        gm.measure_distances(bare, bare, names=["weisfeiler_leman_class"])
    lonely = Data(x=reference.x, edge_index=torch.empty(2, 0, dtype=torch.long))
    with pytest.raises(gm.ParameterError, match="no edges"):
        gm.measure_distances(lonely, lonely, names=["edge_jaccard"])


def test_several_kinds_of_nodes_have_features_alone():
    reference = HeteroData()
    generator = torch.Generator().manual_seed(0)
    for kind, count in (("paper", 20), ("author", 10)):
        reference[kind].x = torch.randn(count, count // 5, generator=generator)
    reference["author", "writes", "paper"].edge_index = torch.tensor([[0, 1], [2, 3]])
    changed = shuffled(reference)
    report = gm.measure_distances(changed, reference, names=["cosine", "standardised_rms", "wasserstein"])
    sizes = [(kind, reference[kind].x, changed[kind].x) for kind in ("paper", "author")]
    squares = np.concatenate(
        [((b - a) / a.std(dim=0, correction=0)).square().flatten().numpy() for _, a, b in sizes]
    )
    assert report["standardised_rms"].raw == pytest.approx(math.sqrt(squares.mean()), rel=1e-5)
    cosines = torch.cat([torch.cosine_similarity(a, b) for _, a, b in sizes])
    assert report["cosine"].raw == pytest.approx(float(1 - cosines.mean()), rel=1e-5)
    assert report["wasserstein"].scaled == pytest.approx(0, abs=1e-6)
    with pytest.raises(gm.ParameterError, match="several kinds of nodes"):
        gm.measure_distances(changed, reference, names=["spectrum"])


def test_parts_of_a_layer_are_those_of_its_weights():
    reference = made()
    changed = shuffled(reference)
    model = Linear()
    report = gm.measure_distances(changed, reference, model=model, layer="output")
    basis = torch.linalg.qr(model.lin.weight.detach().double().T)[0]
    difference = (changed.x - reference.x).double()
    seen = float((difference @ basis).norm())
    hidden = float((difference - difference @ basis @ basis.T).norm())
    assert report["visible"].raw == pytest.approx(seen)
    assert report["null_space"].raw == pytest.approx(hidden)
    draws = torch.tensor(
        [float(((shuffled(reference, s).x - reference.x).double() @ basis).norm()) for s in range(300)]
    )
    assert report["visible"].chance == pytest.approx(float(draws.square().mean().sqrt()), rel=0.02)
    assert report["visible"].scaled == pytest.approx(1, abs=0.3)
    assert report["visible"].chance_error == 0


def test_a_layer_that_reads_everything_has_no_null_space():
    reference = made()
    model = nn.Linear(6, 6)
    forward = lambda module, graph: module(graph.x)  # noqa: E731
    report = gm.measure_distances(
        shuffled(reference), reference, model=model, layer="output", forward=forward
    )
    assert report.left_out["null_space"] == "the layer reads every direction of the features"
    expected = gm.measure_distances(
        shuffled(reference), reference, model=model, layer="output", forward=forward, names=["visible"]
    )
    assert expected["visible"].raw == pytest.approx(float((shuffled(reference).x - reference.x).norm()))


def test_a_metamer_brings_its_reference_its_layer_and_its_consistency(karate, karate_model):
    metamer = gm.generate(karate_model, karate.graph, "output", budget=gm.Budget(steps=20), seed=0)
    report = gm.measure_distances(metamer, model=karate_model, draws=1)
    gates = gm.gates(metamer, gm.null_distribution(karate_model, karate.graph, "output"))
    assert report["visible"].scaled == pytest.approx(gates.distance.visible)
    match = 1 - min(1, math.sqrt(metamer.activation_loss))
    alike = 1 - min(1, metamer.input_distance.scaled)
    assert report.consistency == gm.consistency(match, alike)
    assert "consistency" in repr(report)
    assert math.isnan(report["cosine"].chance_error)


def test_a_metamer_of_edges_has_the_overlap_that_the_audit_measures(edge_audit):
    layer = edge_audit.layers[0]
    report = gm.measure_distances(layer.metamer, names=["edge_jaccard", "homophily", "degrees"])
    assert report["edge_jaccard"].raw == pytest.approx(1 - layer.measures["edge_overlap"].values[0])
    assert report["degrees"].scaled == 0


def test_the_audit_measures_what_the_list_measures(edge_audit):
    for layer in edge_audit.layers:
        names = ["weisfeiler_leman_class", "spectrum"]
        report = gm.measure_distances(layer.metamer, names=names)
        for name in names:
            assert layer.measures[f"{name}_distance"].values[0] == pytest.approx(report[name].raw)
            assert layer.measures[f"{name}_distance"].chance > 0


def test_one_seed_gives_one_report_and_rows_are_json():
    reference = made(binary=True)
    changed = rewired(reference)
    changed.x = shuffled(reference).x
    first, second = (gm.measure_distances(changed, reference, seed=3) for _ in range(2))
    assert first.rows() == second.rows() != gm.measure_distances(changed, reference, seed=4).rows()
    text = json.dumps(first.rows(), allow_nan=False)
    assert [row["name"] for row in json.loads(text)] == [distance.name for distance in first.distances]


def test_global_randomness_is_left_alone():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    gm.measure_distances(rewired(made()), made())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_it_is_shown_in_lines_and_as_a_table():
    report = gm.measure_distances(rewired(made()), made())
    assert all(len(line) <= 110 for line in repr(report).splitlines())
    assert "structure:" in repr(report)
    assert "left out: " in repr(report)
    page = report._repr_html_()
    assert page.count("<tr>") == 1 + len(report.distances)
    assert "bounds: best cut" in page


def test_a_graph_without_a_random_one_says_so():
    loop, other = (Data(x=torch.ones(2, 3), edge_index=torch.tensor([[v], [v]])) for v in range(2))
    row = gm.measure_distances(other, loop, names=["edge_jaccard"])["edge_jaccard"]
    assert row.raw == 1
    assert math.isnan(row.scaled)
    assert row.row()["scaled"] is None
    assert row.chance_is == "no two edges can change places"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": None}, "'reference' parameter must be a Data or a HeteroData"),
        ({"changed": "graph"}, "'changed' parameter must be a Metamer, a Data"),
        ({"changed": made(nodes=20)}, "'changed' parameter must be a graph with the reference's nodes"),
        ({"names": "cosine"}, "'names' parameter must be a list"),
        ({"names": ["cosin"]}, "Did you mean 'cosine'"),
        ({"layer": "output"}, "'model' parameter must be a torch.nn.Module"),
        ({"model": Linear()}, "'layer' parameter must be the name of one layer"),
        ({"draws": 0}, "'draws' parameter must be an integer of at least 1"),
        ({"seed": -1}, "'seed' parameter must be an integer from 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, message):
    given = {"changed": made(), "reference": made(), **options}
    with pytest.raises(gm.ParameterError, match=message):
        gm.measure_distances(given.pop("changed"), given.pop("reference"), **given)


def test_an_unknown_name_of_a_report_says_why():
    report = gm.measure_distances(made(), made())
    with pytest.raises(gm.ParameterError, match="more than"):
        report["edit"]


def test_chance_graphs_are_what_they_say():
    graph = Batch.from_data_list([made(0), made(1, nodes=20)])
    seen = seen_of(graph, graph)
    chances = ChanceGraphs(graph, seen, 0)
    for name, keeps_degrees in (("rewired", True), ("random_edges", False)):
        edges = chances.draw(name, 0).edge_index
        assert edges.shape == graph.edge_index.shape
        assert torch.equal(graph.batch[edges[0]], graph.batch[edges[1]])
        counted = [torch.bincount(e[0], minlength=50) for e in (edges, graph.edge_index)]
        assert torch.equal(*counted) == keeps_degrees
        assert not torch.equal(edges, chances.draw(name, 1).edge_index)
    for name, keeps_values in (("shuffled", True), ("resampled", False)):
        x = chances.draw(name, 0).features[0]
        columns = [part.sort(dim=0).values for part in (x, graph.x)]
        assert torch.equal(*columns) == keeps_values
        assert set(x[:, 0].tolist()) <= set(graph.x[:, 0].tolist())


def test_every_distance_is_listed_with_what_it_says():
    infos = gm.list_distances()
    assert [info.kind for info in infos] == sorted(
        (info.kind for info in infos), key=("features", "structure", "both").index
    )
    for info in infos:
        assert info.text.endswith(".")
        assert info.limits[0] == 0 < info.limits[1]
        assert info.unit
        assert info.chance
