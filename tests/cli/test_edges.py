"""`--vary structure` and `--vary both`: edges vary, in `audit` and in `generate`."""

from __future__ import annotations

from pathlib import Path

import torch

import graph_metamers as gm

KARATE = ("--dataset", "karate")
EASY = ("--tolerance", "10", "--min-distance", "0")  # any model passes
EDGES = ("--vary", "structure", "--epochs", "20", "--steps", "5")


def test_edges_vary_where_that_is_asked_for(call):
    words = ("audit", *KARATE, *EDGES, "--model", "gcn", "--num-starts", "1", "--layer", "act.0")
    outcome = call(*words, "--output", "out", "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    said = outcome.json
    assert said["config"]["search"]["vary"]["edges"]["kind"] == "structure"
    assert said["config"]["search"]["steps"] == 5
    assert {row["varies"] for row in said["rows"]} == {"structure"}
    (front,) = said["fronts"]
    assert front["layer"] == ["act.0"]
    assert front["points"][0] == [1.0, 0.0, 1.0, 0.0]
    (floor,) = said["floors"]
    assert floor["layer"] == "act.0"
    assert floor["bound"] == "Infinity"
    assert "node 33 has 17 neighbours" in floor["why"]
    loaded = gm.load_audit("out").layers[0]
    assert loaded.front.random_loss == front["random_loss"]
    assert loaded.floor.why == floor["why"]
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert 'id="structure"' in page
    assert "visible_distance" not in Path("out/nodes.csv").read_text(encoding="utf-8").splitlines()[0]

    text = call(*words).out
    assert "edge overlap" in text
    assert "chance is the same for random graphs with the same degrees" in text
    assert "features" not in text.replace("features only", "")  # one of the observers


def test_one_metamer_of_edges(call):
    words = (
        "generate",
        *KARATE,
        *EDGES,
        *EASY,
        "--model",
        "gcn",
        "--layer",
        "act.0",
        "-o",
        "found",
        "--json",
    )
    outcome = call(*words)
    assert outcome.code == 0
    assert outcome.json["config"]["vary"]["edges"]["reference_edges"] == "forbid"
    metamer = gm.load_metamer("found")
    assert torch.equal(metamer.graph.x, metamer.reference.x)
    assert not torch.equal(metamer.graph.edge_index, metamer.reference.edge_index)


def test_an_audit_of_edges_has_a_budget_of_its_own(call):
    words = ("audit", *KARATE, "--vary", "structure", "--epochs", "2", "--model", "gcn", "--num-starts", "1")
    said = call(*words, "--layer", "act.0", "--tolerance", "10", "--json").json
    assert said["config"]["search"]["steps"] == 200
    features = ("audit", *KARATE, "--epochs", "2", "--model", "gcn", "--num-starts", "1", "--tolerance", "10")
    assert call(*features, "--json").json["config"]["search"]["steps"] == 2000


def test_features_and_edges_vary_together_where_that_is_asked_for(call):
    both = ("--vary", "both", "--epochs", "20", "--steps", "20")
    words = ("audit", *KARATE, *both, "--model", "gcn", "--num-starts", "1", "--layer", "act.0")
    said = call(*words, "--num-untrained", "0", "--output", "out", "--json").json
    assert {row["varies"] for row in said["rows"]} == {"both"}
    assert set(said["config"]["search"]["vary"]) == {"edges", "x"}
    assert {"visible_distance", "edge_overlap"} <= set(said["rows"][0])
    reasons = {row["baseline"]: row["why_not"] for row in said["baseline_rows"]}
    assert reasons["random_weights"] == "no untrained copies were asked for"
    assert not reasons["random_perturbation"]
    assert "fronts" not in said
    assert gm.load_audit("out").varies == "both"
    text = call(*words, "--num-untrained", "0").out
    assert "visible distance" in text
    assert "edge overlap" in text
    assert "unrelated features on random graphs with the same degrees" in text

    searched = ("generate", *KARATE, *both, *EASY, "--model", "gcn", "--layer", "act.0", "-o", "found")
    assert call(*searched).code == 0
    metamer = gm.load_metamer("found")
    assert not torch.equal(metamer.graph.x, metamer.reference.x)
    assert not torch.equal(metamer.graph.edge_index, metamer.reference.edge_index)
