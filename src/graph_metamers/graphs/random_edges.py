"""A random graph with as many edges: all such graphs are equally likely (Gilbert's and Erdős and Rényi's)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def random_edges(
    edge_index: NDArray[np.int64],
    num_nodes: int,
    generator: np.random.Generator,
    *,
    graphs: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """As many edges between random nodes.

    Parameters
    ----------
    edge_index
        Sources and targets of the reference, int64 [2, E]; undirected if every edge has its reverse.
    num_nodes
        n.
    generator
        Where randomness comes from.
    graphs
        The graph of every node, int64 [n], of a batch: each keeps its number of edges.

    Returns
    -------
    NDArray
        int64 [2, m]; undirected where the reference is. Self-loops stay, doubled edges are drawn once.

    Notes
    -----
    O(E) time and memory for sparse graphs, and at most O(n^2).
    """
    graphs = np.zeros(num_nodes, dtype=np.int64) if graphs is None else graphs
    distinct = np.unique(edge_index, axis=1)
    source, target = distinct
    loops = distinct[:, source == target]
    proper = distinct[:, source != target]
    keys, back = proper[0] * num_nodes + proper[1], proper[1] * num_nodes + proper[0]
    directed = not np.array_equal(np.sort(keys), np.sort(back))
    drawn = [loops]
    order = np.argsort(graphs, kind="stable")
    for nodes in np.split(order, np.cumsum(np.bincount(graphs))[:-1]):
        inside = int((graphs[proper[0]] == graphs[nodes[0]]).sum()) if len(nodes) else 0
        if not inside:
            continue
        if directed:
            drawn.append(nodes[_ordered_pairs(len(nodes), inside, generator)])
        else:
            pairs = nodes[_pairs(len(nodes), inside // 2, generator)]
            drawn += [pairs, pairs[::-1]]
    return np.concatenate(drawn, axis=1)


def _pairs(count: int, size: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Some of the pairs i < j of `count` nodes, each at most once, int64 [2, size]."""
    places = generator.choice(count * (count - 1) // 2, size=size, replace=False, shuffle=False)
    # Pair number p is (i, j) with j (j - 1) / 2 + i = p; the root may be off by one by rounding.
    j = ((1 + np.sqrt(1 + 8 * places.astype(np.float64))) // 2).astype(np.int64)
    j += (j * (j + 1) // 2 <= places).astype(np.int64)
    j -= (j * (j - 1) // 2 > places).astype(np.int64)
    return np.stack([places - j * (j - 1) // 2, j]).astype(np.int64)


def _ordered_pairs(count: int, size: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Some of the ordered pairs i != j of `count` nodes, each at most once, int64 [2, size]."""
    places = generator.choice(count * (count - 1), size=size, replace=False, shuffle=False)
    i, j = np.divmod(places, count - 1)
    return np.stack([i, j + (j >= i)]).astype(np.int64)
