"""Edges may vary: what a user says about it, and the graphs that a search may reach."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils import is_undirected

from graph_metamers.arrays import array_of
from graph_metamers.errors import ParameterError
from graph_metamers.graphs.colours import graphs_told_apart, rows_as_colours
from graph_metamers.graphs.neighbour_lists import NeighbourLists
from graph_metamers.graphs.restoring import restored
from graph_metamers.graphs.rewiring import ReferenceEdges, shuffled
from graph_metamers.inputs.distance import InputDistance
from graph_metamers.inputs.edge_variables import EdgeVariables, require_edges
from graph_metamers.inputs.edges import changed_edges
from graph_metamers.inputs.slots import count_items
from graph_metamers.reading.items import GRAPHS, NODES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.inputs.feature_values import Init
    from graph_metamers.types import Graph

Preserve = Literal["degrees", "edges"]


@dataclass(frozen=True, eq=False)
class Structure:
    """Edges may vary; features stay, and with the solver `Rewire` (the default) every node's degree.

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
    protected_nodes
        Nodes whose edges stay, bool [n], in both directions. Default: none.
    preserve
        `"degrees"`: every node keeps its degree, as `Rewire` and `ExactSwaps` do; `"edges"`: the graph keeps
        its number of edges, as `StraightThrough` does, which is then the default. Default: what the solver
        keeps.

    Notes
    -----
    Self-loops and doubled edges stay. Attributes travel with their edge: an edge u - v that becomes u - w
    keeps them. In a `Batch` both edges of a swap are of one graph, so that every graph keeps its nodes, its
    degrees and its number of edges. In a `HeteroData` they are of one edge type, and a type whose edges have
    their reverse in another one (`writes`, `rev_writes`) varies with it, unless `directed` is true.
    """

    reference_edges: ReferenceEdges = "forbid"
    directed: bool | None = None
    protected: Tensor | None = None
    protected_nodes: Tensor | None = None
    preserve: Preserve | None = None

    def __post_init__(self) -> None:
        if self.preserve is not None and self.preserve not in get_args(Preserve):
            raise ParameterError("preserve", "'degrees', 'edges' or left out", self.preserve)
        if self.reference_edges not in get_args(ReferenceEdges):
            raise ParameterError("reference_edges", "'forbid', 'charge' or 'free'", self.reference_edges)

    def variables(self, graph: Graph) -> StructureVariables:
        """The graphs that may be reached from a reference.

        Raises
        ------
        ParameterError
            If the graph is of another kind, has nothing to rewire, an edge joins two graphs of a batch, or
            `protected` or `protected_nodes` have another shape.
        """
        edge_index = require_edges(graph)
        num_nodes = int(graph.num_nodes or 0)
        edges = edge_index.cpu().numpy()
        fixed = self.fixed(edges, num_nodes)
        directed = (
            not is_undirected(edge_index, num_nodes=num_nodes) if self.directed is None else self.directed
        )
        lists = NeighbourLists.of(
            edges, num_nodes, directed=directed, fixed=fixed, graphs=_graphs_of_nodes(graph)
        )
        if max(np.diff(lists.pools[1])) < 2:
            raise ParameterError("vary", "something else than 'structure': no two edges may vary", self)
        return StructureVariables(graph, lists, self)

    def fixed(
        self, edge_index: np.ndarray[Any, np.dtype[np.int64]], num_nodes: int
    ) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Edges that must stay, bool [E]."""
        source, target = edge_index
        fixed = bool_mask("protected", self.protected, len(source))
        nodes = bool_mask("protected_nodes", self.protected_nodes, num_nodes)
        return np.asarray(fixed | nodes[source] | nodes[target])


def bool_mask(name: str, mask: Tensor | None, count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """A mask as numpy has it, bool [count]; none of them for `None`.

    Raises
    ------
    ParameterError
        If it has another shape or type.
    """
    if mask is None:
        return np.zeros(count, dtype=np.bool_)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != (count,):
        got = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, Tensor) else mask
        raise ParameterError(name, f"a bool tensor of shape [{count}]", got)
    return np.asarray(mask.cpu().numpy())


