"""No search at all: keep what the model reads of the features, and replace everything else by noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Search, Solution

COPIES = 6  # of the point, while the box and the null space take turns


@dataclass(frozen=True)
class NullSpace:
    """The exact null-space metamer: X Q of the reference, noise outside (ours).

    All layers are matched at once, in one evaluation; n (F - r) numbers are free. With bounds, a point of
    both the null space and the box, near the noise, is approached by alternating projections, and its loss is
    reported as it is. A reminder that much invariance is counting dimensions, and a baseline: what it
    finds is of kind "null space".

    Notes
    -----
    Needs features that enter the model only through linear maps of fewer dimensions than there are features.
    """

    name: ClassVar[str] = "null_space"

    def memory(self, point: Tensor) -> int:
        """See `Solver.memory`."""
        return COPIES * point.numel() * point.element_size()

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """See `Solver.solve`."""
        if problem.searched is None:
            raise ModelError(
                "solver 'null_space' needs a model that reads features only through linear maps of fewer "
                f"dimensions than there are; here {problem.refusal}. Choose solver='auto'"
            )
        if not problem.is_smooth:
            raise ParameterError(
                "solver", "one for binary features, such as 'auto': noise outside is not binary", self.name
            )
        point = problem.searched.matched_point(start)
        evaluation = problem.evaluate(point)
        search.steps += 1
        return search.finish(search.record(point, evaluation.loss.item()) or Status.STALLED, point)
