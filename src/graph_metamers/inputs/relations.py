"""Edge types that vary, as edges of one graph: its nodes are the nodes at either end of each type."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graph_metamers.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch_geometric.data import HeteroData

    from graph_metamers.types import Graph

EdgeType: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class Relation:
    """An edge type, and where it is among the nodes and edges of the whole.

    Attributes
    ----------
    name
        (source type, relation, target type).
    source, target
        First node of either end.
    num_sources, num_targets
        Nodes of either end.
    column, num_edges
        First of its edges, and how many.
    """

    name: EdgeType
    source: int
    target: int
    num_sources: int
    num_targets: int
    column: int
    num_edges: int

    @property
    def sources(self) -> slice:
        """Nodes that send."""
        return slice(self.source, self.source + self.num_sources)

    @property
    def targets(self) -> slice:
        """Nodes that are sent to."""
        return slice(self.target, self.target + self.num_targets)

    @property
    def columns(self) -> slice:
        """Its edges."""
        return slice(self.column, self.column + self.num_edges)


@dataclass(frozen=True, eq=False)
class Relations:
    """Edge types side by side.

    Attributes
    ----------
    parts
        The edge types, in the order of their edges.
    num_nodes
        Of the whole, n: a type of nodes is there as often as a varying relation has it at an end.
    blocks
        Which of these ends each node is at, int64 [n].
    node_types
        Type of the nodes of each end.
    directed
        Whether edges have no reverse.

    Notes
    -----
    Types that are each other's reverse, such as `writes` and `rev_writes`, share their ends, and each is the
    other direction of the other's edges. Their nodes are numbered from those on that the first one enters:
    so an edge's first column is that of the end with the lower number, as in a graph with one type of nodes.
    """

    parts: tuple[Relation, ...]
    num_nodes: int
    blocks: NDArray[np.int64]
    node_types: tuple[str, ...]
    directed: bool

    @classmethod
    def of(cls, graph: HeteroData, groups: Sequence[Sequence[EdgeType]], *, directed: bool) -> Relations:
        """Put edge types side by side.

        Parameters
        ----------
        groups
            One edge type each, or one and its reverse.
        """
        parts: list[Relation] = []
        blocks: list[str] = []
        node = column = 0
        for group in groups:
            source, _, target = group[0]
            first: dict[str, int] = {}
            for end in (target, source):
                if end not in first:
                    first[end] = node
                    blocks.append(end)
                    node += int(graph[end].num_nodes)
            for name in group:
                ends = [(first[end], int(graph[end].num_nodes)) for end in (name[0], name[2])]
                (source_at, sources), (target_at, targets) = ends
                count = graph[name].edge_index.shape[1]
                parts.append(Relation(name, source_at, target_at, sources, targets, column, count))
                column += count
        sizes = [int(graph[end].num_nodes) for end in blocks]
        return cls(tuple(parts), node, np.repeat(np.arange(len(sizes)), sizes), tuple(blocks), directed)

    def joined(self, graph: Graph) -> Tensor:
        """The edges of the whole, int64 [2, E]."""
        return torch.cat(
            [graph[r.name].edge_index + torch.tensor([[r.source], [r.target]]) for r in self.parts], dim=1
        )

    def parted(self, edge_index: Tensor) -> dict[EdgeType, Tensor]:
        """The edges of each type, int64 [2, E_r], from those of the whole."""
        return {r.name: edge_index[:, r.columns] - torch.tensor([[r.source], [r.target]]) for r in self.parts}

    def written(self, graph: Graph, edge_index: Tensor) -> Graph:
        """A shallow copy of a graph with other edges of these types."""
        changed = copy.copy(graph)
        for name, edges in self.parted(edge_index).items():
            changed[name].edge_index = edges.to(graph[name].edge_index.device)
        return changed

    def items(self, items: str, count: int) -> NDArray[np.int64]:
        """Item of each node of the whole, int64 [n]; -1 for nodes of other types.

        Parameters
        ----------
        items, count
            What the items are, as `Layer.items` says, and how many.
        """
        kind, _, node_type = items.partition(":")
        if kind == "graphs":
            return np.zeros(self.num_nodes, dtype=np.int64)
        found = np.full(self.num_nodes, -1, dtype=np.int64)
        for block, name in enumerate(self.node_types):
            nodes = np.flatnonzero(self.blocks == block)
            if name == node_type and len(nodes) == count:
                found[nodes] = np.arange(count)
        return found


def grouped(graph: HeteroData, chosen: Mapping[EdgeType, bool | None]) -> tuple[list[list[EdgeType]], bool]:
    """Edge types with the reverses that go with them, and whether edges have a direction.

    Parameters
    ----------
    graph
        The reference.
    chosen
        What was named, and what was said about `directed`.

    Raises
    ------
    ParameterError
        If there is no such type, one joins nodes of one type and its reverse is a type of its own, or some
        have directions and others do not.
    """
    groups: list[list[EdgeType]] = []
    with_direction: list[EdgeType] = []
    done: set[EdgeType] = set()
    for name, directed in chosen.items():
        if name in done:
            continue
        reverse = None if directed else _reverse(graph, name)
        if _has_direction(name, directed, reverse):
            with_direction.append(name)
        group = [name] if reverse is None or reverse == name else [name, reverse]
        done.update(group)
        groups.append(group)
    if 0 < len(with_direction) < len(groups):
        raise ParameterError(
            "vary",
            "about edge types that all have their reverse in the graph, or none of which has",
            f"{', '.join(map(str, with_direction))} without, and others with it",
            "Name some of them, as in vary={edge_type: gm.Structure()}",
        )
    return groups, bool(with_direction)


def _has_direction(name: EdgeType, directed: bool | None, reverse: EdgeType | None) -> bool:
    if reverse is None and directed is False:
        raise ParameterError("directed", "True or left out for edges without a reverse", name)
    if reverse not in (None, name) and name[0] == name[2]:
        raise ParameterError(
            "vary",
            "about edge types whose reverse is no type of its own, where both ends are of one type",
            f"{name} and its reverse {reverse}",
            "gm.Structure(directed=True) lets one of them vary alone",
        )
    return reverse is None


def _reverse(graph: HeteroData, name: EdgeType) -> EdgeType | None:
    """The edge type that has the reverses of a type's edges: itself, another one, or `None`."""
    source, _, target = name
    keys = _keys(graph, name, reverse=True)
    if source == target and np.array_equal(keys, _keys(graph, name)):
        return name
    ends = (target, source)
    others = [one for one in graph.edge_types if (one[0], one[2]) == ends and "edge_index" in graph[one]]
    fitting: list[EdgeType] = [one for one in others if np.array_equal(keys, _keys(graph, one))]
    return next((one for one in fitting if one != name), None)


def _keys(graph: HeteroData, name: EdgeType, *, reverse: bool = False) -> NDArray[Any]:
    source, target = graph[name].edge_index.cpu().numpy()
    if reverse:
        source, target = target, source
    size = max(int(graph[end].num_nodes) for end in (name[0], name[2]))
    return np.sort(source.astype(np.int64) * size + target)
