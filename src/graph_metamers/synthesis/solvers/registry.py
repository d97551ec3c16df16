"""Which solvers there are, and which one a problem gets when the user names none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.edge_weights import EdgeWeightVariables
from graph_metamers.inputs.pairs import PairVariables
from graph_metamers.parameters import check_choice
from graph_metamers.synthesis.both_problem import BothProblem
from graph_metamers.synthesis.edge_problem import EdgeProblem
from graph_metamers.synthesis.solvers.adam import Adam
from graph_metamers.synthesis.solvers.exact_swaps import ExactSwaps
from graph_metamers.synthesis.solvers.in_turn import InTurn
from graph_metamers.synthesis.solvers.lbfgs import LBFGS
from graph_metamers.synthesis.solvers.null_space import NullSpace
from graph_metamers.synthesis.solvers.rewire import Rewire
from graph_metamers.synthesis.solvers.straight_through import StraightThrough
from graph_metamers.synthesis.solvers.word_swaps import WordSwaps

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Solver

STRAIGHT_THROUGH_LEARNING_RATE = 0.3  # logits start with a spread of 1: steps of 0.01 hardly reorder them

MOST_DIRECTIONS = 512  # a swap costs as many operations

SOLVERS: dict[str, Callable[[], Solver]] = {
    Adam.name: Adam,
    ExactSwaps.name: ExactSwaps,
    InTurn.name: InTurn,
    LBFGS.name: LBFGS,
    NullSpace.name: NullSpace,
    Rewire.name: Rewire,
    StraightThrough.name: StraightThrough,
    WordSwaps.name: WordSwaps,
}
SOLVER_NAMES = ("auto", *SOLVERS)
EDGE_SOLVERS = (Rewire.name, ExactSwaps.name, StraightThrough.name)
WEIGHT_SOLVERS = (LBFGS.name, Adam.name)


def resolve_solver(solver: str | Solver, problem: Problem) -> Solver:
    """The solver that a name stands for; `auto` is L-BFGS where the loss is smooth, else word swaps or Adam.

    Word swaps are for binary features alone, of which the model reads at most `MOST_DIRECTIONS` numbers.

    Raises
    ------
    ParameterError
        If there is no solver of that name.
    """
    if isinstance(solver, str):
        check_choice("solver", solver, SOLVER_NAMES)
    variables: Any = problem.variables
    if isinstance(variables, EdgeWeightVariables):
        _require_weight_solver(solver)
    if isinstance(problem, BothProblem):
        require_both_solver(solver)
        if isinstance(solver, InTurn):
            solver.require_fit(problem)
    if not isinstance(solver, str):
        return solver
    if isinstance(problem, BothProblem):
        return InTurn()
    if isinstance(problem, EdgeProblem):
        return _edge_solver(solver, variables)
    if problem.is_smooth:
        return SOLVERS["lbfgs" if solver == "auto" else solver]()
    if solver == "auto":
        swaps = problem.is_binary and problem.num_directions <= MOST_DIRECTIONS
        solver = WordSwaps.name if swaps else Adam.name
    return Adam(STRAIGHT_THROUGH_LEARNING_RATE) if solver == Adam.name else SOLVERS[solver]()


def _edge_solver(solver: str, variables: Any) -> Solver:
    if solver == "auto":
        solver = StraightThrough.name if isinstance(variables, PairVariables) else Rewire.name
    require_edge_solver(solver)
    return SOLVERS[solver]()


def require_edge_solver(solver: str) -> None:
    """Check the name of a solver for edges.

    Raises
    ------
    ParameterError
        If it is another solver's.
    """
    if solver not in EDGE_SOLVERS:
        names = ", ".join(f"{name!r}" for name in EDGE_SOLVERS)
        raise ParameterError("solver", f"{names} or 'auto' where edges vary", solver)


def require_preserved(preserve: str | None, solver: str | Solver) -> None:
    """Check that a solver for edges keeps what has to be kept.

    Raises
    ------
    ParameterError
        If it keeps something else.
    """
    name = solver if isinstance(solver, str) else solver.name
    if preserve == "edges" and name in (Rewire.name, ExactSwaps.name, InTurn.name):
        raise ParameterError(
            "preserve",
            f"'degrees' or left out for {name!r}, which exchanges ends of edges: what a node is sent is then "
            "compared sum by sum, which says nothing where a node gains or loses an edge",
            preserve,
            f"{StraightThrough.name!r} keeps the number of edges alone",
        )
    if preserve == "degrees" and name == StraightThrough.name:
        must = f"'edges' or left out for {name!r}, which chooses pairs of nodes anew"
        raise ParameterError("preserve", must, preserve, f"{Rewire.name!r} keeps degrees")


def require_both_solver(solver: str | Solver) -> None:
    """Of our own solvers, the one for features and edges.

    Raises
    ------
    ParameterError
        If it is another one.
    """
    name = solver if isinstance(solver, str) else solver.name
    if name in SOLVERS and name != InTurn.name:
        raise ParameterError("solver", "'in_turn' or 'auto' where features and edges vary", name)


def _require_weight_solver(solver: str | Solver) -> None:
    """Of our own solvers, those that move numbers; another one of the user's may do what it likes."""
    name = solver if isinstance(solver, str) else solver.name
    if name in SOLVERS and name not in WEIGHT_SOLVERS:
        raise ParameterError("solver", "'lbfgs', 'adam' or 'auto' where edge weights vary", name)
