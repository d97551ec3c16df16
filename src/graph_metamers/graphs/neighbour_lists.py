"""A graph as lists of neighbours, and what of it may be rewired."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from graph_metamers.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class NeighbourLists:
    """A graph as one list of neighbours for each node; what may be rewired, and the rest.

    Attributes
    ----------
    num_nodes
        n.
    directed
        Whether lists hold sources only; else every edge is in the lists of both its ends.
    starts
        Where each node's list begins, and where the last one ends, int64 [n + 1].
    neighbours
        The nodes in the lists, int64 [slots].
    edges
        Column of `edge_index` that every slot stands for (into the list's node), int64 [slots].
    twins
        Slot of the same edge in the other end's list, int64 [slots]; -1 in a directed graph.
    active
        Slots that may be rewired, int64 [k].
    wanted
        Slots among them of which every swap changes at least one, int64 [w]; all of them unless `restricted`.
    graphs
        The graph of every node, int64 [n]; both edges of a swap are of one graph.
    """

    num_nodes: int
    directed: bool
    starts: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    edges: NDArray[np.int64]
    twins: NDArray[np.int64]
    active: NDArray[np.int64]
    wanted: NDArray[np.int64]
    graphs: NDArray[np.int64]

    @property
    def owners(self) -> NDArray[np.int64]:
        """The node of every slot, int64 [slots]."""
        return np.repeat(np.arange(self.num_nodes), np.diff(self.starts))

    def proposals(self, each: int, least: int) -> int:
        """Swaps to propose: `each` for every slot that is wanted.

        Where only some are, at least `least`, if all would get as many: a slot has as many choices as ever.
        """
        return max(each * len(self.wanted), min(each * len(self.active), least) if self.is_restricted else 0)

    @property
    def is_restricted(self) -> bool:
        """Whether a swap has to change certain lists."""
        return len(self.wanted) < len(self.active)

    @property
    def measured_neighbours(self) -> NDArray[np.int64]:
        """`neighbours`, and -1 for edges of which nothing is said if they are there again, int64 [slots].

        Where `restricted`, these are the edges of other nodes.
        """
        if not self.is_restricted:
            return self.neighbours
        wanted = np.zeros(len(self.neighbours), dtype=np.bool_)
        wanted[self.wanted] = True
        if not self.directed:
            wanted |= wanted[self.twins]
        return np.where(wanted, self.neighbours, -1)

    @property
    def pools(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`active` sorted by graph, int64 [k], and where each graph begins and the last one ends."""
        graph = self.graphs[self.owners[self.active]]
        count = int(self.graphs.max(initial=0)) + 1
        bounds = np.concatenate([[0], np.bincount(graph, minlength=count).cumsum()]).astype(np.int64)
        return self.active[np.argsort(graph, kind="stable")], bounds

    @classmethod
    def of(
        cls,
        edge_index: NDArray[np.int64],
        num_nodes: int,
        *,
        directed: bool,
        fixed: NDArray[np.bool_] | None = None,
        graphs: NDArray[np.int64] | None = None,
    ) -> NeighbourLists:
        """Read a graph.

        Parameters
        ----------
        edge_index
            Sources and targets, int64 [2, E]; of an undirected graph in both directions.
        num_nodes
            n.
        directed
            Whether an edge has a direction.
        fixed
            Edges that must stay, bool [E]. Self-loops and doubled edges stay in any case.
        graphs
            The graph of every node, int64 [n], from 0; default: one graph.

        Raises
        ------
        ParameterError
            If `directed` is false and an edge has no reverse, or an edge joins two graphs.
        """
        source, target = edge_index
        graphs = np.zeros(num_nodes, dtype=np.int64) if graphs is None else graphs
        if crossing := int((graphs[source] != graphs[target]).sum()):
            raise ParameterError(
                "graph", "a batch whose edges stay in one graph each", f"{crossing} that do not"
            )
        order = np.lexsort((source, target))
        starts = np.concatenate([[0], np.bincount(target, minlength=num_nodes).cumsum()]).astype(np.int64)
        neighbours, owners = source[order], target[order]
        keys, back = owners * num_nodes + neighbours, neighbours * num_nodes + owners
        stays = neighbours == owners
        doubled = np.zeros(len(keys), dtype=np.bool_)
        doubled[1:] = keys[1:] == keys[:-1]
        doubled[:-1] |= keys[1:] == keys[:-1]
        stays |= doubled
        if fixed is not None:
            stays |= fixed[order]
        twins = np.full(len(keys), -1, dtype=np.int64)
        if not directed:
            twins = np.searchsorted(keys, back)
            if not np.array_equal(keys[np.minimum(twins, len(keys) - 1)], back):
                raise ParameterError("directed", "True for a graph in which an edge has no reverse", directed)
            stays |= stays[twins]
        active = np.flatnonzero(~stays)
        edges = order.astype(np.int64)
        return cls(num_nodes, directed, starts, neighbours, edges, twins, active, active, graphs)

    def restricted(self, nodes: NDArray[np.bool_]) -> NeighbourLists:
        """The same, in which every swap changes the list of one of some nodes, bool [n], at least.

        The other edge of a swap may be anywhere: else a single node's list could not change.
        """
        return replace(self, wanted=self.wanted[nodes[self.owners[self.wanted]]])

    def twins_of(self, neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
        """`twins` of other neighbours, int64 [slots]; -1 in a directed graph."""
        if self.directed:
            return self.twins
        owners = self.owners
        keys, back = owners * self.num_nodes + neighbours, neighbours * self.num_nodes + owners
        order = np.argsort(keys, kind="stable")
        twins: NDArray[np.int64] = order[np.searchsorted(keys[order], back)]
        return twins

    def kept(self, neighbours: NDArray[np.int64]) -> float:
        """Share of the slots that may be rewired in which a neighbour of the reference is held."""
        return float(self.held_before(neighbours)[self.active].mean()) if len(self.active) else 0.0

    def held_before(self, neighbours: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which slots that may be rewired hold a neighbour of the reference by such an edge, bool [slots]."""
        owners, n = self.owners, self.num_nodes
        before = np.sort((owners * n + self.neighbours)[self.active])
        held = np.zeros(len(neighbours), dtype=np.bool_)
        if len(before):
            now = (owners * n + neighbours)[self.active]
            places = np.minimum(np.searchsorted(before, now), len(before) - 1)
            held[self.active] = before[places] == now
        return held

    def edge_index(self, neighbours: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sources and targets of other lists with these starts, int64 [2, E], each edge in its column."""
        found = np.empty((2, len(edges)), dtype=np.int64)
        found[0, edges], found[1, edges] = neighbours, self.owners
        return found
