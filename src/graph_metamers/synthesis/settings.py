"""What a user says about a search, checked before anything long begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from graph_metamers.errors import ParameterError
from graph_metamers.inputs import Init, Structure, structure_of
from graph_metamers.inputs.asking import both_of
from graph_metamers.parameters import MAX_SEED, check_choice, check_integer, check_real
from graph_metamers.synthesis.budget import Budget
from graph_metamers.synthesis.objectives import OBJECTIVES
from graph_metamers.synthesis.solvers import (
    SOLVER_NAMES,
    InTurn,
    SearchProgress,
    require_both_solver,
    require_edge_solver,
    require_preserved,
)

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.inputs import Vary
    from graph_metamers.metrics.classification import Task
    from graph_metamers.synthesis.objectives import Objective
    from graph_metamers.synthesis.solvers import Solver
    from graph_metamers.types import Forward, Json, Transform

Callback = Callable[[SearchProgress], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class SearchSettings:
    """The parameters of `generate` but for model, graph and seed; see there."""

    layers: tuple[str, ...]
    vary: Vary
    objective: Objective
    index: Tensor | Sequence[int] | None
    transform: Transform | None
    forward: Forward | None
    solver: str | Solver
    init: Init
    budget: Budget
    tolerance: float
    min_distance: float
    task: Task
    prediction_tolerance: float | None
    callbacks: Sequence[Callback]

    @classmethod
    def of(
        cls,
        layer: str | Sequence[str],
        *,
        budget: Budget | None,
        tolerance: float,
        min_distance: float,
        callbacks: Sequence[Callback],
        **others: Any,
    ) -> SearchSettings:
        """Check all that can be checked without a model and a graph.

        Raises
        ------
        ParameterError
            If a parameter is outside its range.
        """
        check_search(
            solver=others["solver"],
            init=others["init"],
            tolerance=tolerance,
            min_distance=min_distance,
            seed=0,
            objective=others["objective"],
            vary=others["vary"],
        )
        if budget is not None and not isinstance(budget, Budget):
            raise ParameterError("budget", "a Budget, such as Budget(steps=2000)", budget)
        if callable(callbacks):
            raise ParameterError("callbacks", "a list of functions", callbacks, "Write callbacks=[function]")
        return cls(
            layers=_names(layer),
            budget=budget or Budget(),
            tolerance=float(tolerance),
            min_distance=float(min_distance),
            callbacks=callbacks,
            **others,
        )

    def tell(self, progress: SearchProgress) -> None:
        """Call the callbacks."""
        for callback in self.callbacks:
            callback(progress)

    def record(self) -> dict[str, Json]:
        """What of it goes into the record of a search."""
        return {
            "objective": self.objective,
            "steps": self.budget.steps,
            "seconds": self.budget.seconds,
            "init": self.init,
            "tolerance": self.tolerance,
            "min_distance": self.min_distance,
            "task": self.task,
            "prediction_tolerance": self.prediction_tolerance,
            "own_forward": self.forward is not None,
            "transform": None if self.transform is None else repr(self.transform),
        }


def check_search(
    *,
    solver: str | Solver,
    init: str,
    tolerance: float,
    min_distance: float,
    seed: int,
    objective: str = "match",
    vary: object = "features",
) -> None:
    """Check the settings of a search that need neither model nor graph; call it before anything long.

    Raises
    ------
    ParameterError
        If one is outside its range; see `generate`.
    """
    if isinstance(solver, str):
        check_choice("solver", solver, SOLVER_NAMES)
    check_choice("objective", objective, OBJECTIVES)
    check_choice("init", init, get_args(Init))
    check_real("tolerance", tolerance, low=0)
    check_real("min_distance", min_distance, low=0)
    check_seed(seed)
    structure, both = structure_of(vary), both_of(vary)
    if structure is not None:
        _check_edge_search(objective, init, solver)
    if isinstance(structure, Structure):
        require_preserved(structure.preserve, solver)
    if both is not None:
        _check_edge_search(objective, init, "auto")
        require_both_solver(solver)
        if isinstance(both[1], Structure):
            require_preserved(both[1].preserve, InTurn.name)


def _check_edge_search(objective: str, init: str, solver: str | Solver) -> None:
    """Refuse what is about features."""
    if objective != "match":
        raise ParameterError("objective", "'match' where edges vary", objective)
    if init == "permuted":
        raise ParameterError("init", "'noise' or 'reference' where edges vary", init)
    if isinstance(solver, str) and solver != "auto":
        require_edge_solver(solver)


def check_seed(seed: int) -> int:
    """The seed as an integer.

    Raises
    ------
    ParameterError
        If it is none from 0 to `MAX_SEED`.
    """
    check_integer("seed", seed, low=0, high=MAX_SEED)
    return int(seed)


def _names(layer: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(layer, str | None) and not layer:
        raise ParameterError("layer", "the name of a layer, or several", layer)
    names = (layer,) if isinstance(layer, str) else tuple(layer)
    if not names or len(set(names)) != len(names):
        raise ParameterError("layer", "one layer or several different ones", layer)
    return names
