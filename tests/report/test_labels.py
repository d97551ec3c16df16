"""Several audits on one page are told apart by what tells them apart."""

from __future__ import annotations

from graph_metamers.report.labels import model_labels


def test_what_varies_tells_audits_of_one_model_apart(edge_audit, both_audit):
    assert [label.text for label in model_labels([edge_audit, both_audit])] == [
        "GCN, edges vary",
        "GCN, both vary",
    ]
    assert [label.text for label in model_labels([edge_audit, both_audit, both_audit])] == [
        "GCN, edges vary",
        "GCN, both vary, audit 1",
        "GCN, both vary, audit 2",
    ]
    assert [label.text for label in model_labels([edge_audit])] == ["GCN"]
