"""Adam on the input, projected after every step: the way of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from graph_metamers.parameters import check_real

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Search, Solution

COPIES = 6  # of the point: itself, its best, gradient, two moments, and one while it moves
RECORD_EVERY = 10  # steps; reading the loss waits for the device


@dataclass(frozen=True)
class Adam:
    """Adam with a projection after every step (arXiv 2510.17378, section 2).

    Parameters
    ----------
    learning_rate
        Step size, in units of the features (of the logits for binary features).

    Notes
    -----
    Costs one forward and one backward pass a step, and memory for six copies of the features.
    """

    learning_rate: float = 0.01
    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        check_real("learning_rate", self.learning_rate, low=0, low_included=False)

    def memory(self, point: Tensor) -> int:
        """See `Solver.memory`."""
        return COPIES * point.numel() * point.element_size()

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """See `Solver.solve`."""
        point = start.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([point], lr=self.learning_rate)
        while True:
            evaluation = problem.evaluate(point)
            search.steps += 1
            if search.steps % RECORD_EVERY == 0 or search.steps == 1 or search.steps_left <= 0:
                status = search.record(point, evaluation.loss.item())
                if status is not None:
                    return search.finish(status, point)
            point.grad = evaluation.gradient
            optimiser.step()
            with torch.no_grad():
                point.copy_(problem.project(point))
