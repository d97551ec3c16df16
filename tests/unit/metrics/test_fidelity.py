from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import jaccard_score
from sklearn.metrics.pairwise import paired_cosine_distances

from graph_metamers.metrics import fidelity

GENERATOR = torch.Generator().manual_seed(0)
REFERENCE = torch.randn(20, 12, generator=GENERATOR, dtype=torch.float64)
CHANGED = REFERENCE + 0.5 * torch.randn(20, 12, generator=GENERATOR, dtype=torch.float64)


def test_activation_loss_in_closed_form():
    assert float(fidelity.activation_loss(1.1 * REFERENCE, REFERENCE)) == pytest.approx(0.01)
    assert float(fidelity.activation_loss(torch.zeros_like(REFERENCE), REFERENCE)) == 1
    assert float(fidelity.activation_loss(REFERENCE, REFERENCE)) == 0


def test_activation_loss_is_the_energy_weighted_mean_of_item_losses():
    energy = REFERENCE.square().sum(dim=1)
    mean = (fidelity.item_loss(CHANGED, REFERENCE) * energy).sum() / energy.sum()
    assert float(mean) == pytest.approx(float(fidelity.activation_loss(CHANGED, REFERENCE)))


def test_item_loss_of_zero_activations():
    reference = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]])
    changed = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 4.5]])
    assert fidelity.item_loss(changed, reference).tolist() == [0.0, math.inf, 0.01]


def test_snr_in_decibels():
    assert fidelity.snr_db(torch.tensor([1e-3, 1.0, 0.0])).tolist() == pytest.approx([30.0, 0.0, math.inf])


def test_correlations_equal_scipys():
    for ours, theirs in ((fidelity.pearson, stats.pearsonr), (fidelity.spearman, stats.spearmanr)):
        expected = [theirs(a, b).statistic for a, b in zip(CHANGED.numpy(), REFERENCE.numpy(), strict=True)]
        np.testing.assert_allclose(ours(CHANGED, REFERENCE).numpy(), expected, atol=1e-12)


def test_spearman_with_ties_equals_scipys():
    a, b = CHANGED.round(), REFERENCE.round()
    expected = [stats.spearmanr(x, y).statistic for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    np.testing.assert_allclose(fidelity.spearman(a, b).numpy(), expected, atol=1e-12)


def test_correlation_of_a_constant_item_is_undefined():
    constant = torch.ones(1, 4)
    assert fidelity.pearson(constant, REFERENCE[:1, :4]).isnan().all()
    assert fidelity.spearman(constant, REFERENCE[:1, :4]).isnan().all()


def test_cosine_equals_sklearns():
    expected = 1 - paired_cosine_distances(CHANGED.numpy(), REFERENCE.numpy())
    np.testing.assert_allclose(fidelity.cosine(CHANGED, REFERENCE).numpy(), expected, atol=1e-12)
    mean = REFERENCE.mean(dim=0)
    expected = 1 - paired_cosine_distances((CHANGED - mean).numpy(), (REFERENCE - mean).numpy())
    np.testing.assert_allclose(fidelity.centred_cosine(CHANGED, REFERENCE).numpy(), expected, atol=1e-12)


def test_word_overlap_equals_sklearns_jaccard():
    a, b = (CHANGED > 0).float(), (REFERENCE > 0).float()
    expected = jaccard_score(b.flatten().numpy(), a.flatten().numpy())
    assert fidelity.word_overlap(a, b) == pytest.approx(expected)
    assert math.isnan(fidelity.word_overlap(torch.zeros(2, 2), torch.zeros(2, 2)))


def test_vectors_and_higher_dimensions_are_flattened_per_item():
    assert fidelity.item_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0])).tolist() == [0.0, 1.0]
    heads = REFERENCE.reshape(20, 3, 4)
    assert torch.equal(fidelity.item_loss(heads * 2, heads), torch.ones(20, dtype=torch.float64))
