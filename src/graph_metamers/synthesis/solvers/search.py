"""What every solver shares: the record of a search, its stop rules, and what it returns."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from graph_metamers.synthesis.budget import Budget
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.types import Json

STALL_WINDOW = 300  # evaluations
STALL_DECREASE = 0.01  # relative: an absolute plateau would call a stuck search converged


@dataclass(frozen=True)
class SearchProgress:
    """What a callback is told during a search.

    Attributes
    ----------
    step, steps
        Evaluations done and allowed.
    loss, best_loss
        Activation loss now and at best so far.
    distance
        Once the loss is met and the search goes on for distance (`objective="farthest"`): the largest
        chance-scaled input distance so far at which it is met. Before, and else, `None`.
    """

    step: int
    steps: int
    loss: float
    best_loss: float
    distance: float | None = None


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver found.

    Attributes
    ----------
    point
        The best point seen, [p]; of `objective="farthest"` the farthest one that meets the loss.
    loss
        Its activation loss as the search saw it.
    status
        Why the search stopped; `CONVERGED` here only means that the loss was met.
    steps
        Evaluations spent.
    trace
        (step, loss) pairs of the search.
    distance_trace
        (step, scaled distance) pairs of a search for distance, each farther than the one before.
    matched_point
        Of such a search: where the loss was first met, [p], to come back to should rounding have taken the
        farthest point over the tolerance; else `None`.
    findings
        What a solver has to say beside the point; goes into the record.
    """

    point: Tensor
    loss: float
    status: Status
    steps: int
    trace: tuple[tuple[int, float], ...]
    distance_trace: tuple[tuple[int, float], ...] = ()
    matched_point: Tensor | None = None
    findings: Mapping[str, Json] = field(default_factory=dict)


class Solver(Protocol):
    """Lowers a problem's objective. A solver is one file and one line in the registry."""

    @property
    def name(self) -> str:
        """Name in the registry."""

    def memory(self, point: Tensor) -> int:
        """Bytes that it needs for a point, [p], beside what the model needs; about."""

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """Search from `start`, [p], until `search` says stop."""


class Search:
    """The record of one search: the best point so far, the trace, and when to stop.

    Parameters
    ----------
    budget
        What may be spent.
    tolerance
        Activation loss at which the search is done.
    notify
        Called with a `SearchProgress` at every record.
    seed
        Of what a solver draws, where its start does not say it.
    """

    def __init__(
        self,
        budget: Budget,
        tolerance: float,
        notify: Callable[[SearchProgress], None],
        *,
        seed: int = 0,
    ) -> None:
        self.steps = 0
        self.seed = seed
        self.budget = budget
        self.tolerance = tolerance
        self.notify = notify
        self._started = time.monotonic()
        self._best_point: Tensor | Callable[[], Tensor] | None = None
        self._best_loss = math.inf
        self._trace: list[tuple[int, float]] = []
        self._milestone = (0, math.inf)  # step and loss of the last real decrease

    @property
    def steps_left(self) -> int:
        """Evaluations that may still be spent."""
        return self.budget.steps - self.steps

    @property
    def seconds_left(self) -> float | None:
        """Until the time limit; `None` without one."""
        limit = self.budget.seconds
        return None if limit is None else max(1e-3, limit - (time.monotonic() - self._started))

    @property
    def is_late(self) -> bool:
        """Whether the time limit is over."""
        limit = self.budget.seconds
        return limit is not None and time.monotonic() - self._started > limit

    @property
    def best_point(self) -> Tensor | None:
        """The point of the lowest loss that was recorded, [p]; `None` before the first record."""
        best = self._best_point
        return best() if callable(best) else best

    @property
    def best_loss(self) -> float:
        """The lowest loss that was recorded; infinite before the first record."""
        return self._best_loss

    def record(self, point: Tensor | Callable[[], Tensor], loss: float) -> Status | None:
        """Note a point and its loss at the present step; a status says that the search has to stop.

        The point, [p], or what gives it, where that costs much: called at the end, if no other was better.
        """
        self._trace.append((self.steps, loss))
        if loss < self._best_loss:
            self._best_loss = loss
            self._best_point = point if callable(point) else point.detach().clone()
        if loss < self._milestone[1] * (1 - STALL_DECREASE):
            self._milestone = (self.steps, loss)
        self.notify(SearchProgress(self.steps, self.budget.steps, loss, self._best_loss))
        return self._verdict(loss)

    def record_blocks(self, point: Callable[[], Tensor], losses: Tensor) -> Status | None:
        """The same for a point in blocks, each with its share of the loss, [B]: they are one search."""
        return self.record(point, float(losses.sum()))

    def unmet(self, losses: Tensor) -> Tensor:
        """Blocks that have to go on, bool [B], given the loss of each; nothing is read by the host."""
        return (losses.sum() > self.tolerance).expand(len(losses))

    def note_ends(self, stuck: Tensor, lost: Tensor) -> None:
        """Note blocks that cannot go on, bool [B] each; one search goes on as long as one block does."""

    def is_slow(self, losses: Tensor, limit: float) -> bool:
        """Whether a search that has come so far, [B], may begin anew: its loss is above a limit."""
        return float(losses.sum()) > limit

    def begin_anew(self) -> None:
        """Note that the search begins anew."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be spent, or nothing more is to be gained."""
        return self.is_late or self.steps_left <= 0 or self._best_loss <= self.tolerance

    def finish(self, status: Status, last_point: Tensor) -> Solution:
        """The solution: the best point that was recorded."""
        best = self.best_point
        point = last_point.detach().clone() if best is None else best
        return Solution(point, self._best_loss, status, self.steps, tuple(self._trace))

    def _verdict(self, loss: float) -> Status | None:
        if not math.isfinite(loss):
            return Status.NON_FINITE
        if loss <= self.tolerance:
            return Status.CONVERGED
        if self.steps >= self.budget.steps:
            return Status.MAX_STEPS
        if self.is_late:
            return Status.TIME_LIMIT
        if self.steps - self._milestone[0] >= STALL_WINDOW:
            return Status.STALLED
        return None


class PartOfSearch(Search):
    """A stage of a search, with a budget and stop rules of its own; its records go into the whole.

    Parameters
    ----------
    whole
        The search.
    steps
        Evaluations that the stage may spend.
    lift
        From a point of the stage to one of the whole; default: the same.
    """

    def __init__(
        self, whole: Search, steps: int, lift: Callable[[Tensor], Tensor] = lambda point: point
    ) -> None:
        budget = replace(whole.budget, steps=max(1, min(steps, whole.steps_left)))
        super().__init__(budget, whole.tolerance, lambda _progress: None, seed=whole.seed)
        self._whole, self._lift, self._spent_before = whole, lift, whole.steps

    @property
    def seconds_left(self) -> float | None:
        """Until the time limit of the whole; `None` without one."""
        return self._whole.seconds_left

    @property
    def is_late(self) -> bool:
        """Whether the time limit of the whole is over."""
        return self._whole.is_late

    def record(self, point: Tensor | Callable[[], Tensor], loss: float) -> Status | None:
        """Note a point in the stage and in the whole; the whole may say that everything has to stop."""
        status = super().record(point, loss)
        self._whole.steps = self._spent_before + self.steps
        if not callable(point):
            point = point.detach().clone()
        lifted = self._lift
        whole = self._whole.record(lambda: lifted(point() if callable(point) else point), loss)
        return status if whole in (None, Status.STALLED) else whole
