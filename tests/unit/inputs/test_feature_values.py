from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import graph_metamers as gm
from graph_metamers.inputs.feature_values import (
    BinaryFeatures,
    BoundedFeatures,
    ContinuousFeatures,
)

X = torch.rand(50, 6, generator=torch.Generator().manual_seed(0))
WORDS = (X > 0.7).float()
ALL = torch.ones_like(X, dtype=torch.bool)
MASK = torch.rand(X.shape, generator=torch.Generator().manual_seed(1)) > 0.5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_noise_has_each_features_mean_and_deviation():
    reference = X * torch.tensor([1.0, 10.0, 0.1, 1.0, 1.0, 0.0]) + 5
    reference = reference.repeat(400, 1)
    start = ContinuousFeatures(reference, torch.ones_like(reference, dtype=torch.bool)).start(
        "noise", generator()
    )
    torch.testing.assert_close(start.mean(dim=0), reference.mean(dim=0), rtol=0.02, atol=1e-3)
    torch.testing.assert_close(start.std(dim=0), reference.std(dim=0, correction=0), rtol=0.03, atol=1e-6)


@pytest.mark.parametrize("kind", [ContinuousFeatures, BoundedFeatures])
def test_permuted_rows_are_rows_of_other_items(kind):
    start = kind(X, ALL).start("permuted", generator())
    where = [int((row == X).all(dim=1).nonzero()[0]) for row in start]
    assert sorted(where) == list(range(50))
    assert all(place != row for row, place in enumerate(where))


@pytest.mark.parametrize("kind", [ContinuousFeatures, BoundedFeatures, BinaryFeatures])
def test_a_start_at_the_reference_stays_near_it(kind):
    reference = WORDS if kind is BinaryFeatures else X
    values = kind(reference, ALL)
    start = values.discretise(values.start("reference", generator()))
    assert (start - reference).norm() <= 0.2 * (reference - reference.mean(dim=0)).norm()


def test_bounded_features_stay_in_their_range():
    values = BoundedFeatures(X, ALL, low=-1.0, high=2.0)
    assert values.start("noise", generator()).aminmax() >= (-1.0, -1.0)
    projected = values.project(torch.tensor([[-5.0] * 6, [5.0] * 6]))
    assert projected[0].eq(-1).all()
    assert projected[1].eq(2).all()


def test_a_reference_outside_the_bounds_is_refused():
    with pytest.raises(gm.ParameterError, match=r"a feature .* outside of \[0, 0.5\]"):
        BoundedFeatures(X, ALL, high=0.5)


@given(seed=st.integers(0, 1000), ones=st.sampled_from(["total", "per_node"]), masked=st.booleans())
def test_binary_features_keep_the_number_of_ones_exactly(seed, ones, masked):
    mutable = MASK if masked else ALL
    values = BinaryFeatures(WORDS, mutable, ones=ones)
    hard = values.discretise(values.start("noise", generator(seed)))
    assert set(hard.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(hard[~mutable], WORDS[~mutable])
    if ones == "total":
        assert hard.sum() == WORDS.sum()
    else:
        assert torch.equal(hard.sum(dim=1), WORDS.sum(dim=1))


def test_ties_do_not_change_the_number_of_ones():
    values = BinaryFeatures(WORDS, ALL)
    assert values.discretise(torch.zeros_like(WORDS)).sum() == WORDS.sum()


def test_straight_through_has_hard_values_and_the_gradient_of_the_sigmoid():
    values = BinaryFeatures(WORDS, ALL, slope=2.0)
    point = values.start("noise", generator()).requires_grad_()
    relaxed = values.relax(point)
    torch.testing.assert_close(relaxed.detach(), values.discretise(point))
    (gradient,) = torch.autograd.grad(relaxed.sum(), point)
    soft = torch.sigmoid(2 * point.detach())
    torch.testing.assert_close(gradient, 2 * soft * (1 - soft))


@pytest.mark.parametrize("kind", [ContinuousFeatures, BoundedFeatures, BinaryFeatures])
def test_frozen_entries_keep_their_values_and_get_no_gradient(kind):
    reference = WORDS if kind is BinaryFeatures else X
    values = kind(reference, MASK)
    point = values.start("noise", generator()).requires_grad_()
    relaxed = values.relax(point)
    assert torch.equal(relaxed[~MASK], reference[~MASK])
    (gradient,) = torch.autograd.grad(relaxed.sum(), point)
    assert gradient[~MASK].eq(0).all()
    assert gradient[MASK].gt(0).all()


def test_binary_refuses_other_numbers():
    with pytest.raises(gm.ParameterError, match="'continuous' or 'bounded'"):
        BinaryFeatures(X, ALL)
