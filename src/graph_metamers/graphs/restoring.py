"""Restoring: where only some lists of neighbours are wanted, other edges become those of the reference again.

A search that changes the lists of some nodes takes the other edge of a swap from anywhere, and ends with
another graph everywhere. What it was for are the lists of these nodes. They stay, and swaps among all other
edges bring back what can be brought back with every degree as it is. *Ours.*
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graph_metamers.graphs.neighbour_lists import NeighbourLists


def restored(
    lists: NeighbourLists, neighbours: NDArray[np.int64], edges: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Neighbours and edges with the same lists of the nodes that are wanted, and elsewhere of the reference.

    Parameters
    ----------
    lists
        The reference, `restricted` to some nodes.
    neighbours, edges
        Other lists, as `NeighbourLists` has them; not changed.

    Notes
    -----
    Swaps are made as long as one brings an edge back that no later one takes away; degrees may leave some new
    edges, about one for each edge of the nodes that are wanted. Edges that are back have their columns again.
    Time O(E d^2) for lists of d nodes.
    """
    from graph_metamers.graphs import restoring_kernel as kernel  # noqa: PLC0415 (numba loads slowly)

    owners, neighbours, edges = lists.owners, neighbours.copy(), edges.copy()
    may_move = np.zeros(len(owners), dtype=np.bool_)
    may_move[lists.active] = True
    inside = wanted_nodes(lists)
    rules = (lists.neighbours, inside, may_move)
    if lists.directed:
        made = 1
        while made:
            by_source = np.argsort(neighbours, kind="stable")
            counts = np.bincount(neighbours, minlength=lists.num_nodes)
            sources = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
            made = kernel.restore_directed(
                lists.starts, neighbours, owners, edges, *rules, by_source, sources
            )
    else:
        twins = lists.twins_of(neighbours)
        while kernel.restore_undirected(lists.starts, neighbours, twins, owners, edges, *rules):
            pass
    return neighbours, _own_columns(lists, neighbours, edges, inside)


def wanted_nodes(lists: NeighbourLists) -> NDArray[np.bool_]:
    """Nodes whose lists have to change, bool [n]."""
    nodes = np.zeros(lists.num_nodes, dtype=np.bool_)
    nodes[lists.owners[lists.wanted]] = True
    return nodes


def _own_columns(
    lists: NeighbourLists,
    neighbours: NDArray[np.int64],
    edges: NDArray[np.int64],
    inside: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Columns of the slots: those of the reference for edges that are back, and what is left for the others.

    The two slots of an undirected edge have the two columns of one edge. Each graph keeps its own columns.
    """
    owners, n = lists.owners, lists.num_nodes
    before, now = owners * n + lists.neighbours, owners * n + neighbours
    places = np.minimum(np.searchsorted(before, now), len(before) - 1)  # `before` is sorted
    settled = (before[places] == now) & ~inside[owners]
    twins, other = np.arange(len(edges)), np.arange(len(edges))  # slot and column of the other direction
    if not lists.directed:
        settled &= ~inside[neighbours]
        twins = lists.twins_of(neighbours)
        other[lists.edges] = lists.edges[lists.twins]
    fixed = np.ones(len(edges), dtype=np.bool_)
    fixed[lists.active] = False
    found = edges.copy()
    found[settled] = lists.edges[places[settled]]
    found[fixed] = lists.edges[fixed]
    taken = np.zeros(len(edges), dtype=np.bool_)
    taken[found[settled | fixed]] = True
    moved = np.flatnonzero(~(settled | fixed))
    moved = moved[moved <= twins[moved]]  # each edge once
    seeking, staying = moved[taken[edges[moved]]], moved[~taken[edges[moved]]]
    taken[edges[staying]] = taken[edges[twins[staying]]] = True
    left = np.flatnonzero(~taken)
    left = left[left <= other[left]]
    graph_of_column = np.empty(len(edges), dtype=np.int64)
    graph_of_column[lists.edges] = lists.graphs[owners]
    left = left[np.argsort(graph_of_column[left], kind="stable")]
    seeking = seeking[np.argsort(lists.graphs[owners[seeking]], kind="stable")]
    found[seeking], found[twins[seeking]] = left, other[left]
    return found
