"""Whether `vary` asks for features, for edges or for both, and what may vary of a graph then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from torch_geometric.data import HeteroData

from graph_metamers.errors import ParameterError
from graph_metamers.inputs.both import BothVariables
from graph_metamers.inputs.edge_variables import require_one_graph
from graph_metamers.inputs.edge_weights import edge_weights_of
from graph_metamers.inputs.hetero_structure import StructureByType
from graph_metamers.inputs.structure import Structure, StructureVariables
from graph_metamers.inputs.variables import resolve_variables

if TYPE_CHECKING:
    from graph_metamers.inputs.features import Features
    from graph_metamers.inputs.variables import Variables, Vary
    from graph_metamers.types import Graph, Varies

Varying: TypeAlias = "Variables | StructureVariables | BothVariables"
"""A reference, and which of its features and edges may vary."""


def structure_of(vary: object) -> Structure | StructureByType | None:
    """What `vary` asks for about edges; `None` if it is about something else.

    That is `"structure"`, a `Structure`, or a dict by edge type, (source, relation, target).
    """
    if vary == "structure":
        return Structure()
    if isinstance(vary, Mapping) and any(isinstance(key, tuple) for key in vary):
        return StructureByType(dict(vary))
    return vary if isinstance(vary, Structure) else None


def both_of(
    vary: object,
) -> tuple[str | Features | Mapping[str, str | Features], Structure | StructureByType] | None:
    """What a pair asks for about features and about edges, in either order; `None` if it is no pair.

    Raises
    ------
    ParameterError
        If it is a list or tuple of anything else.
    """
    if not isinstance(vary, tuple | list):
        return None
    edges = [structure for structure in map(structure_of, vary) if structure is not None]
    others: list[Any] = [part for part in vary if structure_of(part) is None]
    if len(vary) != 2 or len(edges) != 1 or edge_weights_of(others[0]) is not None:
        raise ParameterError("vary", "('features', 'structure'), or objects for these two", vary)
    return others[0], edges[0]


def structure_variables(structure: Structure | StructureByType, graph: Graph) -> StructureVariables:
    """The graphs that may be reached from a reference by other edges.

    Raises
    ------
    ParameterError
        As `Structure.variables` and `StructureByType.variables`.
    """
    if isinstance(structure, Structure) and isinstance(graph, HeteroData):
        return StructureByType.everywhere(structure, graph).variables(graph)
    return structure.variables(graph)


def both_variables(
    both: tuple[str | Features | Mapping[str, str | Features], Structure | StructureByType], graph: Graph
) -> BothVariables:
    """The features and the edges that may vary about one graph; `both` is what `both_of` gives.

    Raises
    ------
    ParameterError
        As `resolve_variables` and `structure_variables`, or if the graph is a batch of several.
    """
    require_one_graph(graph)
    return BothVariables(resolve_variables(both[0], graph), structure_variables(both[1], graph))


def what_varies(vary: Vary, graph: Graph) -> Varying:
    """The features, the edges, or both, that may vary about a graph; raises as what it chooses from."""
    both = both_of(vary)
    if both is not None:
        return both_variables(both, graph)
    structure = structure_of(vary)
    return resolve_variables(vary, graph) if structure is None else structure_variables(structure, graph)


def varies_of(variables: Varying) -> Varies:
    """What may vary: features, edges or both."""
    if isinstance(variables, BothVariables):
        return "both"
    return "structure" if isinstance(variables, StructureVariables) else "features"
