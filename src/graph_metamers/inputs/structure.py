"""Edges may vary: what a user says about it, and the graphs that a search may reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils import is_undirected

from graph_metamers.errors import ParameterError
from graph_metamers.graphs.rewiring import NeighbourLists, ReferenceEdges, shuffled
from graph_metamers.inputs.edge_variables import EdgeVariables, require_one_graph
from graph_metamers.inputs.variables import resolve_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.inputs.feature_values import Init
    from graph_metamers.inputs.variables import Variables, Vary
    from graph_metamers.types import Graph


@dataclass(frozen=True, eq=False)
class Structure:
    """Edges may vary; features stay, and with the solver `Rewire` (the default) every node's degree.

    `StraightThrough` keeps the number of edges instead.

    Parameters
    ----------
    reference_edges
        `forbid`: no edge of the reference comes back (some may be left where degrees allow no other graph);
        `charge`: each costs as much as a neighbour more in an average sum of neighbours (not with
        `StraightThrough`); `free`: nothing is said about them.
    directed
        Whether edges have a direction, so that in- and out-degrees are kept; default: whether the graph is
        not undirected.
    protected
        Edges that stay, bool [E]; those of an undirected graph in either direction. Default: none.

    Notes
    -----
    Self-loops and doubled edges stay. Attributes travel with their edge: an edge u - v that becomes u - w
    keeps them.
    """

    reference_edges: ReferenceEdges = "forbid"
    directed: bool | None = None
    protected: Tensor | None = None

    def __post_init__(self) -> None:
        if self.reference_edges not in get_args(ReferenceEdges):
            raise ParameterError("reference_edges", "'forbid', 'charge' or 'free'", self.reference_edges)

    def variables(self, graph: Graph) -> StructureVariables:
        """The graphs that may be reached from a reference.

        Raises
        ------
        ParameterError
            If the graph is of another kind, has nothing to rewire, or `protected` has another shape.
        """
        edge_index = require_one_graph(graph)
        num_nodes, num_edges = int(graph.num_nodes or 0), edge_index.shape[1]
        fixed = self.fixed(num_edges)
        directed = (
            not is_undirected(edge_index, num_nodes=num_nodes) if self.directed is None else self.directed
        )
        lists = NeighbourLists.of(edge_index.cpu().numpy(), num_nodes, directed=directed, fixed=fixed)
        if len(lists.active) < 2:
            raise ParameterError("vary", "something else than 'structure': no two edges may vary", self)
        return StructureVariables(graph, lists, self)

    def fixed(self, num_edges: int) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
        """`protected`, checked, bool [E]; `None` where nothing is."""
        if self.protected is None:
            return None
        mask = self.protected
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != (num_edges,):
            got = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, Tensor) else mask
            raise ParameterError("protected", f"a bool tensor of shape [{num_edges}]", got)
        return mask.cpu().numpy()


def structure_of(vary: object) -> Structure | None:
    """What `vary` asks for about edges: `"structure"` or a `Structure`; `None` if it is about features."""
    if vary == "structure":
        return Structure()
    return vary if isinstance(vary, Structure) else None


def what_varies(vary: Vary, graph: Graph) -> Variables | StructureVariables:
    """The features or the edges that may vary about a graph; raises as what it chooses from."""
    structure = structure_of(vary)
    return resolve_variables(vary, graph) if structure is None else structure.variables(graph)


@dataclass(frozen=True, eq=False)
class StructureVariables(EdgeVariables):
    """A reference graph whose edges may be rewired: every node keeps its degree.

    A *point* is the vector in which a solver moves, int64 [2 * slots]: `neighbours` and `edges` of
    `NeighbourLists`, one after the other.

    Attributes
    ----------
    reference
        The graph that is being matched; never changed.
    lists
        Its neighbours, and what may be rewired.
    structure
        What was asked for.
    values
        Empty: no features vary.
    """

    reference: Graph
    lists: NeighbourLists
    structure: Structure
    values: Mapping[str, Any] = field(default_factory=dict)

    def start(self, init: Init, generator: torch.Generator) -> Tensor:
        """Where a search starts, [p]: a random graph with the same degrees, or the reference.

        Raises
        ------
        ParameterError
            For `init="permuted"`, which is about features.
        """
        if init == "permuted":
            raise ParameterError("init", "'noise' or 'reference' where edges vary", init)
        neighbours, edges = self.lists.neighbours, self.lists.edges
        if init == "noise":
            seed = int(torch.randint(2**62, (), generator=generator))
            neighbours, edges = shuffled(
                self.lists, seed=seed, reference_edges=self.structure.reference_edges
            )
        return self.point_of(neighbours, edges)

    @staticmethod
    def point_of(neighbours: np.ndarray[Any, Any], edges: np.ndarray[Any, Any]) -> Tensor:
        """A point, [p], from other lists."""
        return torch.from_numpy(np.concatenate([neighbours, edges]))

    def lists_at(self, point: Tensor) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Neighbours and edges at a point, int64 [slots] each."""
        neighbours, edges = point.view(2, -1).numpy()
        return neighbours, edges

    def edge_index(self, point: Tensor) -> Tensor:
        """Sources and targets at a point, int64 [2, E]."""
        found = torch.from_numpy(self.lists.edge_index(*self.lists_at(point)))
        return found.to(self.reference.edge_index.device)

    def shuffled(self, generator: torch.Generator) -> Graph:
        """The chance level: a random graph with the same degrees; what may not vary stays."""
        seed = int(torch.randint(2**62, (), generator=generator))
        return self.discrete(self.point_of(*shuffled(self.lists, seed=seed)))

    def describe(self) -> dict[str, Any]:
        """What may vary, for the record of a search."""
        return {
            "kind": "structure",
            "preserve": "degrees",
            "reference_edges": self.structure.reference_edges,
            "directed": self.lists.directed,
            "mutable": len(self.lists.active) / max(len(self.lists.edges), 1),
        }
