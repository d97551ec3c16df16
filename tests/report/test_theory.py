"""Section 5: what was counted, in words and tables."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from graph_metamers.auditing.theory import FreedomPrediction
from graph_metamers.report.spectra import LEAST, spectrum_figure, spectrum_plot
from graph_metamers.report.theory import ACTIVATION_COLUMNS, LAYER_COLUMNS, _mean, theory_section


def test_every_layer_and_activation_has_a_row(image_audits):
    section = theory_section(image_audits)
    assert len(section.models) == len(image_audits)
    for entry, audit in zip(section.models, image_audits, strict=True):
        assert [row.what for row in entry.layers] == [layer.name for layer in audit.layers]
        assert all(len(row.values) == len(LAYER_COLUMNS) for row in entry.layers)
        assert all(len(row.values) == len(ACTIVATION_COLUMNS) - 1 for row in entry.activations)
        assert entry.activations[0].note.endswith("(its own)")
        assert entry.picture.uri.startswith("data:image/png")
        assert entry.most == entry.least == ()
        first = audit.theory.layers[0]
        assert any(first.layer in sentence for sentence in entry.sentences)


def test_named_features_are_listed_from_both_ends(word_audit):
    (entry,) = theory_section([word_audit]).models
    gains = word_audit.theory.features.gains
    names = word_audit.dataset.feature_names
    strongest = names[max(range(len(gains)), key=gains.__getitem__)]
    assert entry.most[0].startswith(f"{strongest} (")
    assert not set(entry.most) & set(entry.least)
    assert entry.picture is None


def test_without_theory_there_is_no_section(word_audit):
    assert theory_section([replace(word_audit, theory=None)]) is None
    assert theory_section([]) is None


@pytest.mark.parametrize(
    ("value", "shown"), [(1.5e-17, "0.0"), (-1e-17, "0.0"), (5.883, "5.9"), (27.09, "27.1")]
)
def test_means_of_counts_are_shown_with_one_decimal(value, shown):
    assert _mean(value) == shown


def predicting(audit, correlations, num_nodes=50):
    """The audit with these correlations at its first layer, and none at the others."""
    first, *others = audit.theory.layers
    told = FreedomPrediction(num_nodes=num_nodes, tolerance=1e-3, mean_share=0.25, correlations=correlations)
    layers = (replace(first, predicted=told), *(replace(layer, predicted=None) for layer in others))
    return replace(audit, theory=replace(audit.theory, layers=layers))


@pytest.mark.parametrize(
    ("correlations", "says", "shown"),
    [
        ((0.4, 0.5, 0.45), "nodes that they leave freer were moved farther", "rank correlation 0.450 ["),
        ((-0.4, -0.5, -0.45), "nodes that they leave freer were moved less far", "rank correlation -0.450 ["),
        ((-0.3, 0.5, 0.1), "they do not tell which nodes the searches moved far", "rank correlation 0.100 ["),
        ((0.8,), "they do not tell which nodes the searches moved far", "rank correlation 0.800 over"),
        ((math.nan,) * 3, "over 50 nodes nothing varies that could be compared", None),
    ],
)
def test_prediction_is_said_to_hold_only_where_its_interval_leaves_out_0(
    word_audit, correlations, says, shown
):
    (entry,) = theory_section([predicting(word_audit, correlations)]).models
    (said,) = [sentence for sentence in entry.sentences if sentence.startswith("Prediction against")]
    assert f"achievement at {word_audit.theory.layers[0].layer}: derivatives leave 25.0%" in said
    assert "up to a loss of 0.001" in said
    assert says in said
    wordings = ("moved farther", "moved less far", "do not tell", "nothing varies")
    assert sum(wording in said for wording in wordings) == 1
    assert "rank correlation" not in said if shown is None else shown in said.replace("\u2212", "-")


def test_there_is_a_spectrum_for_each_place_among_the_layers(image_audits):
    section = theory_section(image_audits)
    depths = {layer.depth for audit in image_audits for layer in audit.layers}
    assert [plot.id for plot in section.spectra] == [f"plot-spectrum-{depth}" for depth in sorted(depths)]
    assert len(section.legend) == len(image_audits)
    bare = [
        replace(
            audit,
            theory=replace(
                audit.theory, layers=tuple(replace(layer, spectrum=()) for layer in audit.theory.layers)
            ),
        )
        for audit in image_audits
    ]
    assert theory_section(bare).spectra == ()


def test_a_spectrum_shows_medians_and_a_band_over_nodes(image_audits):
    from graph_metamers.report.labels import model_labels  # noqa: PLC0415

    lines = [
        (label, audit.theory.layers[0])
        for label, audit in zip(model_labels(image_audits), image_audits, strict=True)
    ]
    figure = spectrum_figure(lines)
    assert len(figure.data) == len(lines)
    for drawn, (_, layer) in zip(figure.data, lines, strict=True):
        values = np.array(layer.spectrum)
        low, middle, high = values[values[:, 1] >= LEAST].T
        edge = 10 ** figure.layout.yaxis.range[0]
        assert drawn.y == pytest.approx(middle)
        assert np.array(drawn.y) + np.array(drawn.error_y.array) == pytest.approx(high)
        assert np.array(drawn.y) - np.array(drawn.error_y.arrayminus) == pytest.approx(np.maximum(low, edge))
        assert np.round(drawn.x).tolist() == list(range(1, len(middle) + 1))
        assert figure.layout.xaxis.range[1] >= layer.units
    assert figure.layout.yaxis.type == "log"
    assert 10 ** figure.layout.yaxis.range[0] <= min(min(drawn.y) for drawn in figure.data)


def test_directions_that_the_median_node_does_not_see_are_not_drawn(image_audits):
    from graph_metamers.report.labels import model_labels  # noqa: PLC0415

    layer = replace(
        image_audits[0].theory.layers[0], spectrum=((1.0, 1.0, 1.0), (0.0, 0.3, 0.5), (0.0, 0.0, 0.4))
    )
    lines = [(model_labels(image_audits)[0], layer)]
    figure = spectrum_figure(lines)
    (drawn,) = figure.data
    assert list(drawn.y) == [1.0, 0.3]
    assert drawn.y[1] - drawn.error_y.arrayminus[1] == pytest.approx(10 ** figure.layout.yaxis.range[0])
    assert "at direction 2 of 3" in spectrum_plot("plot", "heading", lines).alt


@pytest.mark.parametrize(
    ("num_nodes", "told"), [(20, "do not tell"), (30, "moved farther"), (200, "moved farther")]
)
def test_starts_that_agree_do_not_make_few_nodes_many(word_audit, num_nodes, told):
    # 0.45 at 20 nodes is less than two standard errors over nodes, sqrt(1.06 / 16) of Fisher's z.
    audit = predicting(word_audit, (0.44, 0.45, 0.46), num_nodes)
    (entry,) = theory_section([audit]).models
    (said,) = [sentence for sentence in entry.sentences if sentence.startswith("Prediction against")]
    assert told in said
