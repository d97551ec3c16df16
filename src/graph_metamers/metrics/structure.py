"""How alike the edges of two graphs are, and what of a graph rewiring leaves: homophily, clustering, degrees.

Edges are `edge_index`, int64 [2, E], sources and targets; an undirected edge is there in both directions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import coo_array
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

ROWS_AT_ONCE = 1024  # of the squared adjacency matrix, which is never held as a whole


def edge_overlap(changed: Tensor, reference: Tensor, num_nodes: int) -> float:
    """Jaccard index of two sets of edges, |both| / |either|, in [0, 1]; nan without edges.

    Doubled edges count once.

    Examples
    --------
    >>> edge_overlap(torch.tensor([[0, 1], [1, 2]]), torch.tensor([[0, 1], [1, 3]]), 4)
    0.3333333333333333
    """
    ours, theirs = (np.unique(_keys(edges, num_nodes)) for edges in (changed, reference))
    both = len(np.intersect1d(ours, theirs, assume_unique=True))
    either = len(ours) + len(theirs) - both
    return both / either if either else math.nan


def label_homophily(edge_index: Tensor, labels: Tensor) -> float:
    """Share of edges that join two nodes of one class, in [0, 1]; nan without edges.

    Parameters
    ----------
    edge_index
        int64 [2, E].
    labels
        Class of every node, int64 [n].

    Notes
    -----
    Source: Zhu et al. 2020, "Beyond Homophily in Graph Neural Networks" (edge homophily).
    """
    source, target = edge_index
    return float((labels[source] == labels[target]).double().mean())


def kept_degrees(changed: Tensor, reference: Tensor, num_nodes: int) -> float:
    """Share of nodes whose in-degree and out-degree are those of the reference, in [0, 1]."""
    same = torch.ones(num_nodes, dtype=torch.bool)
    for ours, theirs in zip(changed.cpu(), reference.cpu(), strict=True):
        same &= torch.bincount(ours, minlength=num_nodes) == torch.bincount(theirs, minlength=num_nodes)
    return float(same.double().mean())


def clustering_coefficient(edge_index: Tensor, num_nodes: int) -> float:
    """Mean over all nodes of the share of pairs of a node's neighbours that are joined themselves, in [0, 1].

    Directions, doubled edges and self-loops do not count; a node with fewer than two neighbours has 0, as in
    networkx's `average_clustering`. nan without nodes.

    Notes
    -----
    Source: Watts and Strogatz 1998. Exact; O(sum of squared degrees) time, a block of rows in memory.
    """
    if num_nodes == 0:
        return math.nan
    joined = joined_pairs(edge_index, num_nodes)
    return float(local_clustering(joined, np.arange(num_nodes)).mean())


def joined_pairs(edge_index: Tensor, num_nodes: int) -> csr_array:
    """Which nodes are joined in either direction, int64 [n, n] of 0 and 1; no self-loops."""
    source, target = edge_index.cpu().numpy()
    proper = source != target
    ends = np.concatenate([source[proper], target[proper]]), np.concatenate([target[proper], source[proper]])
    joined = coo_array((np.ones(len(ends[0]), dtype=np.int64), ends), shape=(num_nodes, num_nodes)).tocsr()
    joined.data[:] = 1  # doubled edges were added up
    return joined


def local_clustering(joined: csr_array, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of pairs of a node's neighbours that are joined themselves, for some nodes, float64 [nodes].

    Parameters
    ----------
    joined
        As `joined_pairs` says.
    nodes
        int64 [nodes].

    Notes
    -----
    O(sum of the degrees of all neighbours of these nodes) time, a block of rows in memory.
    """
    degrees = np.diff(joined.indptr).astype(np.float64)[nodes]
    closed = np.zeros(len(nodes))  # twice the triangles at each node
    for first in range(0, len(nodes), ROWS_AT_ONCE):
        rows = joined[nodes[first : first + ROWS_AT_ONCE]]
        closed[first : first + ROWS_AT_ONCE] = (rows @ joined).multiply(rows).sum(axis=1)
    pairs = degrees * (degrees - 1)
    shares: NDArray[np.float64] = np.divide(closed, pairs, out=np.zeros(len(nodes)), where=pairs > 0)
    return shares


def _keys(edge_index: Tensor, num_nodes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    source, target = edge_index.cpu().numpy().astype(np.int64)
    keys: np.ndarray[tuple[int], np.dtype[np.int64]] = source * num_nodes + target
    return keys