def _graphs_of_nodes(graph: Graph) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """The graph of every node, int64 [n], by its `batch`; `None` where there is one."""
    batch = graph.get("batch")
    if not isinstance(batch, Tensor) or batch.shape != (graph.num_nodes,) or batch.is_floating_point():
        return None
    return np.asarray(batch.cpu().numpy())


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

    def restored(self, neighbours: np.ndarray[Any, Any], edges: np.ndarray[Any, Any]) -> Tensor:
        """A point, [p], from other lists; where `restricted` with the reference's edges elsewhere."""
        if self.lists.is_restricted:
            neighbours, edges = restored(self.lists, neighbours, edges)
        return self.point_of(neighbours, edges)

    def lists_at(self, point: Tensor) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Neighbours and edges at a point, int64 [slots] each."""
        neighbours, edges = point.view(2, -1).numpy()
        return neighbours, edges

    def edge_index(self, point: Tensor) -> Tensor:
        """Sources and targets at a point, int64 [2, E]."""
        found = torch.from_numpy(self.lists.edge_index(*self.lists_at(point)))
        return found.to(self.edges_of(self.reference).device)

    def edges_of(self, graph: Graph) -> Tensor:
        """Sources and targets of a graph, int64 [2, E], as `edge_index` has them."""
        found: Tensor = graph.edge_index
        return found

    @property
    def has_graphs(self) -> bool:
        """Whether the reference is a batch of several graphs."""
        return bool(self.lists.graphs.any())

    def restricted(self, reached: Tensor) -> StructureVariables:
        """The same, in which every swap changes the neighbours of one of some nodes, bool [n], at least.

        Raises
        ------
        ParameterError
            If none of them has an edge that may vary.
        """
        lists = self.lists.restricted(reached.cpu().numpy())
        if not len(lists.wanted):
            raise ParameterError("index", "of items which an edge that may vary can reach", "none")
        return replace(self, lists=lists)

    def told_apart(self, point: Tensor) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Graphs that are proved not to be the reference with its nodes in another order, bool [graphs].

        Nodes with other features are other nodes; attributes of edges are left out.
        """
        labels = rows_as_colours(array_of(self.reference.x))
        before, after = self.reference.edge_index.cpu().numpy(), self.edge_index(point).cpu().numpy()
        return graphs_told_apart(before, after, self.lists.graphs, colours=labels)

    def distance(self, graph: Graph, items: str) -> InputDistance:
        """Share of edges that are others: 1 - Jaccard index, over its chance level.

        Of edges that may vary, and where `restricted`, of those that end in one of these nodes. Chance is a
        random graph with the same degrees (configuration model), in which an edge u - v of the reference is
        there with probability d_u d_v / 2 m at the most: to first order. An item's distance is in units of
        chance too, of its own where items are graphs; nan where edges end in it, and none of these may vary.
        """
        before, after = self._counted(self.reference), self._counted(graph)
        common = len(np.intersect1d(before, after))
        raw = 1 - common / max(len(before) + len(after) - common, 1)
        _, expected = self._expected()
        chance = _chance(float(expected.sum()), len(expected))
        per_item = self._per_item(before, after, items, chance)
        return InputDistance(raw / chance if chance > 0 else 0.0, raw, chance, per_item.float())

    def _per_item(
        self, before: np.ndarray[Any, Any], after: np.ndarray[Any, Any], items: str, chance: float
    ) -> Tensor:
        """Scaled distance of each item, float64 [items], from the edges whose change is measured."""
        ends, expected = self._expected()
        count = count_items(items, self.reference)
        owners = self.lists.graphs[ends] if items == GRAPHS else ends
        edges = np.bincount(owners, minlength=count) if items in (GRAPHS, NODES) else np.ones(count)
        scale = np.full(count, chance)
        if items == GRAPHS:
            sums = np.bincount(owners, weights=expected, minlength=count)
            scale = np.array([_chance(one, total) for one, total in zip(sums, edges, strict=True)])
        ends = self.lists.owners
        held = np.bincount(self.lists.graphs[ends] if items == GRAPHS else ends, minlength=count)
        scale[(edges == 0) & (held[:count] > 0) | (scale <= 0)] = np.nan
        scale[held[:count] == 0] = 1.0  # no edge, and so no change
        per_item = changed_edges(self._with_keys(after), self._with_keys(before), items, count)
        return per_item / torch.from_numpy(scale)

    def _counted(self, graph: Graph) -> np.ndarray[Any, Any]:
        """Edges whose change is measured, target * n + source, sorted."""
        lists, n = self.lists, self.lists.num_nodes
        source, target = self.edges_of(graph).cpu().numpy()
        owners = lists.owners
        wanted = np.zeros(n, dtype=np.bool_)
        wanted[owners[lists.wanted]] = True
        keys = np.unique(target.astype(np.int64) * n + source)
        fixed = np.delete(owners * n + lists.neighbours, lists.active)
        return np.asarray(keys[wanted[keys // n] & ~np.isin(keys, fixed)])

    def _with_keys(self, keys: np.ndarray[Any, Any]) -> Graph:
        """The reference with these edges alone, target * n + source."""
        target, source = np.divmod(keys, self.lists.num_nodes)
        changed = copy.copy(self.reference)
        changed.edge_index = torch.from_numpy(np.stack([source, target]))
        return changed

    def _expected(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Ends of the reference's edges that are measured, and the chance of each to be there again."""
        lists, n = self.lists, self.lists.num_nodes
        owners = lists.owners
        ends, senders = owners[lists.active], lists.neighbours[lists.active]
        into, out = np.bincount(ends, minlength=n), np.bincount(senders, minlength=n)
        total = np.bincount(lists.graphs[ends], minlength=1)
        ends, senders = owners[lists.wanted], lists.neighbours[lists.wanted]
        return ends, np.minimum(1.0, out[senders] * into[ends] / total[lists.graphs[ends]])

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
            "mutable": len(self.lists.wanted) / max(len(self.lists.edges), 1),
        }


def _chance(expected: float, count: int) -> float:
    """Expected change of `count` edges, `expected` of which are the same by chance: 1 - Jaccard index."""
    return 1 - expected / (2 * count - expected) if count else 0.0
