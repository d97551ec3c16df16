"""Projected L-BFGS: few evaluations where the loss is smooth, with or without bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_integer
from graph_metamers.synthesis.solvers.curvature import Curvature, pairs_kept
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.synthesis.problem import Evaluation, Problem
    from graph_metamers.synthesis.solvers.search import Search, Solution

SUFFICIENT_DECREASE = 1e-4  # Armijo's constant
SHORTEST_CUT, LONGEST_CUT = 0.1, 0.5  # by which a rejected step is shortened
MAX_CUTS = 15
OTHER_COPIES = 8  # of the point: itself, its best, the next, the step, two gradients, their change, direction


class _Accepted(NamedTuple):
    point: Tensor
    evaluation: Evaluation
    step: Tensor


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS on the features, projected to their bounds.

    The recursion of Nocedal 1980 on the coordinates that are not held at a bound, a backtracking search along
    the projected path (Bertsekas 1982), and a restart from the gradient when it fails. The first step is
    the objective over the gradient's squared length, which needs no scale and does not change when
    coordinates are rotated.

    Parameters
    ----------
    history
        Pairs of steps that are remembered. Memory: 2 * history + 6 copies of the features; fewer pairs
        are kept where that would be more than `curvature.LARGEST_MEMORY` (2 GiB), but at least 3.
    """

    history: int = 4
    name: ClassVar[str] = "lbfgs"

    def __post_init__(self) -> None:
        check_integer("history", self.history, low=1)

    def memory(self, point: Tensor) -> int:
        """See `Solver.memory`."""
        return (2 * pairs_kept(point, self.history) + OTHER_COPIES) * point.numel() * point.element_size()

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """See `Solver.solve`."""
        if not problem.is_smooth:
            raise ParameterError(
                "solver", "'adam' for binary features, whose loss has no slope to search along", self.name
            )
        bounds = problem.bounds
        point = start.detach().clone()
        curvature = Curvature(point, self.history)
        evaluation = _evaluate(problem, point, search)
        while True:
            status = search.record(point, evaluation.loss.item())
            if status is not None:
                return search.finish(status, point)
            direction, slope = _direction(point, evaluation.gradient, curvature, bounds)
            if not math.isfinite(slope):
                return search.finish(Status.NON_FINITE, point)
            first = 1.0 if curvature.num_pairs else _first_step(evaluation.objective, slope)
            accepted = _line_search(problem, search, point, evaluation, direction, first)
            if accepted is None:
                if not curvature.num_pairs or search.steps_left <= 0:
                    ended = Status.MAX_STEPS if search.steps_left <= 0 else Status.STALLED
                    return search.finish(ended, point)
                curvature.forget()
                continue
            gradient = accepted.evaluation.gradient
            curvature.remember(accepted.step, gradient - evaluation.gradient, gradient)
            point, evaluation = accepted.point, accepted.evaluation


def _evaluate(problem: Problem, point: Tensor, search: Search) -> Evaluation:
    search.steps += 1
    return problem.evaluate(point)


def _direction(
    point: Tensor, gradient: Tensor, curvature: Curvature, bounds: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, float]:
    """Minus the inverse Hessian times the gradient, on the coordinates that can move, [p]; its slope."""
    if bounds is None:
        direction = curvature.newton_step(gradient)
        slope = float(direction.dot(gradient))
        return (direction, slope) if slope < 0 else (-gradient, -float(gradient.dot(gradient)))
    low, high = bounds
    held = ((point <= low) & (gradient > 0)) | ((point >= high) & (gradient < 0))
    free = gradient.masked_fill(held, 0.0)
    direction = curvature.newton_step(free).masked_fill_(held, 0.0)
    slope = float(direction.dot(free))
    return (direction, slope) if slope < 0 else (-free, -float(free.dot(free)))


def _first_step(objective: Tensor, slope: float) -> float:
    return float(objective) / -slope if slope < 0 else 0.0


def _line_search(
    problem: Problem,
    search: Search,
    point: Tensor,
    evaluation: Evaluation,
    direction: Tensor,
    length: float,
) -> _Accepted | None:
    """The first sufficiently lower point on the projected path, or `None` if there is none in the budget."""
    value = float(evaluation.objective)
    for _ in range(MAX_CUTS):
        if search.steps_left <= 0:
            return None
        candidate = problem.project(torch.add(point, direction, alpha=length))
        step = candidate - point
        slope = float(evaluation.gradient.dot(step))
        if slope >= 0:
            return None
        new = _evaluate(problem, candidate, search)
        new_value = float(new.objective)
        if new_value <= value + SUFFICIENT_DECREASE * slope or not math.isfinite(new_value):
            return _Accepted(candidate, new, step)  # the caller says what is wrong with what is not finite
        length *= _cut(value, slope, new_value)
    return None


def _cut(value: float, slope: float, new_value: float) -> float:
    """Where the parabola through both values and the slope has its minimum, kept within limits."""
    curvature = 2 * (new_value - value - slope)
    best = -slope / curvature if curvature > 0 else SHORTEST_CUT
    return min(max(best, SHORTEST_CUT), LONGEST_CUT)
