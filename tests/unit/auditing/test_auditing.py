from __future__ import annotations

import dataclasses
import math

import pytest
import torch

import graph_metamers as gm
from graph_metamers.auditing.phrasing import percent
from graph_metamers.metrics import Accuracy


@pytest.fixture(scope="module")
def audit(digits_fit, digits) -> gm.Audit:
    return gm.audit(digits_fit, digits, num_starts=3, num_untrained=0)


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
        measures = layer.measures
        assert measures["activation_loss"].values[0] == pytest.approx(layer.metamer.activation_loss, rel=1e-9)
        assert measures["input_distance"].values[0] == pytest.approx(layer.metamer.input_distance.scaled)
        assert measures["input_distance"].chance == pytest.approx(1, abs=0.05)
        assert measures["activation_loss"].chance > 100 * measures["activation_loss"].value
        assert measures["prediction_agreement"].value > measures["prediction_agreement"].chance + 0.5
        assert measures["centred_cosine"].chance == pytest.approx(0, abs=0.05)
        assert measures["cosine"].chance > 0.4  # never negative features are alike by chance


def test_predictions_are_the_models(audit, digits_fit, digits):
    output = gm.activations(digits_fit.model, digits.graph, "output")["output"]
    assert torch.equal(audit.predictions, output.argmax(dim=1))
    share = (audit.layers[1].predictions == audit.predictions).double().mean()
    assert float(share) == pytest.approx(audit.layers[1].measures["prediction_agreement"].values[0])


def test_rows_are_one_per_layer_with_chance_beside_every_measure(audit):
    rows = audit.rows()
    assert len(rows) == 2
    measures = [name for name in rows[0] if f"{name}_chance" in rows[0]]
    assert {"activation_loss", "spearman", "pearson", "snr_db", "cosine", "input_distance"} <= set(measures)


def test_rows_have_an_interval_for_every_measure_and_its_chance_level(audit):
    for row in audit.rows():
        measures = [name for name in row if f"{name}_chance_low" in row]
        assert len(measures) >= 18
        for name in measures:
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"], name
            assert row[f"{name}_chance_low"] <= row[f"{name}_chance"] <= row[f"{name}_chance_high"], name


def test_each_start_is_the_search_with_its_seed(audit, digits_fit, digits):
    layer = audit.layers[1]
    assert [start.seed for start in layer.starts] == [0, 1, 2]
    alone = gm.generate(digits_fit.model, digits.graph, "output", seed=2)
    assert layer.starts[2].activation_loss == alone.activation_loss
    null = gm.null_distribution(digits_fit.model, digits.graph, "output")
    report = gm.gates(alone, null)
    assert torch.equal(layer.starts[2].gates.passes, report.passes)
    assert layer.measures["visible_distance"].values[2] == report.distance.visible
    assert layer.measures["passing_share"].values[2] == report.shares()["passes"]


def test_the_cross_layer_matrix_is_the_loss_at_every_layer(audit, digits_fit, digits):
    layers = ["act.0", "output"]
    theirs = gm.activations(digits_fit.model, digits.graph, layers)
    for layer in audit.layers:
        ours = gm.activations(digits_fit.model, layer.metamer.graph, layers)
        for other in layers:
            error = (ours[other] - theirs[other]).double().square().sum()
            loss = float(error / theirs[other].double().square().sum())
            assert layer.elsewhere[other]["activation_loss"].values[0] == pytest.approx(loss, rel=1e-5)
        own = layer.elsewhere[layer.name]
        assert own["activation_loss"] == layer.measures["activation_loss"]
        assert own["closer_share"] == layer.measures["closer_share"]
    pairs = [(row["layer"], row["at_layer"]) for row in audit.cross_layer_rows()]
    assert pairs == [(layer, other) for layer in layers for other in layers]


def test_an_own_model_with_weights_that_are_views_is_saved(digits, tmp_path):
    class Transposed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            self.weight = torch.nn.Parameter(torch.randn(10, 64, generator=generator).t())

        def forward(self, x):
            return x @ self.weight

    audit = gm.audit(
        Transposed(), digits, layers=["output"], num_starts=2, budget=gm.Budget(steps=5), name="own"
    )
    audit.save(tmp_path / "own")
    loaded = gm.load_audit(tmp_path / "own")
    assert loaded.model is None
    assert gm.verdict(loaded) == gm.verdict(audit)
    readable = {path.stat().st_mode & 0o044 for path in (tmp_path / "own").rglob("*") if path.is_file()}
    assert readable == {0o044}


@pytest.mark.parametrize(
    ("options", "message"), [({"dataset": "digits"}, "dataset"), ({"layers": "output"}, "layers")]
)
def test_wrong_types_are_said(digits_fit, digits, options, message):
    dataset = options.pop("dataset", digits)
    with pytest.raises(gm.ParameterError, match=f"'{message}' parameter must be"):
        gm.audit(digits_fit, dataset, **options)


def test_one_start_has_no_interval_and_decides_nothing(digits_fit, digits):
    audit = gm.audit(digits_fit, digits, num_starts=1, num_untrained=0, layers=["output"])
    row = audit.rows()[0]
    assert math.isnan(row["visible_distance_low"])
    text = " ".join(gm.verdict(audit))
    assert "from one start" in text
    assert "one start has no interval" in text
    assert "95%" not in text


