"""The self-test is right about the instrument as it is, and notices when it is broken."""

from __future__ import annotations

import dataclasses

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.utils import to_networkx

import graph_metamers as gm
from graph_metamers.evidence import selftest_runs, selftesting
from graph_metamers.evidence.null import EQUAL_SNR, NullDistribution
from graph_metamers.evidence.planted import Linear, Mixing, Reader, invertible, planted
from graph_metamers.evidence.planted_graphs import NUM_NODES, kept_edges, planted_graph, rewired
from graph_metamers.evidence.selftest_cases import CASES

SEED = 1  # with which the lookup comes back to the reference
INVARIANCES = {"ignored columns", "duplicated columns", "ignored edges", "null space"}
SEARCHES_THAT_COME_BACK = {"identity", "invertible map", "lookup by name"}
SENSITIVITIES = {*SEARCHES_THAT_COME_BACK, "another class", "nearest real node", "other edges"}
ABOUT_FEATURES = tuple(case for case in CASES if case.run.__module__ == selftest_runs.__name__)
NUM_CASES = len(ABOUT_FEATURES)
COLUMNS = {"ignored columns", "duplicated columns"}

real_gates, real_generate = selftest_runs.gates, selftest_runs.generate


@pytest.fixture(scope="module", autouse=True)
def only_these_cases():
    """Those of searches for edges have a file of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selftesting, "CASES", ABOUT_FEATURES)
        yield


@pytest.fixture(scope="module")
def report():
    return gm.selftest(seeds=[SEED])


def missed(seed=SEED) -> set[str]:
    return {result.case for result in gm.selftest(seeds=[seed]).misses}


def all_of(mask, value):
    return torch.full_like(mask, value)


def changed_gates(**masks):
    """Gates that say the same of every node, whatever they are given."""

    def gates(candidate, null, **options):
        found = real_gates(candidate, null, **options)
        return dataclasses.replace(found, **{k: all_of(getattr(found, k), v) for k, v in masks.items()})

    return gates


def gates_blind_to_edges(candidate, null, **options):
    found = real_gates(candidate, null, **options)
    graph = candidate.graph if isinstance(candidate, gm.Metamer) else candidate
    moved = (graph.x != null.reference.x).any(dim=1)
    return dataclasses.replace(found, different=found.different & moved)


def generate_with(**changes):
    return lambda *arguments, **options: real_generate(*arguments, **{**options, **changes})


def generate_that_lies(*arguments, **options):
    options = {**options, "budget": gm.Budget(steps=1)}
    return dataclasses.replace(real_generate(*arguments, **options), status=gm.Status.CONVERGED)


def generate_that_diverges(*arguments, **options):
    return dataclasses.replace(real_generate(*arguments, **options), status=gm.Status.NON_FINITE)


def test_the_instrument_works(report):
    assert report.ok
    assert report.misses == ()
    assert {result.case for result in report.results if result.planted == "invariance"} == INVARIANCES
    assert {result.case for result in report.results if result.planted == "sensitivity"} == SENSITIVITIES


@pytest.mark.slow
def test_the_instrument_works_with_twenty_seeds():
    report = gm.selftest(seeds=range(20))
    assert report.ok, report
    assert len(report.results) == 20 * NUM_CASES
    assert report.provenance["seconds"] < 180


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        pytest.param(
            changed_gates(same_prediction=True, closer=True, different=True), SENSITIVITIES, id="accept all"
        ),
        pytest.param(changed_gates(different=False), INVARIANCES, id="accept nothing"),
        pytest.param(changed_gates(same_prediction=False), INVARIANCES, id="gate 1 closed"),
        pytest.param(changed_gates(same_prediction=True), {"another class"}, id="gate 1 always open"),
        pytest.param(
            changed_gates(closer=True), {"nearest real node", "other edges"}, id="gate 2 always open"
        ),
        pytest.param(changed_gates(different=True), SEARCHES_THAT_COME_BACK, id="gate 3 always open"),
        pytest.param(gates_blind_to_edges, {"ignored edges"}, id="gate 3 sees features only"),
        pytest.param(changed_gates(visible=True), {"null space"}, id="everything is visible"),
    ],
)
def test_broken_gates_are_noticed(monkeypatch, gates, expected):
    monkeypatch.setattr(selftest_runs, "gates", gates)
    assert missed() == expected


@pytest.mark.parametrize(
    ("generate", "expected"),
    [
        pytest.param(generate_with(min_distance=0), SEARCHES_THAT_COME_BACK, id="the reference counts"),
        pytest.param(generate_with(tolerance=10.0), COLUMNS | SEARCHES_THAT_COME_BACK, id="anything matches"),
        pytest.param(
            generate_with(budget=gm.Budget(steps=1)),
            COLUMNS | {"identity", "invertible map"},
            id="does not search",
        ),
        pytest.param(generate_with(init="reference"), COLUMNS, id="starts where it should not"),
        pytest.param(
            generate_that_lies, COLUMNS | SEARCHES_THAT_COME_BACK, id="says it found what it did not"
        ),
        pytest.param(generate_that_diverges, COLUMNS | SEARCHES_THAT_COME_BACK, id="numbers are not finite"),
    ],
)
def test_a_broken_search_is_noticed(monkeypatch, generate, expected):
    monkeypatch.setattr(selftest_runs, "generate", generate)
    assert missed() == expected


def test_a_gate_that_rounding_decides_is_noticed(monkeypatch):
    def beaten_by(null, snr):
        return (snr + 1e-5 > null.nearest_snr) | (snr >= EQUAL_SNR)

    monkeypatch.setattr(NullDistribution, "beaten_by", beaten_by)
    assert missed() == {"nearest real node"}


def test_a_miss_is_shown_first(monkeypatch):
    calls = iter([real_gates] * NUM_CASES + [changed_gates(different=False)] + [real_gates] * (NUM_CASES - 1))

    def gates(*arguments, **options):
        return next(calls)(*arguments, **options)

    monkeypatch.setattr(selftest_runs, "gates", gates)
    report = gm.selftest(seeds=[4, 7])
    assert not report.ok
    assert [(miss.case, miss.seed) for miss in report.misses] == [("ignored columns", 7)]
    shown = report.summary()[0]
    assert (shown["seed"], shown["right"], shown["seeds"]) == (7, 1, 2)
    assert "0.0% of nodes accepted" in shown["got"]
    assert (
        report.message
        == f"{2 * NUM_CASES - 1} of {2 * NUM_CASES} right, with 2 seeds; MISSED: ignored columns (1)"
    )
    for text in (repr(report), report._repr_html_()):
        assert report.message in text
        assert shown["got"] in text


def test_a_seed_gives_the_same_results_whatever_comes_before_it(report):
    assert gm.selftest(seeds=[5, SEED]).results[NUM_CASES:] == report.results


def test_the_global_random_state_is_not_touched():
    before = torch.random.get_rng_state()
    gm.selftest(seeds=[0])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_case_is_announced(report):
    calls = []
    gm.selftest(seeds=[SEED], on_case=lambda *call: calls.append(call))
    assert calls == [
        (result.case, SEED, number, NUM_CASES) for number, result in enumerate(report.results, start=1)
    ]


def test_rows_have_what_words_say(report):
    rows = {row["case"]: row for row in report.rows()}
    row = rows["ignored columns"]
    assert row["status"] == "converged"
    assert row["status"] in row["got"]
    assert f"loss {row['activation_loss']:.1e}, distance {row['input_distance']:.2f}" in row["got"]
    assert f"{row['accepted']:.1%} of nodes accepted" in row["got"]
    assert row["activation_loss"] <= 1e-3
    assert rows["null space"]["status"] is None
    assert {row["case"]: row["right"] for row in report.summary()} == dict.fromkeys(rows, 1)


def test_what_is_not_found_is_not_denied():
    # With this seed the lookup is not found; nothing is said to be impossible.
    lookup = {r.case: r for r in gm.selftest(seeds=[0]).results}["lookup by name"]
    if lookup.status != "recovered_reference":
        assert f"not found within {lookup.steps} steps ({lookup.status})" in lookup.got
    assert "not exist" not in lookup.got


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], 3, [0.5]])
def test_seeds_are_different_integers(seeds):
    with pytest.raises(gm.ParameterError, match="'seeds'"):
        gm.selftest(seeds=seeds)


def test_other_edges_have_the_same_degrees_and_are_simple():
    graph = planted_graph(0)
    changed = rewired(graph, 0)
    before, after = (to_networkx(g, to_undirected=False) for g in (graph, changed))
    assert kept_edges(changed, graph) == 0
    assert kept_edges(graph, graph) == 1
    assert dict(after.degree) == dict(before.degree)
    assert after.number_of_edges() == changed.num_edges == graph.num_edges
    assert changed.is_undirected()
    assert nx.number_of_selfloops(after) == 0
    assert not torch.equal(rewired(graph, 1).edge_index, changed.edge_index)
    assert min(dict(before.degree).values()) >= 2


def singular_values(function, num_nodes: int, width: int) -> torch.Tensor:
    """Of a linear map of a whole feature matrix, from its Jacobian."""
    jacobian = torch.autograd.functional.jacobian(function, torch.zeros(num_nodes, width))
    return torch.linalg.svdvals(jacobian.reshape(num_nodes * width, -1))


def test_mixing_loses_nothing():
    graph, model = planted_graph(0), planted(lambda: Mixing(3), 0)
    sigma = singular_values(lambda z: model(z, graph.edge_index), NUM_NODES, 3)
    assert sigma.min() > 0.7 - 1e-5
    assert sigma.max() < 1.3 + 1e-5
    assert sigma.max() > 1.2  # it does mix


def test_the_invertible_map_stretches_by_two_at_most():
    sigma = np.linalg.svd(planted(lambda: invertible(8), 0).weight.numpy(), compute_uv=False)
    assert sigma[[0, -1]] == pytest.approx([2**0.5, 2**-0.5])


@pytest.mark.parametrize("seed", range(20))
def test_no_two_names_look_alike(seed):
    # One wrong name alone costs more than the tolerance: the reference is the only match.
    rows = planted(lambda: Linear(torch.randn(34, selftest_runs.WIDE)), seed).weight
    least = torch.pdist(rows).min() ** 2
    assert least / rows.square().sum() > 1e-3


def test_a_reader_sees_what_was_planted_and_nothing_else():
    reads = torch.eye(6)[:, [4, 1]]
    model = planted(lambda: Reader(reads, 3), 0)
    x, edge_index = torch.randn(5, 6), torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    changed = x.clone()
    changed[:, [0, 2, 3, 5]] += 7
    assert torch.equal(model(changed, edge_index), model(x, edge_index))
    changed[0, 4] += 1
    assert not torch.equal(model(changed, edge_index), model(x, edge_index))
