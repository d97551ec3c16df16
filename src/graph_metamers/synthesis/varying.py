"""What varies in a search: features, edges or their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch_geometric.data import HeteroData

from graph_metamers.checks.weight_checks import weight_slot
from graph_metamers.errors import ParameterError
from graph_metamers.inputs import resolve_variables, structure_of, structure_variables
from graph_metamers.inputs.asking import both_of, both_variables
from graph_metamers.inputs.edge_weights import EdgeWeights, EdgeWeightVariables, edge_weights_of
from graph_metamers.inputs.pairs import count_pairs, pair_variables
from graph_metamers.inputs.structure import Structure
from graph_metamers.synthesis.memory import require_bytes
from graph_metamers.synthesis.objectives import variables_for
from graph_metamers.synthesis.solvers import Rewire, StraightThrough

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from graph_metamers.inputs import Variables, Vary
    from graph_metamers.inputs.both import BothVariables
    from graph_metamers.inputs.edge_variables import EdgeVariables
    from graph_metamers.inputs.hetero_structure import StructureByType
    from graph_metamers.reading import ModelView
    from graph_metamers.synthesis.settings import SearchSettings
    from graph_metamers.types import Graph

REWIRE = "Choose solver='rewire', which needs memory for the edges alone"


def varies_features(vary: object) -> bool:
    """Whether `vary` is about features, and not about edges or their weights."""
    return structure_of(vary) is None and edge_weights_of(vary) is None and both_of(vary) is None


def features_of(vary: Vary) -> Vary:
    """What of `vary` is about features; all of them where it is about edges alone."""
    both = both_of(vary)
    if both is not None:
        return both[0]
    return vary if varies_features(vary) else "features"


def first_variables(
    settings: SearchSettings, graph: Graph
) -> Variables | EdgeVariables | BothVariables | None:
    """What varies, as far as that can be said without the model; `None` where weights do.

    Raises
    ------
    ParameterError
        As `resolve_variables` and `Structure.variables`; or where weights vary and the objective is another
        one than to match.
    """
    if edge_weights_of(settings.vary) is not None:
        if settings.objective != "match":
            raise ParameterError("objective", "'match' where edge weights vary", settings.objective)
        return None
    both = both_of(settings.vary)
    if both is not None:
        return both_variables(both, graph)
    structure = structure_of(settings.vary)
    if structure is None:
        return variables_for(settings.objective, resolve_variables(settings.vary, graph))
    return _edges(settings, structure, graph)


def _edges(settings: SearchSettings, structure: Structure | StructureByType, graph: Graph) -> EdgeVariables:
    solver = settings.solver
    by_pairs = solver == "auto" and isinstance(structure, Structure) and structure.preserve == "edges"
    if by_pairs or solver == StraightThrough.name:
        solver = StraightThrough()
    if (
        isinstance(graph, HeteroData)
        and solver not in ("auto", Rewire.name)
        and not isinstance(solver, Rewire)
    ):
        got = solver if isinstance(solver, str) else solver.name
        raise ParameterError("solver", "'rewire' where edges vary between several kinds of nodes", got)
    if not isinstance(solver, StraightThrough):
        return structure_variables(structure, graph)
    if not isinstance(structure, Structure):
        raise ParameterError("vary", "'structure' or a Structure for a graph without edge types", structure)
    numbers = count_pairs(structure, graph)  # before there is a vector of so many
    require_bytes(solver.name, solver.memory_for(numbers), numbers, mend=REWIRE)
    return pair_variables(structure, graph)


def weight_variables(
    settings: SearchSettings, view: ModelView, graph: Graph, targets: Mapping[str, Tensor]
) -> EdgeWeightVariables:
    """The weights that vary; call inside `view.borrow()`.

    Raises
    ------
    ParameterError, ModelError
        As `weight_slot` and `EdgeWeights.variables`.
    """
    weights = edge_weights_of(settings.vary) or EdgeWeights()
    return weights.variables(graph, weight_slot(view, graph, targets))
