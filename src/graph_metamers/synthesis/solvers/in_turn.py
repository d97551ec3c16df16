"""Edges first, then features of the graph with these edges: a metamer that shares neither."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.coordinates import Coordinates
from graph_metamers.synthesis.both_problem import BothProblem
from graph_metamers.synthesis.budget import Budget
from graph_metamers.synthesis.solvers.adam import Adam
from graph_metamers.synthesis.solvers.exact_swaps import ExactSwaps
from graph_metamers.synthesis.solvers.lbfgs import LBFGS
from graph_metamers.synthesis.solvers.null_space import NullSpace
from graph_metamers.synthesis.solvers.rewire import Rewire
from graph_metamers.synthesis.solvers.search import PartOfSearch, Search
from graph_metamers.synthesis.solvers.straight_through import StraightThrough
from graph_metamers.synthesis.solvers.word_swaps import WordSwaps

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.synthesis.compressing import CompressedSearch
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Solution, Solver

SHARE_OF_EDGES = 8  # one evaluation in so many goes into edges
SHARE_OF_TIME = 3  # and a third of the time, if that is limited: proposals are no evaluations
REDIRECTIONS = 6
_OF_EDGES = (Rewire.name, ExactSwaps.name, StraightThrough.name)


@dataclass(frozen=True)
class InTurn:
    """Rewires the reference, then changes the features of the rewired graph until activations match.

    Rewiring alone leaves an error that no other edges would mend; features that differ from the reference's
    anyway make up for it.

    Parameters
    ----------
    rewire
        How edges are found.
    features
        How features are found; default: L-BFGS where the loss is smooth in them, for binary features word
        swaps that aim anew as they go.

    Notes
    -----
    Ours. Of `Budget.steps`, an eighth goes into edges. The trace is that of the features.
    """

    rewire: Rewire = field(default_factory=Rewire)
    features: Solver | None = None
    name: ClassVar[str] = "in_turn"

    def __post_init__(self) -> None:
        if not isinstance(self.rewire, Rewire):
            raise ParameterError("rewire", "a Rewire, such as Rewire(proposals=3000)", self.rewire)
        if self.features is not None and not hasattr(self.features, "solve"):
            raise ParameterError("features", "a solver, such as LBFGS(), or left out", self.features)

    def require_fit(self, problem: BothProblem) -> None:
        """Check the solver of the features before edges are searched.

        Raises
        ------
        ParameterError
            If one of ours is given that does not move such features.
        """
        variables = problem.parts[0].features
        fitting = {Adam.name, LBFGS.name} if variables.is_smooth else {Adam.name}
        if variables.is_binary:
            fitting.add(WordSwaps.name)
        ours = {Adam.name, LBFGS.name, WordSwaps.name, NullSpace.name, *_OF_EDGES, self.name}
        name = getattr(self.features, "name", None)
        if name in ours - fitting:
            names = ", ".join(repr(one) for one in sorted(fitting))
            raise ParameterError("features", f"a solver for these features ({names}), or left out", name)

    @property
    def swaps_words(self) -> bool:
        """Whether binary features keep their number of ones in every node."""
        return self.features is None or isinstance(self.features, WordSwaps)

    def memory(self, point: Tensor) -> int:
        """See `Solver.memory`."""
        return max(self.rewire.memory(point), WordSwaps().memory(point))

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """See `Solver.solve`."""
        if not isinstance(problem, BothProblem):
            raise ParameterError("solver", "another one unless features and edges vary", self.name)
        both, edges = problem.parts
        start_edges, start_features = both.split(start)
        of_edges = self._rewired(edges, start_edges, search)
        rewired = of_edges.point
        ready = problem.features_with(both.edges.edge_index(rewired), start_features)
        first = both.point_of(rewired, start_features)
        status = search.record(first, float(problem.loss_at(first)))
        if status is not None:
            return replace(search.finish(status, first), findings=of_edges.findings)
        solver = self.features or _solver_for(ready.problem)
        if not isinstance(solver, WordSwaps):
            ready = ready.replayed()
        stage = PartOfSearch(
            search, search.steps_left, lambda point: both.point_of(rewired, _lifted(ready, point))
        )
        found = solver.solve(ready.problem, ready.start, stage)
        return replace(search.finish(found.status, start), findings=of_edges.findings)

    def _rewired(self, edges: Problem, start: Tensor, search: Search) -> Solution:
        """Edges alone; what it tells is not of the whole search."""
        left = search.seconds_left
        seconds = None if left is None else left / SHARE_OF_TIME
        budget = Budget(max(1, search.steps_left // SHARE_OF_EDGES), seconds)
        # Not told to callbacks: these losses are of graphs with the reference's features.
        stage = Search(budget, search.tolerance, lambda _progress: None, seed=search.seed)
        found = self.rewire.solve(edges, start, stage)
        search.steps += stage.steps
        return found


def _solver_for(problem: Problem) -> Solver:
    return LBFGS() if problem.is_smooth else WordSwaps(redirections=REDIRECTIONS)


def _lifted(ready: CompressedSearch, point: Tensor) -> Tensor:
    space = ready.problem.searched
    return space.lift(point) if isinstance(space, Coordinates) else point
