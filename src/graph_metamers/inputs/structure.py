"""Edges may vary: what a user says about it, and the graphs that a search may reach."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.utils import is_undirected

from graph_metamers.errors import ParameterError
from graph_metamers.graphs.rewiring import NeighbourLists, ReferenceEdges, shuffled
from graph_metamers.inputs.distance import InputDistance
from graph_metamers.inputs.edges import changed_edges
from graph_metamers.inputs.slots import count_items
from graph_metamers.inputs.variables import resolve_variables
from graph_metamers.reading.items import num_graphs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.inputs.feature_values import Init
    from graph_metamers.inputs.variables import Variables, Vary
    from graph_metamers.types import Graph


@dataclass(frozen=True, eq=False)
class Structure:
    """Edges may vary; features and every node's degree stay.

    Parameters
    ----------
    reference_edges
        `forbid`: no edge of the reference comes back (some may be left where degrees allow no other graph);
        `charge`: each costs as much as a neighbour more in an average sum of neighbours; `free`: nothing is
        said about them.
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
        if isinstance(graph, HeteroData) or not isinstance(graph, Data) or num_graphs(graph) > 1:
            raise ParameterError(
                "vary",
                "something else than 'structure' for several graphs or kinds of nodes",
                type(graph).__name__,
            )
        edge_index = graph.edge_index
        if not isinstance(edge_index, Tensor):
            raise ParameterError(
                "graph", "a Data with an edge_index, int64 [2, E]", type(edge_index).__name__
            )
        num_nodes, num_edges = int(graph.num_nodes or 0), edge_index.shape[1]
        fixed = self._fixed(num_edges)
        directed = (
            not is_undirected(edge_index, num_nodes=num_nodes) if self.directed is None else self.directed
        )
        lists = NeighbourLists.of(edge_index.cpu().numpy(), num_nodes, directed=directed, fixed=fixed)
        if len(lists.active) < 2:
            raise ParameterError("vary", "something else than 'structure': no two edges may vary", self)
        return StructureVariables(graph, lists, self)

    def _fixed(self, num_edges: int) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
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
class StructureVariables:
    """A reference graph whose edges may vary.

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

    is_smooth = False
    is_binary = False
    bounds = None

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

    def discrete(self, point: Tensor) -> Graph:
        """The real graph at a point."""
        changed = copy.copy(self.reference)
        changed.edge_index = self.edge_index(point)
        return changed

    def shuffled(self, generator: torch.Generator) -> Graph:
        """The chance level: a random graph with the same degrees; what may not vary stays."""
        seed = int(torch.randint(2**62, (), generator=generator))
        return self.discrete(self.point_of(*shuffled(self.lists, seed=seed)))

    def distance(self, graph: Graph, items: str) -> InputDistance:
        """Share of edges that are others: 1 - Jaccard index, over its chance level.

        Chance is a random graph with the same degrees (configuration model), in which an edge u - v of the
        reference is there with probability d_u d_v / 2 m at the most: to first order.
        """
        before, after = _keys(self.reference), _keys(graph)
        common = len(np.intersect1d(before, after))
        raw = 1 - common / max(len(before) + len(after) - common, 1)
        expected = self._expected_common()
        chance = 1 - expected / (2 * len(before) - expected)
        per_item = changed_edges(graph, self.reference, items, count_items(items, self.reference))
        return InputDistance(raw / chance if chance > 0 else 0.0, raw, chance, (per_item / chance).float())

    def _expected_common(self) -> float:
        source, target = self.reference.edge_index.cpu().numpy()
        n = self.lists.num_nodes
        out, into = np.bincount(source, minlength=n), np.bincount(target, minlength=n)
        return float(np.minimum(1.0, out[source] * into[target] / max(len(source), 1)).sum())

    def describe(self) -> dict[str, Any]:
        """What may vary, for the record of a search."""
        return {
            "kind": "structure",
            "preserve": "degrees",
            "reference_edges": self.structure.reference_edges,
            "directed": self.lists.directed,
            "mutable": len(self.lists.active) / max(len(self.lists.edges), 1),
        }


def _keys(graph: Graph) -> np.ndarray[Any, Any]:
    source, target = graph.edge_index.cpu().numpy()
    return np.unique(source.astype(np.int64) * int(graph.num_nodes or 0) + target)
