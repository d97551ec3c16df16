"""The compact form against the two loops over vectors, also in blocks."""

from __future__ import annotations

import pytest
import torch

from graph_metamers.synthesis.blocks import Blocks
from graph_metamers.synthesis.solvers.curvature import FEWEST_PAIRS, LARGEST_MEMORY, Curvature, pairs_kept

SIZE, HISTORY = 20, 4
ALL = torch.tensor([True])


def two_loops(pairs, gradient):
    """Nocedal 1980, on vectors."""
    direction, weights = -gradient, []
    for step, change in reversed(pairs):
        weight = step.dot(direction) / step.dot(change)
        direction = direction - weight * change
        weights.append(weight)
    if pairs:
        step, change = pairs[-1]
        direction = direction * step.dot(change) / change.dot(change)
    for (step, change), weight in zip(pairs, reversed(weights), strict=True):
        direction = direction + (weight - change.dot(direction) / step.dot(change)) * step
    return direction


def walk(number, hessian, generator):
    """Points and gradients of a quadratic."""
    points = torch.randn(number, SIZE, generator=generator, dtype=torch.float64)
    return points, points @ hessian


def remember(curvature, step, before, after, accepted=ALL):
    curvature.remember(step, after, before, torch.stack([step.dot(before)] * len(accepted)), accepted)


def test_the_step_is_that_of_two_loops_also_when_old_pairs_have_gone():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    points, gradients = walk(12, root @ root.T, generator)
    curvature, pairs = Curvature(points[0], HISTORY), []
    for before, after in zip(range(11), range(1, 12), strict=True):
        step, change = points[after] - points[before], gradients[after] - gradients[before]
        remember(curvature, step, gradients[before], gradients[after])
        pairs = [*pairs, (step, change)][-HISTORY:]
        for asked in (gradients[after], gradients[0]):  # the one it has products of, and another one
            expected = two_loops(pairs, asked)
            torch.testing.assert_close(curvature.newton_step(asked), expected, rtol=1e-8, atol=1e-8)


def test_a_pair_without_positive_curvature_is_left_out_and_the_next_one_is_right():
    generator = torch.Generator().manual_seed(1)
    points, gradients = walk(4, torch.diag(torch.arange(1.0, SIZE + 1).double()), generator)
    curvature = Curvature(points[0], HISTORY)
    remember(curvature, points[1] - points[0], gradients[0], gradients[1])
    wrong = gradients[1] - (points[2] - points[1])
    remember(curvature, points[2] - points[1], gradients[1], wrong)
    assert curvature._is_pair.sum() == 1
    remember(curvature, points[3] - points[2], wrong, gradients[3])
    pairs = [
        (points[1] - points[0], gradients[1] - gradients[0]),
        (points[3] - points[2], gradients[3] - wrong),
    ]
    torch.testing.assert_close(curvature.newton_step(gradients[3]), two_loops(pairs, gradients[3]))


def test_without_pairs_and_after_forgetting_it_is_the_gradient():
    generator = torch.Generator().manual_seed(2)
    points, gradients = walk(2, torch.eye(SIZE, dtype=torch.float64) * 3, generator)
    curvature = Curvature(points[0], HISTORY)
    assert torch.equal(curvature.newton_step(gradients[0]), -gradients[0])
    remember(curvature, points[1] - points[0], gradients[0], gradients[1])
    assert curvature.has_pairs.all()
    curvature.forget(ALL)
    assert not curvature.has_pairs.any()
    assert torch.equal(curvature.newton_step(gradients[1]), -gradients[1])


@pytest.mark.parametrize("owners", [[0] * 10 + [1] * 10, [0] * 4 + [1] * 16, [0, 1] * 10])
def test_every_block_has_a_hessian_of_its_own(owners):
    generator = torch.Generator().manual_seed(4)
    blocks, owner = Blocks(2, torch.tensor(owners)), torch.tensor(owners)
    same = (owner[:, None] == owner[None, :]).double()
    root = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    points, gradients = walk(8, same * (root @ root.T) + torch.eye(SIZE), generator)
    curvature, pairs = Curvature(points[0], HISTORY, blocks), [[], []]
    gradient = gradients[0]
    for number in range(1, 8):
        accepted = torch.tensor([True, number % 3 != 0])  # the second block rejects some steps
        taken = blocks.spread(accepted.double()).bool()
        step = torch.where(taken, points[number] - points[number - 1], 0.0)
        after = torch.where(taken, gradient + step @ (same * (root @ root.T) + torch.eye(SIZE)), gradient)
        curvature.remember(step, after, gradient, blocks.dot(step[None], gradient)[0], accepted)
        for block in accepted.nonzero().flatten().tolist():
            pairs[block].append((step, after - gradient))
        gradient = after
        found = curvature.newton_step(gradient)
        for block in range(2):
            mine = owner == block
            kept = [(s[mine], y[mine]) for s, y in pairs[block][-HISTORY:]]
            torch.testing.assert_close(found[mine], two_loops(kept, gradient[mine]), rtol=1e-8, atol=1e-8)


def test_many_coordinates_keep_fewer_pairs():
    numbers = LARGEST_MEMORY // 4 // 8  # four pairs of them are as much as is allowed
    assert pairs_kept(torch.empty(1).expand(numbers), 10) == 4
    assert pairs_kept(torch.empty(1).expand(10 * numbers), 10) == FEWEST_PAIRS
    assert pairs_kept(torch.empty(10), 6) == 6
