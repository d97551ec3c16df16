"""Farthest: once the loss is met, go on for distance, and keep the loss under the tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch

from graph_metamers.inputs.coordinates import FeaturesThrough
from graph_metamers.synthesis.problem import Evaluation, Problem
from graph_metamers.synthesis.replaying import verified_tape
from graph_metamers.synthesis.solvers.lbfgs import LBFGS
from graph_metamers.synthesis.solvers.search import Search, SearchProgress, Solution
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from graph_metamers.synthesis.solvers.search import Solver

ROUNDING = 0.99  # of the tolerance: up to here a point counts, so that the unmodified model agrees
AIM = 0.98  # of the tolerance: multipliers approach what they aim at from both sides
LEG = 50  # evaluations between two updates of the multiplier
WAY_BACK = 15  # evaluations at the most, to match again from where a leg ended beyond the tolerance
LEGS_BETWEEN_WALKS = 2
FIRST_WEIGHT = 0.01  # distance first, loss later: ten times more stayed near the first match when measured
FIRST_MULTIPLIER = (
    0.03  # it came to 0.04 to 0.06 on digits; from 0 the first legs end far beyond the tolerance
)
GROWTH_OF_WEIGHT = 2.0
ENOUGH = 0.5  # of the last violation: a leg that leaves more makes the weight grow
STALL_WINDOW = 100  # evaluations
STALL_GROWTH = 0.01  # relative


@dataclass(frozen=True)
class Farthest:
    """Match, then walk as far from the reference as the tolerance allows.

    The first phase is the search of another solver. From the point that it found, the second one lowers
    -||X' - X||_F^2 subject to loss <= tolerance and to the bounds by an augmented Lagrangian (Hestenes 1969,
    Powell 1969; for inequalities Rockafellar 1973), in legs of projected L-BFGS. A leg that ends beyond the
    tolerance is followed by a few steps back to it, and what these find counts. Where it is known what the
    model does not read, a walk in there starts every other leg (`FeaturesThrough.farther_point`): it gains
    much distance and costs no evaluation. Not from the first leg on, since features that stand at their
    bounds leave less room in the directions that the model reads. The problem is not convex (its optima are
    corners): the result is far, not proved to be the farthest there is. *Ours.*

    Parameters
    ----------
    matcher
        The solver of the first phase. If it does not meet the loss, its result is the result.

    Notes
    -----
    Evaluations of both phases count for one budget. The second ends with the budget, or when the distance
    has grown by less than 1% in 100 evaluations. Memory is that of L-BFGS on all features.
    """

    matcher: Solver

    @property
    def name(self) -> str:
        """Name of the matcher: farthest is an objective."""
        return self.matcher.name

    def memory(self, point: Tensor) -> int:
        """See `Solver.memory`."""
        return max(self.matcher.memory(point), LBFGS().memory(point))

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """See `Solver.solve`."""
        found = self.matcher.solve(problem, start, search)
        far = FartherSearch(problem, found, search)
        most = problem.variables.largest_squared_distance()
        aim = AIM * search.tolerance
        if found.status is not Status.CONVERGED or far.chance <= 0 or most <= 0 or aim <= 0:
            return found
        point, weight, multiplier, violation = found.point, FIRST_WEIGHT, FIRST_MULTIPLIER, math.inf
        legs, plain = 0, with_plain_tape(problem, point, start)
        while far.goes_on:
            if legs and legs % LEGS_BETWEEN_WALKS == 0 and isinstance(problem.searched, FeaturesThrough):
                point = problem.searched.farther_point(far.farthest)
            stretched = StretchedProblem.of(plain, most, aim, weight, multiplier)
            far.begin_leg(LEG)
            point = LBFGS().solve(stretched, point, far).point
            excess = far.loss / aim - 1
            if not far.is_matched and far.goes_on:
                # What this finds is recorded. The next leg starts where this one ended, which is farther.
                far.begin_leg(WAY_BACK, until_matched=True)
                LBFGS().solve(problem, point, far)
            multiplier = max(0.0, multiplier + weight * excess)
            if abs(excess) > ENOUGH * violation:
                weight *= GROWTH_OF_WEIGHT
            violation = abs(excess)
            legs += 1
        return far.result()


@dataclass(frozen=True, eq=False)
class StretchedProblem(Problem):
    """A problem whose objective is to be far, with a price on loss beyond what is aimed at.

    With s = ||X' - X||_F^2 / most and v = loss / aim - 1 it is 1 - s + w/2 max(0, v + m/w)^2: never negative,
    as the first step of L-BFGS needs it. The loss is the plain one, without the term for dead units: a
    unit that is off may stay off if the tolerance has room for it.

    Attributes
    ----------
    most
        Largest squared distance inside the bounds.
    aim
        Loss that is aimed at.
    weight, multiplier
        w and m.
    """

    most: float = 1.0
    aim: float = 1.0
    weight: float = 1.0
    multiplier: float = 0.0

    @classmethod
    def of(
        cls, problem: Problem, most: float, aim: float, weight: float, multiplier: float
    ) -> StretchedProblem:
        """The same model, targets and space."""
        same = {field.name: getattr(problem, field.name) for field in fields(Problem)}
        return cls(**same, most=most, aim=aim, weight=weight, multiplier=multiplier)

    def evaluate(self, point: Tensor) -> Evaluation:
        """Objective, plain loss and the objective's gradient at a point, [p]."""
        loss, slope = self.tape(point) if self.tape is not None else plain_loss(self, point)
        with torch.enable_grad():
            leaf = point.detach().requires_grad_()
            short = 1 - self.variables.squared_distance(leaf) / self.most
            (gradient,) = torch.autograd.grad(short, leaf)
        beyond = (loss / self.aim - 1 + self.multiplier / self.weight).clamp(min=0)
        objective = short.detach() + self.weight / 2 * beyond.square()
        return Evaluation(objective, loss, gradient.add_(slope * (self.weight * beyond / self.aim)))


