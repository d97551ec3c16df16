"""Fewest edges that tell two small graphs apart, whatever their nodes are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def edit_distance(edge_index: NDArray[np.int64], other: NDArray[np.int64], num_nodes: int) -> int:
    """Fewest edges to add or take away to turn one graph into the other, with its nodes in any order.

    Parameters
    ----------
    edge_index, other
        Of the graphs, int64 [2, E] each; doubled edges count once. If every edge of both has its reverse, two
        directions are one edge.
    num_nodes
        n, of both.

    Notes
    -----
    The graph edit distance at unit costs without labels: with as many nodes, to take one away and add another
    is never cheaper than to rename it. Exact, by branch and bound over all orders; worse than exponential
    time, so for about a dozen nodes at the most.
    """
    from graph_metamers.graphs.edit_distance_kernel import (  # noqa: PLC0415 (numba loads slowly)
        fewest_changes,
    )

    first, second = (_matrix(edges, num_nodes) for edges in (edge_index, other))
    undirected = np.array_equal(first, first.T) and np.array_equal(second, second.T)
    if undirected:  # every edge is there twice, and so is a self-loop now
        first, second = (matrix + np.diag(np.diag(matrix)) for matrix in (first, second))
    order = np.argsort(-(first + first.T).sum(axis=0), kind="stable")  # hubs first: they prune most
    known = int(np.abs(first - second).sum())  # nodes as they are numbered
    if not known:
        return 0
    changes = int(fewest_changes(np.ascontiguousarray(first[np.ix_(order, order)]), second, known))
    return changes // 2 if undirected else changes


def _matrix(edges: NDArray[np.int64], num_nodes: int) -> NDArray[np.int64]:
    matrix = np.zeros((num_nodes, num_nodes), dtype=np.int64)
    matrix[edges[0], edges[1]] = 1
    return matrix
