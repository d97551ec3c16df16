"""The self-test's cases about exact swaps are right about the instrument, and notice when it is broken."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

import graph_metamers as gm
from graph_metamers.evidence import exact_runs, selftesting
from graph_metamers.evidence.planted_structures import NUM_COPIES, NUM_NODES, disjoint_copies, distinct_nodes
from graph_metamers.evidence.selftest_cases import CASES

SEED = 1
FOUND, NONE = "exact swaps", "no exact swap"
ABOUT_SWAPS = tuple(case for case in CASES if case.run.__module__ == exact_runs.__name__)

real_generate = exact_runs.generate


@pytest.fixture(autouse=True)
def only_these_cases(monkeypatch):
    monkeypatch.setattr(selftesting, "CASES", ABOUT_SWAPS)


def test_exact_swaps_are_found_where_there_are_some_and_nowhere_else():
    report = gm.selftest(seeds=[SEED])
    assert report.ok, report
    found, none = report.results
    assert (found.case, found.planted, found.status) == (FOUND, "invariance", "converged")
    assert found.recomputed_loss <= 1e-20
    assert "90 swaps planted, 90 found by 4 models" in found.got
    assert (none.case, none.planted, none.status) == (NONE, "sensitivity", "recovered_reference")
    assert none.recomputed_loss == 0
    assert none.input_distance == 0


def test_what_is_planted_is_counted_by_brute_force():
    graph = disjoint_copies(SEED)
    edges = {tuple(edge) for edge in graph.edge_index.T.tolist()}
    swaps = 0
    for (a, u), (b, v) in itertools.combinations(sorted(edges), 2):
        alike = torch.equal(graph.x[a], graph.x[b]) and torch.equal(graph.x[u], graph.x[v])
        swaps += alike and len({a, b, u, v}) == 4 and not {(a, v), (b, u)} & edges
    assert swaps / 2 == graph.num_edges / 2 / NUM_COPIES * 10 == 90  # each from either side of its edges
    assert len(graph.x.unique(dim=0)) == NUM_NODES
    assert len(distinct_nodes(SEED).x.unique(dim=0)) == len(distinct_nodes(SEED).x)


def generate_with(**changes):
    return lambda *arguments, **options: real_generate(*arguments, **{**options, **changes})


def claiming(metamer, **changes):
    return dataclasses.replace(metamer, status=gm.Status.CONVERGED, **changes)


def generate_that_finds_nothing(model, graph, layer, **options):
    metamer = real_generate(model, graph, layer, **options)
    findings = {**metamer.config["findings"], "admissible_swaps": 0, "swaps_made": 0}
    back = gm.Status.RECOVERED_REFERENCE
    return dataclasses.replace(
        metamer, graph=graph, status=back, config={**metamer.config, "findings": findings}
    )


def generate_that_returns_the_reference(model, graph, layer, **options):
    return claiming(real_generate(model, graph, layer, **options), graph=graph)


def generate_that_swaps_anything(model, graph, layer, **options):
    exact = real_generate(model, graph, layer, **options)
    few = {**options, "solver": gm.Rewire(proposals=10), "budget": gm.Budget(steps=1)}
    return claiming(exact, graph=real_generate(model, graph, layer, **few).graph)


def generate_that_adds_an_edge(model, graph, layer, **options):
    metamer = real_generate(model, graph, layer, **options)
    changed = metamer.graph.clone()
    changed.edge_index = torch.cat([changed.edge_index, changed.edge_index[:, :1]], dim=1)
    return claiming(metamer, graph=changed)


@pytest.mark.parametrize(
    ("generate", "expected"),
    [
        pytest.param(generate_that_finds_nothing, {FOUND}, id="finds nothing"),
        pytest.param(generate_that_returns_the_reference, {FOUND, NONE}, id="returns the reference"),
        pytest.param(generate_that_swaps_anything, {FOUND, NONE}, id="swaps anything"),
        pytest.param(generate_that_adds_an_edge, {FOUND, NONE}, id="other degrees"),
        pytest.param(generate_with(min_distance=0.0), {NONE}, id="the reference counts"),
    ],
)
def test_a_broken_solver_is_noticed(monkeypatch, generate, expected):
    monkeypatch.setattr(exact_runs, "generate", generate)
    assert {result.case for result in gm.selftest(seeds=[SEED]).misses} == expected
