"""Whether `vary` asks for features or for edges, and what may vary of a graph then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch_geometric.data import HeteroData

from graph_metamers.inputs.hetero_structure import StructureByType
from graph_metamers.inputs.structure import Structure
from graph_metamers.inputs.variables import resolve_variables

if TYPE_CHECKING:
    from graph_metamers.inputs.structure import StructureVariables
    from graph_metamers.inputs.variables import Variables, Vary
    from graph_metamers.types import Graph


def structure_of(vary: object) -> Structure | StructureByType | None:
    """What `vary` asks for about edges; `None` if it is about something else.

    That is `"structure"`, a `Structure`, or a dict by edge type, (source, relation, target).
    """
    if vary == "structure":
        return Structure()
    if isinstance(vary, Mapping) and any(isinstance(key, tuple) for key in vary):
        return StructureByType(dict(vary))
    return vary if isinstance(vary, Structure) else None


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


def what_varies(vary: Vary, graph: Graph) -> Variables | StructureVariables:
    """The features or the edges that may vary about a graph; raises as what it chooses from."""
    structure = structure_of(vary)
    return resolve_variables(vary, graph) if structure is None else structure_variables(structure, graph)
