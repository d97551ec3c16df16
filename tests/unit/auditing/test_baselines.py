"""The controls of every audit: which there are, what they measure, and that they are kept."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch_geometric.nn import LabelPropagation

import graph_metamers as gm
from graph_metamers.datasets.digits import edges_from_pixels
from graph_metamers.evidence.controls import BASELINE_MEASURES, BASELINE_NAMES, Baseline

pytestmark = pytest.mark.slow  # audits of the digits


@pytest.fixture(scope="module")
def audit(digits_fit, digits) -> gm.Audit:
    return gm.audit(digits_fit, digits, num_starts=2, objective="farthest", budget=gm.Budget(steps=250))


def named(layer, name):
    return next(baseline for baseline in layer.baselines if baseline.name == name)


def test_every_layer_has_every_control_in_order(audit):
    for layer, baselines in zip(audit.layers, audit.baselines, strict=True):
        assert baselines == layer.baselines
        assert tuple(baseline.name for baseline in baselines) == BASELINE_NAMES
        assert not [baseline.why_not for baseline in baselines if baseline.why_not]
        assert all(baseline.label and baseline.meaning for baseline in baselines)


def test_a_random_change_of_the_same_size_is_as_far_and_matches_far_less(audit):
    for layer in audit.layers:
        found, random = layer.measures, named(layer, "random_perturbation")
        assert random.num_seeds == 2
        assert random.input_distance == pytest.approx(found["input_distance"].values, rel=1e-5)
        assert min(random.activation_loss) > 20 * max(found["activation_loss"].values)
        assert max(random.passing_share) < min(found["passing_share"].values) / 2


def test_the_null_space_alone_is_nothing_that_the_layer_reads(audit):
    for layer in audit.layers:
        null = named(layer, "null_space")
        assert max(null.visible_distance) < 0.2  # the range of the pixels does not allow 0
        assert max(null.activation_loss) < 0.02
        assert min(null.input_distance) > max(null.visible_distance)


def test_a_flat_step_is_shorter_seen_and_worse_than_a_search(audit):
    for layer in audit.layers:
        flat = named(layer, "flat_step")
        assert min(flat.activation_loss) > max(layer.measures["activation_loss"].values)
        assert min(flat.visible_distance) > 0.2


def test_untrained_copies_are_searched_and_leave_the_model_alone(audit, digits_fit):
    for layer in audit.layers:
        untrained = named(layer, "random_weights")
        assert untrained.num_seeds == 2
        assert max(untrained.activation_loss) <= 1e-3
        assert len(set(untrained.input_distance)) == 2
    assert audit.model is digits_fit.model


def test_edges_computed_anew_are_measured_with_the_features_that_were_found(audit, digits, digits_fit):
    layer = audit.layers[1]
    graph = layer.metamer.graph.clone()
    graph.edge_index = edges_from_pixels(graph.x)
    predicted = gm.activations(digits_fit.model, graph, "output")["output"].argmax(dim=1)
    same = float((predicted == audit.predictions).double().mean())
    assert named(layer, "recomputed_edges").prediction_agreement[0] == pytest.approx(same)
    assert named(layer, "recomputed_edges").input_distance == layer.measures["input_distance"].values


def test_label_propagation_is_that_of_pyg_on_nodes_whose_labels_it_has_not(audit, digits):
    graph, train = digits.graph, digits.split.train
    said = LabelPropagation(num_layers=50, alpha=0.9)(graph.y, graph.edge_index, mask=train).argmax(dim=1)
    others = [node for node in range(len(graph.y)) if node not in set(train.tolist())]
    same = float((said == audit.predictions)[others].double().mean())
    for layer in audit.layers:
        row = named(layer, "label_propagation")
        assert row.prediction_agreement == (pytest.approx(same),)
        assert row.interval("activation_loss") is None
        assert math.isnan(row.interval("prediction_agreement").low)


def test_rows_have_an_interval_for_what_has_several_seeds(audit):
    rows = audit.baseline_rows()
    assert [(row["layer"], row["baseline"]) for row in rows] == [
        (layer.name, name) for layer in audit.layers for name in BASELINE_NAMES
    ]
    for row in rows:
        for measure in BASELINE_MEASURES:
            if row["num_seeds"] > 1:
                assert row[f"{measure}_low"] <= row[measure] <= row[f"{measure}_high"]
            else:
                assert math.isnan(row[f"{measure}_low"])


def test_save_and_load_is_the_identity(audit, tmp_path):
    audit.save(tmp_path / "audit")
    loaded = gm.load_audit(tmp_path / "audit")
    for ours, theirs in zip(loaded.layers, audit.layers, strict=True):
        for one, other in zip(ours.baselines, theirs.baselines, strict=True):
            assert repr(one) == repr(other)  # nan is not equal to itself
            assert type(one.activation_loss) is tuple


def test_an_audit_without_controls_is_read_as_before(edge_audit, tmp_path):
    older = replace(edge_audit, layers=tuple(replace(layer, baselines=()) for layer in edge_audit.layers))
    older.save(tmp_path / "older")
    text = (tmp_path / "older" / "audit.json").read_text(encoding="utf-8")
    (tmp_path / "older" / "audit.json").write_text(text.replace('"baselines": []', '"other": []'))
    assert gm.load_audit(tmp_path / "older").baselines == ((), ())


def test_where_edges_vary_the_controls_are_about_edges(edge_audit):
    for layer in edge_audit.layers:
        names = [baseline.name for baseline in layer.baselines]
        assert names == ["random_perturbation", "nearest_item", "random_weights", "label_propagation"]
        random = named(layer, "random_perturbation")
        assert "edges" in random.meaning
        # As many edges as degrees allow: karate is dense.
        assert random.input_distance == pytest.approx(layer.measures["input_distance"].values, rel=0.2)
        assert all(math.isnan(value) for value in random.visible_distance)


def test_where_both_vary_what_is_about_features_alone_is_left_out_with_the_reason(both_audit):
    for layer in both_audit.layers:
        left = {baseline.name: baseline.why_not for baseline in layer.baselines if baseline.why_not}
        assert set(left) == {"flat_step", "null_space"}
        assert all("edges vary too" in why for why in left.values())
        assert named(layer, "random_weights").num_seeds == 1


def test_words_have_no_null_space_and_say_so(karate, karate_model):
    audit = gm.audit(
        karate_model, karate, layers=["output"], num_starts=1, num_untrained=0, budget=gm.Budget(steps=20)
    )
    (layer,) = audit.layers
    assert "0 or 1" in named(layer, "null_space").why_not
    assert named(layer, "random_weights").why_not == "no untrained copies were asked for"
    flat, found = named(layer, "flat_step"), layer.metamer.graph
    assert flat.num_seeds == 1
    assert flat.interval("activation_loss").estimate > 0
    assert int(found.x.sum()) == int(karate.graph.x.sum())


class Own(torch.nn.Module):
    """A module of a user's whose weights nobody can draw anew."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(64, 10, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return x @ self.weight


def test_a_model_that_cannot_be_reset_says_which_weights(digits):
    audit = gm.audit(Own(), digits, layers=["output"], num_starts=1, budget=gm.Budget(steps=10))
    assert "got none for weight" in named(audit.layers[0], "random_weights").why_not
    row = next(row for row in audit.baseline_rows() if row["baseline"] == "random_weights")
    assert math.isnan(row["activation_loss"])
    assert row["num_seeds"] == 0


def test_measures_are_asked_for_by_name():
    row = Baseline.of("null_space", "features", [{"activation_loss": 0.0}, {"activation_loss": 0.5}])
    assert row.values("activation_loss") == (0.0, 0.5)
    assert row.interval("activation_loss").estimate == 0.25
    assert row.interval("passing_share") is None
    with pytest.raises(gm.ParameterError, match="'measure' parameter must be"):
        row.values("loss")
