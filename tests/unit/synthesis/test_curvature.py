"""The recursion in inner products against the two loops over vectors, and against a full matrix."""

from __future__ import annotations

import torch

from graph_metamers.synthesis.solvers.curvature import FEWEST_PAIRS, LARGEST_MEMORY, Curvature, pairs_kept

SIZE, HISTORY = 20, 4


def two_loops(pairs, gradient):
    """Nocedal 1980, on vectors."""
    direction, weights = -gradient, []
    for step, change in reversed(pairs):
        weight = step.dot(direction) / step.dot(change)
        direction = direction - weight * change
        weights.append(weight)
    step, change = pairs[-1]
    direction = direction * step.dot(change) / change.dot(change)
    for (step, change), weight in zip(pairs, reversed(weights), strict=True):
        direction = direction + (weight - change.dot(direction) / step.dot(change)) * step
    return direction


def walk(number, hessian, generator):
    """Points and gradients of a quadratic."""
    points = torch.randn(number, SIZE, generator=generator, dtype=torch.float64)
    return points, points @ hessian


def test_the_step_is_that_of_two_loops_also_when_old_pairs_have_gone():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    points, gradients = walk(12, root @ root.T, generator)
    curvature, pairs = Curvature(points[0], HISTORY), []
    for before, after in zip(range(11), range(1, 12), strict=True):
        step, change = points[after] - points[before], gradients[after] - gradients[before]
        curvature.newton_step(gradients[before])
        curvature.remember(step, change, gradients[after])
        pairs = [*pairs, (step, change)][-HISTORY:]
        for asked in (gradients[after], gradients[0]):  # the one it has products of, and another one
            expected = two_loops(pairs, asked)
            torch.testing.assert_close(curvature.newton_step(asked), expected, rtol=1e-8, atol=1e-8)


def test_a_pair_without_positive_curvature_is_left_out_and_the_next_one_is_right():
    generator = torch.Generator().manual_seed(1)
    points, gradients = walk(4, torch.diag(torch.arange(1.0, SIZE + 1).double()), generator)
    curvature = Curvature(points[0], HISTORY)
    curvature.remember(points[1] - points[0], gradients[1] - gradients[0], gradients[1])
    curvature.remember(points[2] - points[1], points[1] - points[2], gradients[2])
    assert curvature.num_pairs == 1
    curvature.remember(points[3] - points[2], gradients[3] - gradients[2], gradients[3])
    pairs = [
        (points[1] - points[0], gradients[1] - gradients[0]),
        (points[3] - points[2], gradients[3] - gradients[2]),
    ]
    torch.testing.assert_close(curvature.newton_step(gradients[3]), two_loops(pairs, gradients[3]))


def test_without_pairs_and_after_forgetting_it_is_the_gradient():
    generator = torch.Generator().manual_seed(2)
    points, gradients = walk(2, torch.eye(SIZE, dtype=torch.float64) * 3, generator)
    curvature = Curvature(points[0], HISTORY)
    assert torch.equal(curvature.newton_step(gradients[0]), -gradients[0])
    curvature.remember(points[1] - points[0], gradients[1] - gradients[0], gradients[1])
    curvature.forget()
    assert curvature.num_pairs == 0
    assert torch.equal(curvature.newton_step(gradients[1]), -gradients[1])


def test_many_coordinates_keep_fewer_pairs():
    numbers = LARGEST_MEMORY // 4 // 8  # four pairs of them are as much as is allowed
    assert pairs_kept(torch.empty(1).expand(numbers), 10) == 4
    assert pairs_kept(torch.empty(1).expand(10 * numbers), 10) == FEWEST_PAIRS
    assert pairs_kept(torch.empty(10), 6) == 6
