from __future__ import annotations

import csv

import pytest
import torch

import graph_metamers as gm


@pytest.fixture(scope="module")
def audit(digits_fit, digits):
    return gm.audit(digits_fit, digits, num_starts=2, num_untrained=0)


@pytest.fixture(scope="module")
def table(audit, tmp_path_factory):
    path = tmp_path_factory.mktemp("nodes") / "nodes.csv"
    audit.save_nodes(path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_there_is_a_row_for_every_layer_start_and_node(table, audit):
    assert list(table[0]) == list(gm.NODE_COLUMNS)
    assert len(table) == 2 * 2 * audit.dataset.num_nodes
    places = {(row["layer"], row["seed"], row["node"]) for row in table}
    assert len(places) == len(table)


def test_the_gates_follow_from_the_other_columns(table):
    for row in table:
        assert (row["predicted_before"] == row["predicted_after"]) == (row["same_prediction"] == "1")
        error, rival = (10 ** (-float(row[name]) / 20) for name in ("snr_db", "nearest_real_snr_db"))
        closer = error < rival - 1e-5 * (1 + rival) or error <= 1e-5
        assert closer == (row["closer_than_any_real_node"] == "1")
        assert (float(row["input_distance"]) >= 0.1) == (row["not_the_reference"] == "1")
        gates = ("same_prediction", "closer_than_any_real_node", "not_the_reference")
        assert (row["passes"] == "1") == all(row[gate] == "1" for gate in gates)
        assert (row["kind"] != "") == (row["passes"] == "1")


def test_shares_of_the_table_are_those_of_the_audit(table, audit):
    for layer in audit.layers:
        for start, share in zip(layer.starts, layer.measures["passing_share"].values, strict=True):
            own = [row for row in table if row["layer"] == layer.name and int(row["seed"]) == start.seed]
            assert sum(row["passes"] == "1" for row in own) / len(own) == pytest.approx(share)


def test_item_losses_are_those_of_plain_activations(table, audit, digits_fit, digits):
    before, after = (
        gm.activations(digits_fit.model, graph, "output")["output"].double()
        for graph in (digits.graph, audit.layers[1].metamer.graph)
    )
    expected = (after - before).square().sum(dim=1) / before.square().sum(dim=1)
    own = [row for row in table if row["layer"] == "output" and row["seed"] == "0"]
    found = torch.tensor([float(row["item_loss"]) for row in own], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-12)


def test_node_rows_are_the_table(audit, table):
    rows = audit.node_rows()
    assert [str(row["node"]) for row in rows] == [row["node"] for row in table]
    assert {row["passes_share"] for row in rows} <= {0.0, 0.5, 1.0}
