"""Solvers: one file each. A solver sees a `Problem` and a `Search`, and nothing of graphs."""

from graph_metamers.synthesis.solvers.adam import Adam
from graph_metamers.synthesis.solvers.exact_swaps import ExactSwaps
from graph_metamers.synthesis.solvers.farthest import Farthest
from graph_metamers.synthesis.solvers.in_turn import InTurn
from graph_metamers.synthesis.solvers.lbfgs import LBFGS
from graph_metamers.synthesis.solvers.null_space import NullSpace
from graph_metamers.synthesis.solvers.registry import (
    SOLVER_NAMES,
    SOLVERS,
    require_both_solver,
    require_edge_solver,
    require_preserved,
    resolve_solver,
)
from graph_metamers.synthesis.solvers.rewire import Rewire
from graph_metamers.synthesis.solvers.search import Search, SearchProgress, Solution, Solver
from graph_metamers.synthesis.solvers.straight_through import StraightThrough
from graph_metamers.synthesis.solvers.word_swaps import WordSwaps

__all__ = [
    "LBFGS",
    "SOLVERS",
    "SOLVER_NAMES",
    "Adam",
    "ExactSwaps",
    "Farthest",
    "InTurn",
    "NullSpace",
    "Rewire",
    "Search",
    "SearchProgress",
    "Solution",
    "Solver",
    "StraightThrough",
    "WordSwaps",
    "require_both_solver",
    "require_edge_solver",
    "require_preserved",
    "resolve_solver",
]
