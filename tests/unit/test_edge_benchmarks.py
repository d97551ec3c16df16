"""Peers of `make bench-edges`, and who judges them: a handicapped peer would make ours look good."""

import importlib
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

import graph_metamers as gm

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    sys.path.insert(0, str(FOLDER))
    try:
        edge_contenders = importlib.import_module("edge_contenders")
    finally:
        sys.path.remove(str(FOLDER))
    dataset = gm.load_dataset("karate")
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    gm.save_model(gm.fit(gm.build_model("gcn", dataset, hidden_channels=8), dataset, epochs=20).model, path)
    return edge_contenders, edge_contenders.EdgeCell("karate", path, "act.0")


def test_the_judge_agrees_with_the_instrument(cell):
    _, one = cell
    model = gm.load_model(one.weights).eval()
    metamer = gm.generate(model, one.graph, "act.0", vary="structure", budget=gm.Budget(steps=40))
    told = one.judge(metamer.graph.edge_index)
    assert told["loss"] == pytest.approx(metamer.activation_loss, rel=1e-4)
    assert told["degrees_kept"] == 1
    assert told["edges"] == told["reference_edges"] == one.graph.num_edges // 2


def test_the_judge_counts_the_reference_as_itself(cell):
    _, one = cell
    told = one.judge(one.graph.edge_index)
    assert told["loss"] == 0
    assert told["agreement"] == 1
    assert told["common"] == told["edges"]


@pytest.mark.parametrize("start", ["empty", "random"])
def test_block_descent_takes_no_edge_of_the_reference_and_lowers_the_loss(cell, start):
    contenders, one = cell
    setting = contenders.BlockSetting(start, 300, 100.0)
    found, epochs = contenders._prbcd(one, setting, 1.0)
    told = one.judge(found)
    kept_by_force = len(
        contenders.pairs_of(one.random_graph(0), one.graph.num_nodes)
        & contenders.pairs_of(one.graph.edge_index, one.graph.num_nodes)
    )
    assert epochs > 10
    assert told["common"] <= (kept_by_force if start == "random" else 0)
    assert told["loss"] < one.random_losses()["random_loss"]
    assert {*zip(*found.tolist(), strict=True)} == {*zip(*found.flip(0).tolist(), strict=True)}


@pytest.mark.slow
def test_block_descent_can_be_held_to_degrees(cell, tmp_path):
    contenders, _ = cell
    dataset, path = gm.load_dataset("csbm"), tmp_path / "model.safetensors"
    gm.save_model(gm.build_model("gcn", dataset, hidden_channels=8), path)
    one = contenders.EdgeCell("csbm", path, "act.0")
    found, _epochs = contenders._prbcd(one, contenders.BlockSetting("empty", 8000, 1000.0, 0.1), 6.0)
    told = one.judge(found)
    assert told["degrees_kept"] == 1
    assert told["edges"] == told["reference_edges"]
    assert told["loss"] < one.random_losses()["random_loss"]


