"""Edges of some edge types may vary, in a graph with several kinds of nodes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graph_metamers.errors import ParameterError
from graph_metamers.graphs.neighbour_lists import NeighbourLists
from graph_metamers.inputs.relations import EdgeType, Relations, grouped
from graph_metamers.inputs.structure import Structure, StructureVariables, bool_mask
from graph_metamers.reading.items import GRAPHS, NODES, num_graphs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from graph_metamers.types import Graph

FEWEST_EDGES = 2


@dataclass(frozen=True, eq=False)
class StructureByType:
    """What may vary about each edge type; the types that are not named stay.

    Attributes
    ----------
    parts
        (source type, relation, target type) -> `"structure"` or a `Structure`.
    """

    parts: Mapping[EdgeType, Any]

    @classmethod
    def everywhere(cls, structure: Structure, graph: HeteroData) -> StructureByType:
        """The same for all edge types of which two edges may change ends.

        Raises
        ------
        ParameterError
            If it protects edges or nodes, or there is no such type.
        """
        for name in ("protected", "protected_nodes"):
            if getattr(structure, name) is not None:
                must = "given by edge type for several of them, as in vary={edge_type: gm.Structure(...)}"
                raise ParameterError(name, must, f"{name} for all of them")
        stores = {name: graph[name] for name in graph.edge_types if "edge_index" in graph[name]}
        chosen = [name for name, store in stores.items() if store.edge_index.shape[1] >= FEWEST_EDGES]
        if not chosen:
            raise ParameterError("vary", "something else than 'structure': no two edges may vary", structure)
        return cls(dict.fromkeys(chosen, structure))

    def variables(self, graph: Graph) -> HeteroStructureVariables:
        """The graphs that may be reached from a reference.

        Raises
        ------
        ParameterError
            If the graph has no edge types or is a batch, one that is named is not there or has nothing to
            rewire, or they cannot vary together (see `grouped`).
        """
        parts = self._checked(graph)
        groups, directed = grouped(graph, {name: part.directed for name, part in parts.items()})
        relations = Relations.of(graph, groups, directed=directed)
        lists = NeighbourLists.of(
            relations.joined(graph).cpu().numpy(),
            relations.num_nodes,
            directed=directed,
            fixed=_fixed(relations, parts),
        )
        lists = replace(lists, graphs=relations.blocks)  # edges change ends within one relation alone
        movable = np.bincount(
            relations.blocks[lists.owners[lists.active]], minlength=len(relations.node_types)
        )
        for part in relations.parts:
            if part.name in parts and movable[relations.blocks[part.target]] < FEWEST_EDGES:
                raise ParameterError("vary", "about edge types of which two edges may vary", part.name)
        rules = {part.reference_edges for part in parts.values()}
        if len(rules) > 1:
            raise ParameterError("reference_edges", "the same for all edge types", sorted(rules))
        return HeteroStructureVariables(
            graph, lists, Structure(reference_edges=next(iter(rules))), relations=relations
        )

    def _checked(self, graph: Graph) -> dict[EdgeType, Structure]:
        if not isinstance(graph, HeteroData):
            raise ParameterError("vary", "'structure' for a graph without edge types", list(self.parts))
        if num_graphs(graph) > 1:
            raise ParameterError(
                "vary", "about features for several graphs with several kinds of nodes", "structure"
            )
        found = {}
        for name, part in self.parts.items():
            if name not in graph.edge_types or "edge_index" not in graph[name]:
                known = ", ".join(map(str, graph.edge_types))
                raise ParameterError("vary", f"about edges by edge types of the graph ({known})", name)
            if part != "structure" and not isinstance(part, Structure):
                raise ParameterError("vary", "'structure' or a Structure for an edge type", part)
            if part != "structure" and part.preserve == "edges":
                raise ParameterError("preserve", "'degrees' for several kinds of nodes", part.preserve)
            found[name] = part if isinstance(part, Structure) else Structure()
        return found


def _fixed(relations: Relations, parts: Mapping[EdgeType, Structure]) -> NDArray[np.bool_]:
    """Edges of the whole that must stay, bool [E]; of a type and its reverse it is enough to say it once."""
    found = np.zeros(sum(part.num_edges for part in relations.parts), dtype=np.bool_)
    for relation in relations.parts:
        structure = parts.get(relation.name)
        if structure is None:
            continue
        if structure.protected_nodes is not None:
            must = "left out for edge types: give the edges, protected="
            raise ParameterError("protected_nodes", must, f"a mask for {relation.name}")
        found[relation.columns] = bool_mask("protected", structure.protected, relation.num_edges)
    return found


@dataclass(frozen=True, eq=False)
class HeteroStructureVariables(StructureVariables):
    """A reference graph in which the edges of some types may be rewired.

    Every node keeps, for each of these types, how many edges leave and enter it.

    Attributes
    ----------
    relations
        These types side by side: `lists` and `edge_index` are about them.
    """

    relations: Relations = field(kw_only=True)

    @property
    def has_graphs(self) -> bool:
        """Whether the reference is a batch of several graphs: never."""
        return False

    def with_edges(self, graph: Graph, edge_index: Tensor) -> Graph:
        """A shallow copy of a graph with other edges, int64 [2, E] side by side."""
        return self.relations.written(graph, edge_index)

    def edges_of(self, graph: Graph) -> Tensor:
        """Sources and targets of a graph, int64 [2, E] side by side."""
        return self.relations.joined(graph)

    def _per_item(
        self, before: NDArray[np.int64], after: NDArray[np.int64], items: str, chance: float
    ) -> Tensor:
        kind, _, node_type = items.partition(":")
        count = (
            int(self.reference[node_type].num_nodes) if kind == NODES and node_type else int(kind == GRAPHS)
        )
        owner = self.relations.items(items, count)

        def tally(nodes: NDArray[np.int64]) -> NDArray[np.int64]:
            found = owner[nodes]
            return np.bincount(found[found >= 0], minlength=count)

        n, lists = self.lists.num_nodes, self.lists
        common, either = tally(np.intersect1d(before, after) // n), tally(np.union1d(before, after) // n)
        changed = np.where(either > 0, 1 - common / np.maximum(either, 1), 0.0)
        scaled = changed / (chance if chance > 0 else np.nan)
        stuck = (tally(lists.owners[lists.wanted]) == 0) & self._entered(node_type, count)
        return torch.from_numpy(np.where(stuck, np.nan, scaled))

    def _entered(self, node_type: str, count: int) -> NDArray[np.bool_]:
        """Nodes of a type in which an edge ends, bool [count]; all graphs."""
        found = np.full(count, not node_type)
        for store in self.reference.edge_stores:
            if store._key[2] == node_type and "edge_index" in store:
                found[store.edge_index[1].cpu().numpy()] = True
        return found

    def describe(self) -> dict[str, Any]:
        """What may vary, for the record of a search."""
        return {**super().describe(), "edge_types": [list(part.name) for part in self.relations.parts]}