@pytest.mark.parametrize("num_starts", [0, -1, 1.5, True])
def test_starts_have_to_be_counted(digits_fit, digits, num_starts):
    with pytest.raises(gm.ParameterError, match="'num_starts' parameter must be"):
        gm.audit(digits_fit, digits, num_starts=num_starts)


class Pooled(torch.nn.Module):
    """Nodes are classified with a summary of the graph; the summary's rows are no nodes."""

    def __init__(self):
        super().__init__()
        self.summary, self.classify = torch.nn.Linear(64, 8), torch.nn.Linear(72, 10)

    def forward(self, x):
        summary = self.summary(x.mean(dim=0, keepdim=True))
        return self.classify(torch.cat([x, summary.expand(len(x), -1)], dim=1))


def test_a_layer_whose_items_have_no_class_is_refused_before_the_search(digits):
    searched = []
    with pytest.raises(gm.ParameterError, match="'layer' parameter must be one with at least two items"):
        gm.audit(Pooled(), digits, layers=["summary"], on_search=lambda *place: searched.append(place))
    assert not searched


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
        assert ours.measures == theirs.measures
        assert ours.elsewhere == theirs.elsewhere
        for first, second in zip(ours.starts, theirs.starts, strict=True):
            assert (first.seed, first.status, first.steps) == (second.seed, second.status, second.steps)
            assert torch.equal(first.gates.passes, second.gates.passes)
            assert torch.equal(first.gates.item_loss, second.gates.item_loss)
            assert torch.equal(first.chance_snr, second.chance_snr)
        assert torch.equal(ours.metamer.graph.x, theirs.metamer.graph.x)
    weights = audit.model.state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in loaded.model.state_dict().items())
    assert gm.verdict(loaded) == gm.verdict(audit)
    assert list(loaded.node_rows()) == list(audit.node_rows())


def test_a_folder_that_is_no_audit_is_refused(tmp_path):
    with pytest.raises(gm.FileFormatError):
        gm.load_audit(tmp_path)


def test_words_are_measured_for_binary_features(karate_model, karate):
    audit = gm.audit(karate_model, karate, layers=["act.0"], budget=gm.Budget(steps=20))
    assert 0 <= audit.layers[0].measures["word_overlap"].value <= 1


def test_an_untrained_model_is_flagged_everywhere(digits):
    audit = gm.audit(gm.build_model("gcn", digits), digits, layers=["act.0"], num_starts=2, num_untrained=0)
    assert audit.at_chance
    assert "AT CHANCE" in repr(audit)
    assert "AT CHANCE" in audit._repr_html_()
    assert gm.verdict(audit)[0].startswith("GCN is not shown to be better than chance")
    assert gm.advice([audit])[0].startswith("Train GCN again")
    assert audit.rows()[0]["at_chance"]
    assert "at-chance" in {finding.code for finding in audit.checks.warnings}


def test_verdict_speaks_of_matching_and_never_of_seeing(audit):
    text = " ".join(gm.verdict(audit)) + " ".join(gm.advice([audit]))
    assert "matched at every audited layer, from 3 of 3 starts" in text
    assert "95% intervals over 3 starts of the search in this one trained model" in text
    assert "cannot see" not in text
    assert "does not exist" not in text
    assert len(gm.advice([audit, audit])) == len(set(gm.advice([audit, audit]))) <= 5


def test_a_failed_search_says_within_which_budget(digits_fit, digits):
    audit = gm.audit(digits_fit, digits, budget=gm.Budget(steps=3), layers=["output"], num_starts=2)
    assert "At output, from 2 starts, no metamer was found within 3 steps" in gm.verdict(audit)[0]
    assert any("search longer" in sentence for sentence in gm.advice([audit]))


def test_edges_that_give_the_classes_away_are_said(audit):
    assert any("which sees no features" in sentence for sentence in gm.advice([audit]))
    honest = dataclasses.replace(audit, controls={"label propagation": Accuracy(0.2, 0.1, 100, 0.001)})
    assert not any("which sees no features" in sentence for sentence in gm.advice([honest]))


def test_searches_are_announced(karate_model, karate):
    heard = []
    gm.audit(
        karate_model,
        karate,
        num_starts=2,
        budget=gm.Budget(steps=5),
        on_search=lambda *announced: heard.append(announced),
    )
    assert heard == [("act.0", 1, 4), ("act.0", 2, 4), ("output", 3, 4), ("output", 4, 4)]


@pytest.mark.slow
def test_cora_is_matched_with_continuous_features(cora):
    fit = gm.fit(gm.build_model("gcn", cora), cora)
    assert fit.scores.test.accuracy >= 0.79
    audit = gm.audit(fit, cora, vary=gm.Features(kind="continuous"))
    assert all(layer.metamer.activation_loss <= 1e-3 for layer in audit.layers)


def test_shares_are_never_rounded_up_to_all():

    assert [percent(share, 1) for share in (1.0, 0.9999, 0.9994, 0.5)] == [
        "100%",
        "over 99.9%",
        "99.9%",
        "50.0%",
    ]
