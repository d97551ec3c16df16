"""Solve a problem in fewer numbers where the model allows it, and come back to features."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from graph_metamers.inputs.compression import Compression, Refusal, compress
from graph_metamers.inputs.coordinates import Coordinates, FeaturesThrough
from graph_metamers.inputs.slots import read_features
from graph_metamers.synthesis.replaying import replayed
from graph_metamers.synthesis.separating import separated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers import Solution, Solver
    from graph_metamers.types import Graph


@dataclass(frozen=True, eq=False)
class CompressedSearch:
    """A problem, ready to be solved, and the way back.

    Attributes
    ----------
    problem
        What the solver sees: the compressed problem where there is one.
    start
        Its first point.
    outcome
        How the features were compressed, or why not.
    replay
        From how long a tape the problem is evaluated, or why from none.
    """

    problem: Problem
    start: Tensor
    outcome: Compression | Refusal
    replay: str = "none: evaluated once"

    def lifted(self, solution: Solution) -> Solution:
        """The solution as a point of the features."""
        space = self.problem.searched
        if not isinstance(space, Coordinates):
            return solution
        return dataclasses.replace(solution, point=space.lift(solution.point))

    def replayed(self) -> CompressedSearch:
        """The same, evaluated from a tape where that is verified; for solvers that evaluate often."""
        problem, replay = replayed(self.problem, self.start)
        return dataclasses.replace(self, problem=problem, replay=replay)

    def at(self, start: Tensor) -> CompressedSearch:
        """The same search from another start, [p], a point of the features; what holds for both is kept.

        Rows that do not vary keep what they have at the start, also on a tape: it is recorded anew then.
        """
        moved = self.moved(start)
        return moved.replayed() if self.problem.tape is not None and moved.problem.tape is None else moved

    def moved(self, start: Tensor) -> CompressedSearch:
        """The same, without a tape where it would have to be recorded anew."""
        space = self.problem.searched
        if not isinstance(space, Coordinates):
            return dataclasses.replace(self, start=start)
        values = self.problem.variables.values[space.compression.slot]
        there = dataclasses.replace(space, start=values.relax(start.view(values.reference.shape)))
        moved = dataclasses.replace(self.problem, searched=there)
        if there.rows is not None:
            moved = dataclasses.replace(moved, tape=None)
        return dataclasses.replace(self, problem=moved, start=there.first_point)

    def separated(self) -> CompressedSearch:
        """The same, in blocks where the graphs of a batch do not see each other; for L-BFGS."""
        return dataclasses.replace(self, problem=separated(self.problem, self.start))

    def description(self, solver: Solver) -> str:
        """What was done, for the record of a search with this solver."""
        if isinstance(self.outcome, Refusal):
            return f"none: {self.outcome.reason}"
        rank, num_features = self.outcome.rank, len(self.outcome.basis)
        where = "searched" if isinstance(self.problem.searched, Coordinates) else "evaluated"
        if solver.name == "null_space":
            where = "left as it was"
        return f"{where} in {rank} of {num_features} dimensions"


def compressed_search(problem: Problem, start: Tensor) -> CompressedSearch:
    """Compress a problem if that is exact for its model and graph; call inside `view.borrow()`.

    Parameters
    ----------
    problem
        In the coordinates of the features.
    start
        Where the search starts, [p].

    Returns
    -------
    CompressedSearch
        With the problem itself where compression is refused.
    """
    names = list(problem.targets)
    with torch.no_grad():
        beginning = problem.variables.relaxed(start)

        def read() -> Iterator[tuple[Graph, dict[str, Tensor]]]:  # run only if there is something to verify
            yield beginning, {name: tap.value for name, tap in problem.view.taps(beginning, names).items()}

        free = _is_free(problem)
        outcome = compress(problem.view, problem.variables, problem.targets, read(), scaled=free)
    if isinstance(outcome, Refusal):
        return CompressedSearch(dataclasses.replace(problem, refusal=outcome.reason), start, outcome)
    if not free:
        through = FeaturesThrough(problem.variables, outcome)
        smaller = dataclasses.replace(problem, view=outcome.view, searched=through)
        return CompressedSearch(smaller, start, outcome)
    space = _coordinates(problem, read_features(beginning)[outcome.slot], outcome)
    smaller = dataclasses.replace(problem, view=outcome.view, searched=space)
    return CompressedSearch(smaller, space.first_point, outcome)


def _is_free(problem: Problem) -> bool:
    """Whether C may be the point: not where rules about X itself have to be kept."""
    for values in problem.variables.values.values():
        in_part = values.mutable.any(dim=1) & ~values.mutable.all(dim=1)
        if not values.is_smooth or values.bounds is not None or bool(in_part.any()):
            return False
    return True


def _coordinates(problem: Problem, x: Tensor, compression: Compression) -> Coordinates:
    """Where a solver moves that starts from features x, [n, F]."""
    values = problem.variables.values[compression.slot]
    whole_rows = values.mutable.all(dim=1)
    rows = None if bool(whole_rows.all()) else whole_rows.nonzero().flatten()
    return Coordinates(problem.variables.reference, compression, x, rows)
