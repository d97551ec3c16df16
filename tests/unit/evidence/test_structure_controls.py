"""The self-test's cases about edges are right about the instrument, and notice when it is broken."""

from __future__ import annotations

import dataclasses
import os

import networkx as nx
import pytest
import torch
from torch_geometric.nn import GIN
from torch_geometric.utils import to_networkx

import graph_metamers as gm
from graph_metamers.evidence import selftesting, structure_runs
from graph_metamers.evidence.planted import NamedNeighbours, planted
from graph_metamers.evidence.planted_graphs import kept_edges, rewired
from graph_metamers.evidence.planted_structures import (
    NUM_COPIES,
    NUM_REGULAR,
    aligned,
    disjoint_copies,
    hexagon,
    named_nodes,
    regular_graph,
    two_triangles,
)
from graph_metamers.evidence.selftest_cases import CASES

SEED = 1
FOUND_AT_ONCE = {"hexagon and triangles", "regular graph"}
INVARIANCES = {*FOUND_AT_ONCE, "disjoint copies"}
ALL = {*INVARIANCES, "edges by name"}
ABOUT_EDGES = tuple(case for case in CASES if case.run.__module__ == structure_runs.__name__)

real_generate = structure_runs.generate

needs_files = pytest.mark.skipif(
    "GRAPH_METAMERS_DATA" not in os.environ, reason="needs sr25/ and brec/: set GRAPH_METAMERS_DATA"
)


@pytest.fixture(autouse=True)
def only_these_cases(monkeypatch):
    monkeypatch.setattr(selftesting, "CASES", ABOUT_EDGES)


