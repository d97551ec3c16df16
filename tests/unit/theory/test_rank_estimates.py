"""Counts of singular values by random probes, against numpy's singular values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from graph_metamers.theory.rank_estimates import estimate_rank

COUNTED = 0.05


def drawn(shape: tuple[int, int], seed: int) -> sparse.csr_array:
    """A sparse matrix with many small singular values and many that are 0."""
    random = np.random.default_rng(seed)
    matrix = sparse.random_array(shape, density=0.02, rng=random).tocsr()
    matrix.data *= random.lognormal(sigma=1.5, size=matrix.nnz)
    return matrix


@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
def test_intervals_hold_the_count_about_as_often_as_they_say(shape):
    held = 0
    for seed in range(20):
        matrix = drawn(shape, seed)
        values = np.linalg.svd(matrix.toarray(), compute_uv=False)
        expected = int((values > COUNTED * values[0]).sum())
        found = estimate_rank(matrix, counted=COUNTED, steps=150, generator=np.random.default_rng(seed))
        held += abs(found.rank - expected) <= found.error
        assert found.rank == pytest.approx(expected, rel=0.1)
        assert found.largest == pytest.approx(values[0], rel=1e-6)
    assert held >= 16  # of 20 with 95% each: fewer than 16 with p = 0.0003


def test_a_projector_is_counted_almost_exactly():
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.normal(size=(200, 60)))[0]
    found = estimate_rank(sparse.csr_array(basis @ basis.T), probes=40, generator=random)
    assert abs(found.rank - 60) <= found.error
    assert found.error < 5


def test_every_direction_of_the_identity_counts():
    found = estimate_rank(sparse.eye_array(50).tocsr(), generator=np.random.default_rng(0))
    assert (found.rank, found.error, found.largest) == pytest.approx((50, 0, 1))


def test_nothing_has_rank_0():
    found = estimate_rank(sparse.csr_array((4, 7)), generator=np.random.default_rng(0))
    assert (found.rank, found.error) == (0, 0)
