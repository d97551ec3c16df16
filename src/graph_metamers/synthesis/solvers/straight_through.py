"""Straight-through: a logit for every pair of nodes, the largest ones are the edges, the gradient is soft."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.pairs import BYTES_OF_A_PAIR, PairVariables
from graph_metamers.parameters import check_real
from graph_metamers.synthesis.edge_problem import EdgeProblem
from graph_metamers.synthesis.pair_slopes import pair_slopes
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Search, Solution


@dataclass(frozen=True)
class StraightThrough:
    """The way of the paper to other edges: Adam on logits T of all pairs of nodes (arXiv 2510.17378).

    P = sigmoid(slope T). The edges are the pairs with the largest P, as many as the reference has; the loss
    is that of the model on this graph, and its gradient is passed on as if the model had seen P itself.

    Parameters
    ----------
    learning_rate
        Of Adam at the first step, in units of the logits, which start with a spread of 1; > 0. It falls in a
        straight line to 0 at the end of `Budget.steps`.
    slope
        s in P = sigmoid(s T); > 0. The smaller, the more alike are all pairs, however far from being chosen.

    Notes
    -----
    Keeps the number of edges, and not the degrees. For models that take edge weights and in which a weight of
    0 is the same as no edge, verified for this model and graph; others are refused. With
    `Structure(reference_edges="forbid")` the reference's pairs have no logit and are never chosen. *Ours*:
    that the learning rate falls, and how the gradient is found, by a formula that needs no run on all pairs
    where it agrees with the model (`pair_slopes`). Time: two runs of the model a step, and n^2 d operations.
    Memory: about 64 bytes for each pair of nodes (`inputs.pairs.BYTES_OF_A_PAIR`); at most 20,000 nodes.
    """

    learning_rate: float = 0.3
    slope: float = 0.01
    name: ClassVar[str] = "straight_through"

    def __post_init__(self) -> None:
        check_real("learning_rate", self.learning_rate, low=0, low_included=False)
        check_real("slope", self.slope, low=0, low_included=False)

    def memory(self, point: Tensor) -> int:
        """See `Solver.memory`."""
        return self.memory_for(point.numel())

    @staticmethod
    def memory_for(pairs: int) -> int:
        """Bytes for so many pairs; about."""
        return BYTES_OF_A_PAIR * pairs

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """See `Solver.solve`."""
        if not isinstance(problem, EdgeProblem) or not isinstance(problem.variables, PairVariables):
            raise ParameterError("solver", "'lbfgs', 'adam' or 'word_swaps' where features vary", self.name)
        pairs = problem.pairs
        slopes = pair_slopes(problem, pairs.edge_index(start))
        logits = start.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([logits], lr=self.learning_rate, fused=True)
        while True:
            edge_index = pairs.edge_index(logits)
            loss = float(problem.shares_at(edge_index).sum())
            search.steps += 1
            status = search.record(logits, loss)
            # A long plateau is how it looks while steps are too large to settle, which they stop being.
            if status not in (None, Status.STALLED):
                return search.finish(status, logits)
            left = search.steps_left / search.budget.steps
            optimiser.param_groups[0]["lr"] = self.learning_rate * left
            soft = torch.sigmoid(self.slope * logits.detach())
            logits.grad = slopes.at(edge_index).mul_(soft * (1 - soft)).mul_(self.slope)
            optimiser.step()