@pytest.fixture
def without_files(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPH_METAMERS_DATA", str(tmp_path))


@pytest.mark.usefixtures("without_files")
def test_other_edges_are_found_where_there_are_some_and_nowhere_else():
    report = gm.selftest(seeds=[SEED])
    assert report.ok, report
    results = {result.case: result for result in report.results}
    assert set(results) == ALL
    for name in INVARIANCES:
        result = results[name]
        assert result.status == "converged"
        assert result.recomputed_loss <= 1e-10
        assert result.recomputed_loss == pytest.approx(result.activation_loss, rel=1e-3, abs=1e-13)
        assert "found for all " in result.got
        allowed = "60 starts of 45 steps" if name in FOUND_AT_ONCE else "20 starts of 200 steps"
        assert f"{allowed} and 300 proposals per edge" in result.budget
        assert result.accepted is None
    named = results["edges by name"]
    assert named.recomputed_loss == pytest.approx(2, abs=1e-4)  # every edge is another
    assert "not found within 27000 proposals (1 start), best loss 2.0e+00, random graph 2.0e+00" in named.got
    assert "exist" not in named.got


@pytest.mark.usefixtures("without_files")
def test_files_that_are_not_there_are_said_to_be_missing(tmp_path):
    report = gm.selftest(seeds=[0, SEED])
    assert report.ok
    assert set(report.skipped) == {"strongly regular graphs", "BREC pairs"}
    assert str(tmp_path / "sr25" / "sr251256.g6") in report.skipped["strongly regular graphs"]
    assert report.message.endswith("with 2 seeds; skipped: strongly regular graphs, BREC pairs")
    for text in (repr(report), report._repr_html_()):
        assert "BREC pairs: skipped, " in text
    assert len(report.results) == 2 * len(ALL)


@needs_files
def test_graphs_from_files(monkeypatch):
    chosen = tuple(case for case in ABOUT_EDGES if case.needs_files)
    monkeypatch.setattr(selftesting, "CASES", chosen)
    monkeypatch.setattr(structure_runs, "BREC_SAMPLE", {"basic": 1, "regular": 1, "4vtx": 1})
    report = gm.selftest(seeds=[SEED])
    assert report.ok, report
    assert not report.skipped
    assert "found for all 15" in report.results[0].got
    assert "found for all 3" in report.results[1].got


@needs_files
@pytest.mark.slow
def test_all_cases_with_twenty_seeds():
    report = gm.selftest(seeds=range(20))
    assert report.ok, report
    assert len(report.results) == 20 * len(ABOUT_EDGES)


def generate_with(**changes):
    return lambda *arguments, **options: real_generate(*arguments, **{**options, **changes})


def converged(metamer, **changes):
    return dataclasses.replace(metamer, status=gm.Status.CONVERGED, **changes)


def generate_that_returns_a_relabelled_reference(model, graph, layer, **options):
    metamer = real_generate(model, graph, layer, **options)
    changed = graph.clone()
    changed.edge_index = 5 - graph.edge_index if len(graph.x) == 6 else graph.edge_index
    return converged(metamer, graph=changed)


def generate_that_lies(*arguments, **options):
    return converged(real_generate(*arguments, **{**options, "budget": gm.Budget(steps=1)}))


def generate_that_drops_an_edge(*arguments, **options):
    metamer = real_generate(*arguments, **options)
    changed = metamer.graph.clone()
    u, v = changed.edge_index[:, 0].tolist()
    kept = [sorted(edge) != sorted((u, v)) for edge in changed.edge_index.T.tolist()]
    changed.edge_index = changed.edge_index[:, torch.tensor(kept)]
    return converged(metamer, graph=changed)


@pytest.mark.parametrize(
    ("generate", "expected"),
    [
        pytest.param(generate_with(budget=gm.Budget(steps=1)), {"disjoint copies"}, id="does not search"),
        pytest.param(
            generate_with(tolerance=10.0), {"disjoint copies", "edges by name"}, id="anything matches"
        ),
        pytest.param(generate_that_lies, {"disjoint copies", "edges by name"}, id="says what is not so"),
        pytest.param(generate_that_drops_an_edge, ALL, id="other degrees"),
        pytest.param(generate_that_returns_a_relabelled_reference, ALL, id="the reference by other names"),
        pytest.param(generate_with(init="reference"), INVARIANCES, id="starts where it should not"),
    ],
)
@pytest.mark.usefixtures("without_files")
def test_a_broken_search_is_noticed(monkeypatch, generate, expected):
    monkeypatch.setattr(structure_runs, "generate", generate)
    monkeypatch.setattr(structure_runs, "AT_ONCE", structure_runs.Allowance(starts=10))
    monkeypatch.setattr(structure_runs, "DEALT", structure_runs.Allowance(starts=3))
    monkeypatch.setattr(structure_runs, "planted_models", lambda: [lambda: GIN(4, 8, 2, 3, act="tanh")])
    report = gm.selftest(seeds=[SEED])
    assert {result.case for result in report.misses} == expected


@pytest.mark.usefixtures("without_files")
def test_relabelled_copies_are_counted_and_a_miss_says_how_near_it_came(monkeypatch):
    monkeypatch.setattr(structure_runs, "generate", generate_that_returns_a_relabelled_reference)
    monkeypatch.setattr(structure_runs, "AT_ONCE", structure_runs.Allowance(starts=2))
    outcome = structure_runs.hexagon_and_triangles(SEED)
    assert not outcome.right
    # 2 starts, 300 proposals, 6 edges in both directions
    assert (
        "not found within 7200 proposals (2 starts), best loss 0.0e+00, random graph 0.0e+00" in outcome.got
    )
    assert "16 relabelled copies excluded" in outcome.got


def test_graphs_are_what_is_planted():
    for graph, degrees in ((hexagon(), {2}), (two_triangles(), {2}), (regular_graph(0), {3})):
        made = to_networkx(graph, to_undirected=True)
        assert {d for _, d in made.degree} == degrees
        assert graph.x.unique().tolist() == [1.0]
    triangles = to_networkx(two_triangles(), to_undirected=True)
    assert sorted(map(len, nx.connected_components(triangles))) == [3, 3]
    graph = disjoint_copies(0)
    copies = to_networkx(graph, to_undirected=True)
    parts = [copies.subgraph(nodes) for nodes in nx.connected_components(copies)]
    assert len(parts) == NUM_COPIES
    assert all(nx.is_isomorphic(parts[0], part) for part in parts)
    assert parts[0].number_of_edges() > parts[0].number_of_nodes()  # cycles, or all covers are copies again
    assert len(graph.x.unique(dim=0)) == len(graph.x) / NUM_COPIES
    assert not torch.equal(disjoint_copies(1).x, graph.x)


@pytest.mark.parametrize("seed", range(3))
def test_names_of_neighbours_have_the_loss_of_the_formula(seed):
    graph, model = named_nodes(seed), planted(lambda: NamedNeighbours(NUM_REGULAR), seed)
    free = gm.Structure(reference_edges="free")
    drawn = gm.generate(model, graph, "output", vary=free, budget=gm.Budget(steps=1), seed=seed).graph
    assert 0 < kept_edges(drawn, graph) < 1
    with torch.no_grad():
        theirs = model(graph.x, graph.edge_index)
        for other in (drawn, rewired(graph, seed), graph):
            ours = model(other.x, other.edge_index)
            loss = float((ours - theirs).square().sum() / theirs.square().sum())
            assert loss == pytest.approx(2 * (1 - kept_edges(other, graph)), abs=1e-5)


def test_nodes_get_the_names_of_those_that_look_like_them():
    tree = nx.Graph([(0, 1), (1, 2), (2, 3), (3, 4)])
    order = [3, 0, 4, 2, 1]
    graph, other = (
        structure_runs.constant(nx.relabel_nodes(tree, names) if names else tree)
        for names in (None, dict(enumerate(order)))
    )
    renamed = aligned(other, graph)
    model = GIN(4, 8, 3, 3, act="tanh").eval()
    with torch.no_grad():
        torch.testing.assert_close(model(renamed.x, renamed.edge_index), model(graph.x, graph.edge_index))
    star = structure_runs.constant(nx.star_graph(4))
    assert aligned(star, graph) is None
