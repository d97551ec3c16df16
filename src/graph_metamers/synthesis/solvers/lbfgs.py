"""L-BFGS with bounds: the default where the loss has a slope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_integer
from graph_metamers.synthesis.problem import Evaluation
from graph_metamers.synthesis.solvers.curvature import Curvature, pairs_kept
from graph_metamers.synthesis.solvers.reopening import DETOUR, PATIENCE, SLOW_LOSS, Leg, opened
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Search, Solution

SUFFICIENT_DECREASE = 1e-4  # Armijo's constant
SHORTEST_CUT, LONGEST_CUT = 0.1, 0.5  # by which a rejected step is shortened
MAX_CUTS = 15
OTHER_COPIES = 8  # of the point: itself, its best, the next, the step, two gradients, their change, direction
SLOW = (None, Status.STALLED)  # how a search may be after its first evaluations and yet begin anew
EVALUATIONS_BETWEEN_READINGS = {"cpu": 1}
"""By type of device. Elsewhere it is 10: to read a loss is to wait for the device."""


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS on the features, projected to their bounds, in every block of the point on its own.

    The recursion of Nocedal 1980 on the coordinates that are not held at a bound, a backtracking search along
    the projected path (Bertsekas 1982), and a restart from the gradient when it fails. The first step is
    the objective over the gradient's squared length, which needs no scale and does not change when
    coordinates are rotated. Where a problem falls apart (`Problem.blocks`), each block has its own
    curvature and its own length of step; one that is done waits for the others. A search that is slow from
    the start because rectifiers inside the model have closed begins anew with open ones (`reopening`).

    Parameters
    ----------
    history
        Pairs of steps that are remembered. Memory: 2 * history + 8 copies of the features; fewer pairs
        are kept where that would be more than `curvature.LARGEST_MEMORY` (2 GiB), but at least 2.

    Notes
    -----
    On a GPU nothing is read but every tenth loss; decisions are taken there, block by block.
    """

    history: int = 2
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
        walk = self._begun(problem, start, search)
        status = walk.go(PATIENCE - 1)  # one is spent already
        point = self._through_open_units(problem, start, search, walk) if status in SLOW else None
        if point is not None:
            status, walk = None, self._begun(problem, point, search)
        return search.finish(status or walk.go_to_the_end(), walk.point)

    def _through_open_units(
        self, problem: Problem, start: Tensor, search: Search, walk: _Walk
    ) -> Tensor | None:
        """Where a search that is slow begins anew, [p]; `None` if it is not, or there is nothing to open."""
        if search.steps_left <= DETOUR or not search.is_slow(walk.losses, SLOW_LOSS):
            return None
        easier = opened(problem, start)
        if not easier:
            return None
        search.begin_anew()
        point = start
        for one in easier:
            leg = Leg(search)
            self._begun(one, point, leg).go_to_the_end()
            search.steps += leg.steps
            if leg.best_point is not None:  # there is none where the loss was never finite
                point = leg.best_point
            if search.is_late:
                break
        return point

    def _begun(self, problem: Problem, start: Tensor, search: Search) -> _Walk:
        point = start.detach().clone()
        return _Walk(problem, search, point, Curvature(point, self.history, problem.blocks))


