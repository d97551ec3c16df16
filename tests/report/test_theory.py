"""Section 5: what was counted, in words and tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

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
