"""Projected L-BFGS: few evaluations where the loss is smooth, with or without bounds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_integer
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.synthesis.problem import Evaluation, Problem
    from graph_metamers.synthesis.solvers.search import Search, Solution

SUFFICIENT_DECREASE = 1e-4  # Armijo's constant
SHORTEST_CUT, LONGEST_CUT = 0.1, 0.5  # by which a rejected step is shortened
MAX_CUTS = 15
LEAST_CURVATURE = 1e-10  # of |s||y|: below it a pair would make the model of the Hessian indefinite


class _Pair(NamedTuple):
    step: Tensor
    change: Tensor  # of the gradient
    inverse_curvature: Tensor


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS on the features, projected to their bounds.

    Two-loop recursion (Nocedal 1980) on the coordinates that are not held at a bound, a backtracking
    search along the projected path (Bertsekas 1982), and a restart from the gradient when it fails. The first
    step is the objective over the gradient's squared length, which needs no scale and does not change when
    coordinates are rotated.

    Parameters
    ----------
    history
        Pairs of steps that are remembered. Memory: 2 * history copies of the features.
    """

    history: int = 10
    name: ClassVar[str] = "lbfgs"

    def __post_init__(self) -> None:
        check_integer("history", self.history, low=1)

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """See `Solver.solve`."""
        if not problem.is_smooth:
            raise ParameterError(
                "solver", "'adam' for binary features, whose loss has no slope to search along", self.name
            )
        bounds = problem.bounds
        point = start.detach().clone()
        pairs: deque[_Pair] = deque(maxlen=self.history)
        evaluation, gradient = _evaluate(problem, point, search)
        while True:
            status = search.record(point, evaluation.loss.item())
            if status is None and not bool(gradient.isfinite().all()):
                status = Status.NON_FINITE
            if status is not None:
                return search.finish(status, point)
            direction = _direction(point, gradient, pairs, bounds)
            first = 1.0 if pairs else _first_step(evaluation.objective, direction)
            accepted = _line_search(problem, search, point, evaluation, gradient, direction, first)
            if accepted is None:
                if not pairs or search.steps_left <= 0:
                    ended = Status.MAX_STEPS if search.steps_left <= 0 else Status.STALLED
                    return search.finish(ended, point)
                pairs.clear()
                continue
            new_point, evaluation, new_gradient = accepted
            _remember(pairs, new_point - point, new_gradient - gradient)
            point, gradient = new_point, new_gradient


def _evaluate(problem: Problem, point: Tensor, search: Search) -> tuple[Evaluation, Tensor]:
    leaf = point.detach().requires_grad_()
    evaluation = problem.evaluate(leaf)
    search.steps += 1
    return evaluation, torch.autograd.grad(evaluation.objective, leaf)[0]


def _direction(
    point: Tensor, gradient: Tensor, pairs: deque[_Pair], bounds: tuple[Tensor, Tensor] | None
) -> Tensor:
    """Minus the approximate inverse Hessian times the gradient, on the coordinates that can move; [p]."""
    if bounds is None:
        free_gradient = gradient
    else:
        low, high = bounds
        held = ((point <= low) & (gradient > 0)) | ((point >= high) & (gradient < 0))
        free_gradient = gradient.masked_fill(held, 0.0)
    direction = -free_gradient
    weights = []
    for pair in reversed(pairs):
        weight = pair.inverse_curvature * pair.step.dot(direction)
        direction.addcmul_(pair.change, weight, value=-1)
        weights.append(weight)
    if pairs:
        last = pairs[-1]
        direction /= last.inverse_curvature * last.change.dot(last.change)
    for pair, weight in zip(pairs, reversed(weights), strict=True):
        correction = pair.inverse_curvature * pair.change.dot(direction)
        direction.addcmul_(pair.step, weight - correction)
    if bounds is not None:
        direction = direction.masked_fill(held, 0.0)
    descends = bool(direction.dot(free_gradient) < 0)
    return direction if descends else -free_gradient


def _first_step(objective: Tensor, direction: Tensor) -> float:
    squared = float(direction.dot(direction))
    return float(objective.detach()) / squared if squared > 0 else 0.0


def _line_search(
    problem: Problem,
    search: Search,
    point: Tensor,
    evaluation: Evaluation,
    gradient: Tensor,
    direction: Tensor,
    length: float,
) -> tuple[Tensor, Evaluation, Tensor] | None:
    """The first sufficiently lower point on the projected path, or `None` if there is none in the budget."""
    value = float(evaluation.objective.detach())
    for _ in range(MAX_CUTS):
        if search.steps_left <= 0:
            return None
        candidate = problem.project(point + length * direction)
        slope = float(gradient.dot(candidate - point))
        if slope >= 0:
            return None
        new_evaluation, new_gradient = _evaluate(problem, candidate, search)
        new_value = float(new_evaluation.objective.detach())
        descends = new_value <= value + SUFFICIENT_DECREASE * slope
        if descends or not bool(new_gradient.isfinite().all()):  # the caller says what is wrong
            return candidate, new_evaluation, new_gradient
        length *= _cut(value, slope, new_value)
    return None


def _cut(value: float, slope: float, new_value: float) -> float:
    """Where the parabola through both values and the slope has its minimum, kept within limits."""
    curvature = 2 * (new_value - value - slope)
    best = -slope / curvature if curvature > 0 else SHORTEST_CUT  # also where new_value is not finite
    return min(max(best, SHORTEST_CUT), LONGEST_CUT)


def _remember(pairs: deque[_Pair], step: Tensor, change: Tensor) -> None:
    curvature = step.dot(change)
    if bool(curvature > LEAST_CURVATURE * step.norm() * change.norm()):
        pairs.append(_Pair(step, change, 1 / curvature))
