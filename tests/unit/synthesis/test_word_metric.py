from __future__ import annotations

import numpy as np
import pytest
import torch

from graph_metamers.synthesis.solvers.word_metric import (
    LEAST_CURVATURE,
    MOST_PROBES,
    PRIOR,
    NodeCurvature,
    WordMetric,
)


def test_sums_and_gradients_are_those_of_the_vectors():
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(20, 5, generator=generator, dtype=torch.float64))[0]
    probes = [torch.randn(7, 5, generator=generator, dtype=torch.float64) for _ in range(6)]
    metric = WordMetric.of(basis, probes)
    assert np.square(metric.vectors).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(basis.numpy() @ metric.to_sums, metric.vectors, atol=1e-6)
    # A gradient of rows, times a change of rows, is the gradient of sums times the change of sums.
    np.testing.assert_allclose(metric.to_gradients @ metric.to_sums.T, np.eye(5), atol=1e-10)


@pytest.mark.parametrize("count", [1, 3, MOST_PROBES + 5])
def test_curvature_is_the_shrunk_second_moment_of_the_latest_probes(count):
    rng = np.random.default_rng(count)
    probes = [rng.normal(size=(4, 3)) for _ in range(count)]
    curvature = NodeCurvature(probes, 4, 3)
    latest = np.stack(probes[-MOST_PROBES:], axis=1)
    nodes, steps = np.array([2, 0]), rng.normal(size=(2, 3))
    strength = np.square(latest).sum(axis=(1, 2)) / (latest.shape[1] * 3)
    strength += LEAST_CURVATURE * strength.mean()
    np.testing.assert_allclose(curvature.mean(nodes), strength[nodes], rtol=1e-5)
    seen = np.einsum("apk,ak->ap", latest[nodes], steps)
    expected = np.square(seen).sum(axis=1) + PRIOR * strength[nodes] * np.square(steps).sum(axis=1)
    expected /= latest.shape[1] + PRIOR
    np.testing.assert_allclose(curvature.of_steps(nodes, steps), expected, rtol=1e-4)
    parts, ridges = curvature.parts(nodes)
    told = np.square(np.einsum("apk,ak->ap", parts, steps)).sum(axis=1) + ridges * np.square(steps).sum(
        axis=1
    )
    np.testing.assert_allclose(told, expected, rtol=1e-4)


def test_without_probes_no_direction_is_known_to_matter():
    curvature = NodeCurvature([], 3, 2)
    assert (curvature.mean(np.arange(3)) == 0).all()
    assert (curvature.of_steps(np.arange(3), np.ones((3, 2))) == 0).all()