class _Walk:
    """Where a search is, in every block; an evaluation takes it a step farther, or shortens the step.

    Attributes
    ----------
    point
        [p].
    losses
        The activation loss of every block, [B].
    going
        Blocks that are neither done nor stuck, bool [B].
    lost
        Blocks whose gradient is not finite, bool [B].
    """

    def __init__(self, problem: Problem, search: Search, point: Tensor, curvature: Curvature) -> None:
        self._problem, self._search, self._curvature = problem, search, curvature
        self._blocks, self._bounds = problem.blocks, problem.bounds
        self.point = point
        self._objectives, self.losses, self._gradient = self._evaluated(point)
        self._ones = torch.ones_like(self.losses)
        self._lengths, self._cuts = self._ones, 0 * self._ones
        every = self._ones.bool()
        self._stuck = ~every
        self._direction, self._slopes = self._gradient, self._ones
        self._is_new = True  # the point is another one than at the last record
        self._turn(every)

    def go(self, evaluations: int) -> Status | None:
        """Go on until the search is over, or for so many evaluations, which is told by `None`."""
        between = EVALUATIONS_BETWEEN_READINGS.get(self.point.device.type, 10)
        search, ends = self._search, self._search.steps + evaluations
        while True:
            status = search.record_blocks(self.kept(), self.losses) if self._is_new else None
            self._is_new = False
            search.note_ends(self._stuck, self.lost)
            if status is None and search.steps_left <= 0:
                status = Status.MAX_STEPS
            if status is None and not bool(self.going.any()):
                status = Status.NON_FINITE if bool(self.lost.any()) else Status.STALLED
            left = min(search.steps_left, ends - search.steps)
            if status is not None or left <= 0:
                return status
            self._is_new = sum(self.step() for _ in range(min(between, left))) > 0

    def go_to_the_end(self) -> Status:
        """Go on until the search is over."""
        while (status := self.go(self._search.budget.steps)) is None:
            pass
        return status

    def kept(self) -> Callable[[], Tensor]:
        """Gives the present point, [p], later too: points are not changed in place, so none is copied."""
        point = self.point
        return lambda: point

    def step(self) -> bool:
        """Try a step in every block that is going; whether one may have moved."""
        lengths = self._lengths * self.going
        step, slopes = self._blocks.scaled(self._direction, lengths), self._slopes * lengths
        candidate = self.point + step
        if self._bounds is not None:
            candidate = self._problem.project(candidate)
            step = candidate - self.point
            slopes = self._blocks.dot(step.unsqueeze(0), self._gradient)[0]
        new = self._evaluated(candidate)
        allowed = torch.add(self._objectives, slopes, alpha=SUFFICIENT_DECREASE)
        # What is no number is taken, so that the record says it.
        accepted = self.going & (slopes < 0) & ~(new.objective > allowed)
        rejected = self.going ^ accepted
        fresh, has_moved = accepted, _may_be_any(accepted)
        if _may_be_any(rejected):
            fresh = accepted | self._shorten(rejected, slopes, new.objective)
        if has_moved:
            self._move(accepted, candidate, new, step, slopes)
        if has_moved or _may_be_any(fresh):
            self._turn(fresh)
        return has_moved

    def _shorten(self, rejected: Tensor, slopes: Tensor, values: Tensor) -> Tensor:
        """Shorten rejected steps; the blocks in which that is of no use go back to the gradient, bool [B]."""
        cut = _cuts(self._objectives, slopes, values)
        self._lengths = torch.where(rejected, self._lengths * cut, self._lengths)
        self._cuts = torch.where(rejected, self._cuts + 1, self._cuts)
        failed = rejected & ((slopes >= 0) | (self._cuts >= MAX_CUTS))
        self._stuck = self._stuck | (failed & self._is_plain)
        self._curvature.forget(failed)
        return failed

    def _move(
        self, accepted: Tensor, candidate: Tensor, new: Evaluation, step: Tensor, slopes: Tensor
    ) -> None:
        before, chosen = self._gradient, self._blocks.chosen
        self.point = chosen(accepted, candidate, self.point)
        self._gradient = chosen(accepted, new.gradient, before)
        self.losses = torch.where(accepted, new.loss, self.losses)
        self._objectives = torch.where(accepted, new.objective, self._objectives)
        self._curvature.remember(step, self._gradient, before, slopes, accepted)

    def _turn(self, fresh: Tensor) -> None:
        """Take a new direction; in fresh blocks, bool [B], also a new length."""
        gradient = self._gradient
        if self._bounds is not None:
            low, high = self._bounds
            held = ((self.point <= low) & (gradient > 0)) | ((self.point >= high) & (gradient < 0))
            gradient = gradient.masked_fill(held, 0.0)
        direction = self._curvature.newton_step(gradient)
        if self._bounds is not None:
            direction.masked_fill_(held, 0.0)
        slopes = self._blocks.dot(direction.unsqueeze(0), gradient)[0]
        uphill, lengths = ~(slopes < 0), self._ones
        self._is_plain = uphill | ~self._curvature.has_pairs  # no pair has turned the direction
        if _may_be_any(self._is_plain):
            direction = self._blocks.chosen(uphill, -gradient, direction)
            slopes = self._blocks.dot(direction.unsqueeze(0), gradient)[0]
            lengths = torch.where(self._is_plain, (self._objectives / -slopes).nan_to_num(0.0, 0.0, 0.0), 1.0)
        # A block that shortens its step keeps its direction.
        self._direction = self._blocks.chosen(fresh, direction, self._direction)
        self._slopes = torch.where(fresh, slopes, self._slopes)
        self._lengths = torch.where(fresh, lengths, self._lengths)
        self._cuts = torch.where(fresh, 0.0, self._cuts)
        self.lost = ~slopes.isfinite()
        self.going = self._search.unmet(self.losses) & ~(self._stuck | self.lost)

    def _evaluated(self, point: Tensor) -> Evaluation:
        self._search.steps += 1
        objective, loss, gradient = self._problem.evaluate(point)
        return Evaluation(objective.reshape(-1), loss.reshape(-1), gradient)


def _may_be_any(mask: Tensor) -> bool:
    """Whether a mask is true somewhere, or may be: a device is not waited for."""
    return mask.device.type != "cpu" or bool(mask.any())


def _cuts(values: Tensor, slopes: Tensor, new_values: Tensor) -> Tensor:
    """Where the parabola through both values and the slope has its minimum, kept within limits, [B]."""
    curvature = 2 * (new_values - values - slopes)
    best = torch.where(curvature > 0, -slopes / curvature, SHORTEST_CUT)
    return best.nan_to_num(SHORTEST_CUT).clamp(SHORTEST_CUT, LONGEST_CUT)
