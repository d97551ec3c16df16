"""What a search is for: to match the activations, or to match them as far from the reference as possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from graph_metamers.errors import ParameterError
from graph_metamers.synthesis.solvers import Farthest, NullSpace, WordSwaps

if TYPE_CHECKING:
    from graph_metamers.inputs import Variables
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers import Solver

Objective = Literal["match", "farthest"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)


def variables_for(objective: Objective, variables: Variables) -> Variables:
    """What may vary: farthest needs a range for every feature, or there would be no farthest point."""
    return variables.within_range() if objective == "farthest" else variables


def solver_for(objective: Objective, solver: Solver, problem: Problem) -> Solver:
    """The solver that reaches an objective, from the one that matches.

    Word swaps that forbid a node's own words end as far away as its number of words allows: no word is kept
    where there are enough others. Farthest is then what they do anyway.

    Raises
    ------
    ParameterError
        If this solver cannot.
    """
    if objective == "match" or (isinstance(solver, WordSwaps) and solver.keeps_no_word):
        return solver
    if not problem.is_smooth:
        raise ParameterError(
            "objective",
            f"'match' for features that are 0 or 1 and the solver {solver.name!r}",
            objective,
            mend="Choose solver='word_swaps', which keeps no word of the reference: nothing is farther",
        )
    if isinstance(solver, NullSpace):
        raise ParameterError(
            "solver",
            "'auto', 'lbfgs' or 'adam' with objective='farthest', which uses the tolerance up",
            solver.name,
            mend="Choose objective='match' for what leaves everything that the model reads as it is",
        )
    return Farthest(solver)