def test_what_other_degrees_cost(cell):
    block_descent = sys.modules["block_descent"]
    pairs = torch.tensor([[0, 1, 0], [1, 2, 3]])
    degrees = torch.tensor([1.0, 2.0, 1.0, 0.0])
    weights = torch.tensor([1.0, 0.5, 1.0])  # at the nodes: 2, 1.5, 0.5 and 1
    assert float(block_descent.deviation(pairs, weights, degrees)) == pytest.approx(
        (1 + 0.25 / 2 + 0.25 + 1) / 4
    )
    assert float(block_descent.deviation(pairs[:, :2], torch.ones(2), degrees)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_degrees_are_kept_whatever_is_preferred(cell, seed):
    """Preferred pairs come first; a random graph's degrees, without an edge of it."""
    degree_keeping = sys.modules["degree_keeping"]
    random = nx.gnm_random_graph(30, 80, seed=seed)
    degrees = np.array([degree for _, degree in random.degree])
    keeper = degree_keeping.DegreeKeeper(degrees, set(random.edges))
    pairs = [(node, node + 1) for node in range(0, 30, 2)]
    keeper.take([list(pair) for pair in pairs])
    taken = set(keeper.edges)
    keeper.complete(np.random.default_rng(seed))
    edges = keeper.edge_index
    joined = {tuple(sorted(pair)) for pair in edges.T.tolist()}
    assert np.bincount(edges[1], minlength=30).tolist() == degrees.tolist()
    assert len(joined) * 2 == edges.shape[1]
    assert not joined & set(random.edges)
    assert taken == {pair for pair in pairs if not random.has_edge(*pair) and degrees[list(pair)].all()}


def test_degrees_that_no_graph_has_are_told(cell):
    degree_keeping = sys.modules["degree_keeping"]
    keeper = degree_keeping.DegreeKeeper(np.array([2, 2]), set())
    with pytest.raises(ValueError, match="no graph with these degrees"):
        keeper.complete(np.random.default_rng(0))


def test_growth_is_measured_on_a_graph_that_the_search_improves(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    edge_growth = importlib.import_module("edge_growth")
    told = edge_growth.measure(2000)
    assert told["proposals"] == 40_000
    assert 0 < told["cost"] < 0.6 * told["cost_of_random"]
    assert told["share"] == told["cost"] / told["cost_of_random"]
    pairs = edge_growth.drawn_edges(400, 2000)
    assert len({tuple(sorted(pair)) for pair in pairs.T.tolist()}) == 2000
    assert edge_growth.exponent([10, 100, 1000], [2, 20, 200]) == pytest.approx(1)


def cells_of(losses):
    """Cells of Cora's first layer in which all peers but the last reach 3 times our loss, it 2.9 times."""
    peers = ("straight-through", "straight-through (paper)", "PRBCD")
    return [
        {
            "dataset": "cora",
            "layer": "act.0",
            "seed": seed,
            "ours": {"loss": loss, "degrees_kept": 1.0},
            **{peer: {"loss": 3 * loss, "degrees_kept": 0.2} for peer in peers},
            "PRBCD (degrees kept)": {"loss": 2.9 * loss, "degrees_kept": 1.0},
        }
        for seed, loss in enumerate(losses)
    ]


def test_the_bench_closes_with_ratios_of_mean_losses(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    edges = importlib.import_module("edges")
    cells = cells_of([0.01, 0.02, 0.06])
    cells[0]["PRBCD"]["loss"] += 0.009  # a mean of ratios would be 3.3
    first, second = edges.closing({"cells": cells, "refused": {"gat": {"PRBCD": "takes no weights"}}})
    assert first == (
        "cora act.0: mean loss 0.03000; straight-through 3.0x, straight-through (paper) 3.0x, PRBCD 3.1x, "
        "PRBCD (degrees kept) 2.9x"
    )
    assert second == "gat: no peer; PRBCD: takes no weights"


@pytest.mark.parametrize("trainings", [2, 3])
def test_a_peer_within_three_times_our_loss_fails_the_claim(trainings, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER.parent / "claims"))
    judging, bench_edges = (importlib.import_module(name) for name in ("judging", "bench_edges"))
    bench_edges._ratios(judging.Judge("peers"), "act.0", cells_of([0.25] * trainings))
    verdicts = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert verdicts == (["PASS"] * 3 + ["FAIL"] if trainings == 3 else ["FAIL"])


def test_growth_tells_the_run_with_the_median_time(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    edge_growth = importlib.import_module("edge_growth")
    costs = ((3.0, "c"), (9.0, "d"), (5.0, "e"))
    runs = [{"seconds": seconds, "cost": cost, "peak_mib": 10 * seconds} for seconds, cost in costs]
    told = {"seconds": 5.0, "cost": "e", "peak_mib": 90.0, "all_seconds": [3.0, 9.0, 5.0]}
    assert edge_growth._median(runs) == told
