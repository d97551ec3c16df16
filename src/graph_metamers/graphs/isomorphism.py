"""Are two graphs the same but for the names of their nodes? Exact, and quick where an invariant says no.

Invariants come first, because a search for a map of nodes can be slow where all nodes look alike, as in
strongly regular graphs; networkx (VF2++, Juttner and Madarasi 2018) decides what they leave open.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from torch import Tensor
    from torch_geometric.data import Data

__all__ = ["stable_colours", "what_differs"]

Colours = list[int]


def what_differs(graph: Data, other: Data) -> str | None:
    """What tells two graphs apart, however their nodes are named.

    Parameters
    ----------
    graph, other
        With undirected edges, each in both directions and once; rows of `x`, where there is one, are labels
        that a map of nodes has to keep.

    Returns
    -------
    str or None
        The first of `size`, `colours`, `pairs of nodes`, `colours around a node` and `no map of nodes` that
        differs; `None` if the graphs are isomorphic.

    Notes
    -----
    Colours are those of Weisfeiler and Leman 1968. Of each pair of nodes it is counted whether they are
    joined, how many neighbours they share, and how many edges are among these (which tells apart strongly
    regular graphs: of joined nodes it counts 4-cliques). For graphs of up to some hundred nodes: time O(n^4),
    in products of matrices; memory O(n^2); a search for a map of nodes that all look alike may take longer.
    """
    sides = (_Side(graph), _Side(other))
    names = _Names()
    if sides[0].size != sides[1].size:
        return "size"
    colours = [_refined(side, names, [names(label) for label in side.labels]) for side in sides]
    if Counter(colours[0]) != Counter(colours[1]):
        return "colours"
    pairs = [_refined(s, names, _of_pairs(s, c, names)) for s, c in zip(sides, colours, strict=True)]
    if Counter(pairs[0]) != Counter(pairs[1]):
        return "pairs of nodes"
    around = [
        [_around(s, c, node, names) for node in range(len(c))] for s, c in zip(sides, pairs, strict=True)
    ]
    if Counter(around[0]) != Counter(around[1]):
        return "colours around a node"
    maps = [side.networkx(found) for side, found in zip(sides, around, strict=True)]
    return None if nx.vf2pp_is_isomorphic(*maps, node_label="colour") else "no map of nodes"


def stable_colours(graph: Data, other: Data) -> tuple[Colours, Colours]:
    """Weisfeiler-Leman colours of two graphs, [n] each, when another round tells no more nodes apart.

    Nodes of either graph that have one colour look alike to any message-passing model of any depth.

    Parameters
    ----------
    graph, other
        As `what_differs` has them.
    """
    # As one graph: each alone might need another number of rounds.
    one, two = _Side(graph), _Side(other)
    names, n = _Names(), len(one.labels)
    both = _Side.of(
        [*one.neighbours, *([u + n for u in row] for row in two.neighbours)], [*one.labels, *two.labels]
    )
    colours = _refined(both, names, [names(label) for label in both.labels])
    return colours[:n], colours[n:]


class _Names:
    """Small numbers for descriptions, the same number for equal ones."""

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}

    def __call__(self, description: Hashable) -> int:
        return self._known.setdefault(description, len(self._known))


class _Side:
    """One of two graphs: who is whose neighbour, and labels."""

    neighbours: list[list[int]]
    labels: list[Hashable]

    def __init__(self, graph: Data) -> None:
        n = int(graph.num_nodes or 0)
        self.neighbours = [[] for _ in range(n)]
        for u, v in graph.edge_index.T.tolist():
            self.neighbours[v].append(u)
        self.labels = _labels(graph.x, n)

    @classmethod
    def of(cls, neighbours: list[list[int]], labels: list[Hashable]) -> _Side:
        """From neighbours and labels."""
        side = cls.__new__(cls)
        side.neighbours, side.labels = neighbours, labels
        return side

    @property
    def size(self) -> tuple[int, int]:
        """Number of nodes, and of edges in both directions."""
        return len(self.neighbours), sum(map(len, self.neighbours))

    @property
    def adjacency(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """A, float64 [n, n]."""
        dense = np.zeros((len(self.neighbours), len(self.neighbours)))
        for v, row in enumerate(self.neighbours):
            dense[v, row] = 1
        return dense

    def networkx(self, colours: Sequence[int]) -> nx.Graph:
        """The graph with a colour at each node."""
        made = nx.Graph()
        made.add_nodes_from((v, {"colour": colour}) for v, colour in enumerate(colours))
        made.add_edges_from((u, v) for v, row in enumerate(self.neighbours) for u in row)
        return made


def _labels(x: Tensor | None, num_nodes: int) -> list[Hashable]:
    return [()] * num_nodes if x is None else [tuple(row) for row in x.flatten(1).tolist()]


def _refined(side: _Side, names: _Names, colours: Colours) -> Colours:
    """Colours when another round tells no more nodes apart; the number of rounds is part of them."""
    while True:
        finer = [
            names((colour, tuple(sorted(colours[u] for u in row))))
            for colour, row in zip(colours, side.neighbours, strict=True)
        ]
        if len(set(finer)) == len(set(colours)):
            return finer
        colours = finer


def _of_pairs(side: _Side, colours: Colours, names: _Names) -> Colours:
    """What each node's pairs with all others look like."""
    adjacency = side.adjacency
    found = []
    for v, joined in enumerate(adjacency):
        shared = adjacency * joined  # [n, n]: row u has the neighbours that u and v share
        among = ((shared @ adjacency) * shared).sum(axis=1)  # twice the edges among them
        counted = zip(joined, shared.sum(axis=1), among, colours, strict=True)
        rows = sorted(tuple(map(int, row)) for row in counted)
        found.append(names((colours[v], tuple(rows))))
    return found


def _around(side: _Side, colours: Colours, node: int, names: _Names) -> int:
    """What the graph looks like from one node, which gets a colour of its own."""
    marked = [names((colour, v == node)) for v, colour in enumerate(colours)]
    return names(tuple(sorted(_refined(side, names, marked))))
