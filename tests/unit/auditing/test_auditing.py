from __future__ import annotations

import dataclasses
import math

import pytest
import torch

import graph_metamers as gm
from graph_metamers.auditing.wording import _percent
from graph_metamers.metrics import Accuracy


@pytest.fixture(scope="module")
def audit(digits_fit, digits) -> gm.Audit:
    return gm.audit(digits_fit, digits)


def same_row(ours, theirs) -> bool:
    return ours.keys() == theirs.keys() and all(
        a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))
        for a, b in zip(ours.values(), theirs.values(), strict=True)
    )


def test_every_default_layer_is_audited(audit):
    assert [layer.name for layer in audit.layers] == ["act.0", "output"]
    assert [layer.depth for layer in audit.layers] == [1, 2]
    assert [layer.width for layer in audit.layers] == [16, 10]
    assert all(layer.metamer.is_metamer for layer in audit.layers)


def test_measures_agree_with_the_metamer_and_stand_beside_their_chance(audit):
    for layer in audit.layers:
        measures = layer.evidence
        assert measures["activation_loss"].value == pytest.approx(layer.metamer.activation_loss, rel=1e-9)
        assert measures["input_distance"].value == pytest.approx(layer.metamer.input_distance.scaled)
        assert measures["input_distance"].chance == pytest.approx(1, abs=0.05)
        assert measures["activation_loss"].chance > 100 * measures["activation_loss"].value
        assert measures["prediction_agreement"].value > measures["prediction_agreement"].chance + 0.5
        assert measures["centred_cosine"].chance == pytest.approx(0, abs=0.05)
        assert measures["cosine"].chance > 0.4  # never negative features are alike by chance


def test_predictions_are_the_models(audit, digits_fit, digits):
    output = gm.activations(digits_fit.model, digits.graph, "output")["output"]
    assert torch.equal(audit.predictions, output.argmax(dim=1))
    share = (audit.layers[1].predictions == audit.predictions).double().mean()
    assert float(share) == pytest.approx(audit.layers[1].evidence["prediction_agreement"].value)


def test_rows_are_one_per_layer_with_chance_beside_every_measure(audit):
    rows = audit.rows()
    assert len(rows) == 2
    measures = [name for name in rows[0] if f"{name}_chance" in rows[0]]
    assert {"activation_loss", "spearman", "pearson", "snr_db", "cosine", "input_distance"} <= set(measures)


def test_the_control_without_features_is_there(audit):
    assert audit.controls["label propagation"].accuracy > 0.9


def test_save_and_load_is_the_identity(audit, tmp_path):
    audit.save(tmp_path / "audit")
    loaded = gm.load_audit(tmp_path / "audit")
    assert repr(loaded) == repr(audit)
    assert all(same_row(*rows) for rows in zip(loaded.rows(), audit.rows(), strict=True))
    for name in ("dataset", "scores", "controls", "checks", "config", "provenance", "model_name"):
        assert getattr(loaded, name) == getattr(audit, name), name
    for ours, theirs in zip(loaded.layers, audit.layers, strict=True):
        assert torch.equal(ours.predictions, theirs.predictions)
        assert torch.equal(ours.evidence.item_loss, theirs.evidence.item_loss)
        assert torch.equal(ours.metamer.graph.x, theirs.metamer.graph.x)
    weights = audit.model.state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in loaded.model.state_dict().items())
    assert gm.verdict(loaded) == gm.verdict(audit)


def test_a_folder_that_is_no_audit_is_refused(tmp_path):
    with pytest.raises(gm.FileFormatError):
        gm.load_audit(tmp_path)


def test_words_are_measured_for_binary_features(karate_model, karate):
    audit = gm.audit(karate_model, karate, layers=["act.0"], budget=gm.Budget(steps=20))
    assert 0 <= audit.layers[0].evidence["word_overlap"].value <= 1


def test_an_untrained_model_is_flagged_everywhere(digits):
    audit = gm.audit(gm.build_model("gcn", digits), digits, layers=["act.0"])
    assert audit.at_chance
    assert "AT CHANCE" in repr(audit)
    assert "AT CHANCE" in audit._repr_html_()
    assert gm.verdict(audit)[0].startswith("GCN is not shown to be better than chance")
    assert gm.advice([audit])[0].startswith("Train GCN again")
    assert audit.rows()[0]["at_chance"]
    assert "at-chance" in {finding.code for finding in audit.checks.warnings}


def test_verdict_speaks_of_matching_and_never_of_seeing(audit):
    text = " ".join(gm.verdict(audit)) + " ".join(gm.advice([audit]))
    assert "matched at every audited layer" in text
    assert "cannot see" not in text
    assert "does not exist" not in text
    assert len(gm.advice([audit, audit])) == len(set(gm.advice([audit, audit]))) <= 5


def test_a_failed_search_says_within_which_budget(digits_fit, digits):
    audit = gm.audit(digits_fit, digits, budget=gm.Budget(steps=3), layers=["output"])
    assert "no metamer was found within 3 steps" in gm.verdict(audit)[0]
    assert any("search longer" in sentence for sentence in gm.advice([audit]))


def test_edges_that_give_the_classes_away_are_said(audit):
    assert any("which sees no features" in sentence for sentence in gm.advice([audit]))
    honest = dataclasses.replace(audit, controls={"label propagation": Accuracy(0.2, 0.1, 100, 0.001)})
    assert not any("which sees no features" in sentence for sentence in gm.advice([honest]))


def test_layers_are_announced(karate_model, karate):
    heard = []
    gm.audit(
        karate_model, karate, budget=gm.Budget(steps=5), on_layer=lambda *announced: heard.append(announced)
    )
    assert heard == [("act.0", 1, 2), ("output", 2, 2)]


@pytest.mark.slow
def test_cora_is_matched_with_continuous_features(cora):
    fit = gm.fit(gm.build_model("gcn", cora), cora)
    assert fit.scores.test.accuracy >= 0.79
    audit = gm.audit(fit, cora, vary=gm.Features(kind="continuous"))
    assert all(layer.metamer.activation_loss <= 1e-3 for layer in audit.layers)


def test_shares_are_never_rounded_up_to_all():

    assert [_percent(share, 1) for share in (1.0, 0.9999, 0.9994, 0.5)] == [
        "100.0%",
        "over 99.9%",
        "99.9%",
        "50.0%",
    ]
