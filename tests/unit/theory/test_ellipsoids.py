from __future__ import annotations

import math

import numpy as np
import pytest

from graph_metamers.errors import ParameterError
from graph_metamers.theory.ellipsoids import (
    effective_dimension,
    log_unit_ball,
    log_unseen_volume,
    numerical_rank,
)


def test_unit_balls_in_closed_form():
    for r, volume in enumerate([1, 2, math.pi, 4 / 3 * math.pi, math.pi**2 / 2, 8 / 15 * math.pi**2]):
        assert log_unit_ball(r) == pytest.approx(math.log(volume), abs=1e-14)


def test_volumes_of_ellipsoids_in_closed_form():
    half_axes = 0.1 / np.array([2.0, 5.0, 0.5])
    volume = 4 / 3 * math.pi * half_axes.prod()
    assert log_unseen_volume([2.0, 5.0, 0.5], 0.1) == pytest.approx(math.log(volume), abs=1e-12)
    assert log_unseen_volume([], 0.1) == 0


def test_the_volume_is_that_of_points_which_are_counted():
    random = np.random.default_rng(0)
    jacobian = random.normal(size=(3, 2)) * 2
    points = random.uniform(-2, 2, size=(400_000, 2))
    inside = (np.linalg.norm(points @ jacobian.T, axis=1) <= 0.8).mean()
    sigma = np.linalg.svd(jacobian, compute_uv=False)
    assert 0.8 / sigma.min() < 2, "the ellipse lies inside the square"
    assert math.exp(log_unseen_volume(sigma, 0.8)) == pytest.approx(16 * inside, rel=0.02)


def test_scaling_the_tolerance_adds_one_logarithm_per_seen_direction():
    sigma = np.array([3.0, 1.0, 0.2, 0.01])
    step = log_unseen_volume(sigma, 0.3) - log_unseen_volume(sigma, 0.1)
    assert step == pytest.approx(4 * math.log(3), abs=1e-12)


def test_effective_dimension_runs_from_the_kernel_to_all_inputs():
    jacobian = np.diag([4.0, 2.0, 1.0, 0.0]) @ np.eye(4, 7)
    sigma = np.linalg.svd(jacobian, compute_uv=False)
    scale = {"num_inputs": 7, "feature_scale": 0.5, "activation_norm": 2.0}
    kernel = 7 - np.linalg.matrix_rank(jacobian)
    found = [effective_dimension(sigma, e, **scale) for e in (0, 0.24, 0.26, 0.51, 1.01)]
    assert found == [kernel, 4, 5, 6, 7]


def test_rank_is_that_of_numpy():
    random = np.random.default_rng(0)
    for rank in range(6):
        matrix = random.normal(size=(6, rank)) @ random.normal(size=(rank, 50))
        sigma = np.linalg.svd(matrix, compute_uv=False)
        assert numerical_rank(sigma, largest_side=50) == rank == np.linalg.matrix_rank(matrix)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda: log_unseen_volume([1.0, 0.0], 1.0), "singular_values"),
        (lambda: log_unseen_volume([[1.0]], 1.0), "singular_values"),
        (lambda: log_unseen_volume([1.0], 0.0), "epsilon"),
        (lambda: numerical_rank([-1.0], largest_side=3), "singular_values"),
        (
            lambda: effective_dimension([1, 1], 0.1, num_inputs=1, feature_scale=1.0, activation_norm=1.0),
            "num_inputs",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(function, name):
    with pytest.raises(ParameterError, match=f"'{name}'"):
        function()