def plain_loss(problem: Problem, point: Tensor) -> tuple[Tensor, Tensor]:
    """The activation loss at a point, [p], without anything added, and its gradient, [p]."""
    with torch.enable_grad():
        leaf = point.detach().requires_grad_()
        loss = problem.loss_of(problem.inputs_of(problem.variables.relaxed_features(leaf)))
        (slope,) = torch.autograd.grad(loss, leaf)
    return loss.detach(), slope


def with_plain_tape(problem: Problem, point: Tensor, other: Tensor) -> Problem:
    """The problem with a tape of `plain_loss`, verified between two points, [p] each; none if refused."""
    tape = verified_tape(
        lambda where: plain_loss(problem, where), point.detach(), (point + other).detach() / 2
    )
    return replace(problem, tape=None if isinstance(tape, str) else tape)


class FartherSearch(Search):
    """The record of a second phase: the farthest point so far that meets the loss, and when to stop.

    Parameters
    ----------
    problem
        Whose points.
    found
        Where the first phase ended.
    search
        Its record: evaluations, time and trace go on.
    """

    def __init__(self, problem: Problem, found: Solution, search: Search) -> None:
        super().__init__(search.budget, search.tolerance, search.notify)
        self.steps, self._started = search.steps, search._started
        self._trace = list(found.trace)
        self._variables, self._found = problem.variables, found
        self.chance = problem.variables.chance_distance()
        self.loss = found.loss
        self._leg_ends, self._until_matched = 0, False
        self.farthest, self._farthest_loss = found.point, found.loss
        self._distance = self._distance_of(found.point)
        self._distances = [(self.steps, self._distance)]
        self._milestone = (self.steps, self._distance)
        self._is_finite = True

    def begin_leg(self, evaluations: int, *, until_matched: bool = False) -> None:
        """Let a solver spend so many evaluations, or fewer if it is to stop at the tolerance."""
        self._leg_ends, self._until_matched = self.steps + evaluations, until_matched

    @property
    def is_matched(self) -> bool:
        """Whether the last point that was recorded counts as matched."""
        return self.loss <= ROUNDING * self.tolerance

    @property
    def goes_on(self) -> bool:
        """Whether another leg may begin."""
        # Before the first gain the price of loss is still being found: with wide bounds that takes long.
        stalled = len(self._distances) > 1 and self.steps - self._milestone[0] >= STALL_WINDOW
        return self._is_finite and not stalled and not self.is_late and self.steps < self.budget.steps

    @property
    def steps_left(self) -> int:
        """Evaluations that this leg may still spend."""
        return min(self._leg_ends, self.budget.steps) - self.steps

    def record(self, point: Tensor | Callable[[], Tensor], loss: float) -> Status | None:
        """Note a point and its loss at the present step; a status says that the leg is over."""
        point = point() if callable(point) else point
        self.loss = loss
        self._trace.append((self.steps, loss))
        self._is_finite = math.isfinite(loss)
        if self.is_matched and (distance := self._distance_of(point)) > self._distance:
            self.farthest, self._farthest_loss, self._distance = point.detach().clone(), loss, distance
            self._distances.append((self.steps, distance))
            if distance > self._milestone[1] * (1 + STALL_GROWTH):
                self._milestone = (self.steps, distance)
        self.notify(
            SearchProgress(self.steps, self.budget.steps, loss, self._farthest_loss, distance=self._distance)
        )
        if not self._is_finite:
            return Status.NON_FINITE
        if self._until_matched and self.is_matched:
            return Status.CONVERGED
        return Status.MAX_STEPS if self.steps_left <= 0 or not self.goes_on else None

    def unmet(self, losses: Tensor) -> Tensor:
        """All: a leg goes on inside the tolerance."""
        return torch.ones_like(losses, dtype=torch.bool)

    def is_slow(self, losses: Tensor, limit: float) -> bool:  # noqa: ARG002 (as in `Search`)
        """False: a leg starts where the last one ended."""
        return False

    def finish(self, status: Status, last_point: Tensor) -> Solution:
        """How a leg ended: its last point, from which the next one goes on."""
        return Solution(last_point.detach(), self.loss, status, self.steps, ())

    def result(self) -> Solution:
        """The farthest point; the loss was met, whatever the second phase did."""
        return Solution(
            self.farthest,
            self._farthest_loss,
            Status.CONVERGED,
            self.steps,
            tuple(self._trace),
            tuple(self._distances),
            self._found.point,
        )

    def _distance_of(self, point: Tensor) -> float:
        squared = float(self._variables.squared_distance(point.detach()))
        return math.sqrt(squared) / self.chance if self.chance > 0 else 0.0
