"""Generating metamers: input + objective + solver -> Metamer."""

from graph_metamers.synthesis.budget import Budget
from graph_metamers.synthesis.fronts import StructureFront, structure_front
from graph_metamers.synthesis.generating import generate
from graph_metamers.synthesis.metamer import Metamer
from graph_metamers.synthesis.metamer_files import load_metamer, save_metamer
from graph_metamers.synthesis.objectives import Objective
from graph_metamers.synthesis.progress import ProgressBar
from graph_metamers.synthesis.repeating import generate_many
from graph_metamers.synthesis.settings import check_search
from graph_metamers.synthesis.solvers import (
    LBFGS,
    Adam,
    ExactSwaps,
    InTurn,
    NullSpace,
    Rewire,
    SearchProgress,
    StraightThrough,
    WordSwaps,
)
from graph_metamers.synthesis.status import Status
from graph_metamers.synthesis.tracking import MLflowCallback, TensorBoardCallback

__all__ = [
    "LBFGS",
    "Adam",
    "Budget",
    "ExactSwaps",
    "InTurn",
    "MLflowCallback",
    "Metamer",
    "NullSpace",
    "Objective",
    "ProgressBar",
    "Rewire",
    "SearchProgress",
    "Status",
    "StraightThrough",
    "StructureFront",
    "TensorBoardCallback",
    "WordSwaps",
    "check_search",
    "generate",
    "generate_many",
    "load_metamer",
    "save_metamer",
    "structure_front",
]
