"""Weisfeiler-Leman colours: what a node can learn of a graph in so many rounds of messages.

Colours are integers 0, 1, ... without gaps. Two nodes have the same colour after r rounds if and only if they
had the same before, and as many neighbours of every colour over edges of every colour (Weisfeiler and Leman
1968; Morris et al. 2019 for what it says of message passing). No hash is involved, so there are no
collisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_integer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def refine_colours(
    edge_index: NDArray[np.int64],
    num_nodes: int,
    *,
    rounds: int,
    colours: NDArray[np.int64] | None = None,
    edge_colours: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Colours after 0, 1, ..., `rounds` rounds of Weisfeiler-Leman refinement.

    Parameters
    ----------
    edge_index
        Sources and targets, int64 [2, E]; a node looks at the sources of the edges into it. Of an undirected
        graph both directions. Doubled edges count twice.
    num_nodes
        n.
    rounds
        How many, at least 0.
    colours
        Before the first round, int64 [n]; default: all the same.
    edge_colours
        int64 [E]; default: all the same.

    Returns
    -------
    NDArray
        int64 [rounds + 1, n]; row 0 has the given colours, numbered anew. Numbers of different rows, or of
        different graphs, have nothing to do with each other.

    Raises
    ------
    ParameterError
        If colours have another shape, or `rounds` is negative.

    Notes
    -----
    Time O(E log E) a round, and a sort for each degree that occurs; memory O(E).
    """
    check_integer("rounds", rounds, low=0)
    source, target = edge_index
    start = _given("colours", colours, num_nodes)
    seen = _given("edge_colours", edge_colours, len(source))
    found = np.empty((rounds + 1, num_nodes), dtype=np.int64)
    found[0] = start
    degrees = np.bincount(target, minlength=num_nodes)
    starts = np.concatenate([[0], degrees.cumsum()])
    kinds = int(seen.max(initial=0)) + 1
    of_degree = [(degree, np.flatnonzero(degrees == degree)) for degree in np.unique(degrees)]
    for number in range(rounds):
        before = found[number]
        codes = before[source] * kinds + seen
        codes = codes[np.lexsort((codes, target))]  # by target, then sorted: a multiset is a run of them
        known = 0
        for degree, nodes in of_degree:
            places = starts[nodes][:, None] + np.arange(degree)
            rows = np.concatenate([before[nodes, None], codes[places]], axis=1)
            found[number + 1, nodes] = known + rows_as_colours(rows)
            known = int(found[number + 1, nodes].max()) + 1
    return found


def _given(name: str, colours: NDArray[np.int64] | None, count: int) -> NDArray[np.int64]:
    if colours is None:
        return np.zeros(count, dtype=np.int64)
    if colours.shape != (count,):
        raise ParameterError(name, f"of shape [{count}]", list(colours.shape))
    return np.unique(colours, return_inverse=True)[1].reshape(-1).astype(np.int64)


def rows_as_colours(rows: NDArray[np.generic], tolerance: float = 0.0) -> NDArray[np.int64]:
    """A colour for every row, int64 [n]: the same for equal rows, [n, k].

    Parameters
    ----------
    rows
        Of numbers.
    tolerance
        Numbers of a column that follow each other, when sorted, within this share of the largest absolute
        value of all of them count as equal. For what is equal but for rounding.

    Notes
    -----
    Time O(n k log n).
    """
    if not rows.shape[1]:
        return np.zeros(len(rows), dtype=np.int64)
    distinct, places = np.unique(rows, axis=0, return_inverse=True)
    colours: NDArray[np.int64] = places.reshape(-1).astype(np.int64)
    if not tolerance or len(distinct) < 2:
        return colours
    gap = tolerance * float(np.abs(distinct).max())
    order = np.argsort(distinct, axis=0)
    steps: NDArray[np.bool_] = np.diff(np.take_along_axis(distinct, order, axis=0), axis=0) > gap
    ranks = np.zeros(distinct.shape, dtype=np.int64)
    np.put_along_axis(ranks, order[1:], steps.cumsum(axis=0), axis=0)
    merged: NDArray[np.int64] = rows_as_colours(ranks)[colours]
    return merged


def joined_colours(*colours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Colours, [n], that are the same where all the given ones are, int64 [n] each."""
    return rows_as_colours(np.stack(colours, axis=1))


def rounds_to_tell_apart(
    edge_index: NDArray[np.int64],
    other: NDArray[np.int64],
    *,
    colours: NDArray[np.int64],
    edge_colours: NDArray[np.int64] | None = None,
    other_edge_colours: NDArray[np.int64] | None = None,
) -> int | None:
    """Rounds of refinement after which two graphs on the same coloured nodes have different colours.

    Parameters
    ----------
    edge_index, other
        Of the two graphs, int64 [2, E] each.
    colours
        Of their nodes, int64 [n].
    edge_colours, other_edge_colours
        int64 [E] each; numbers mean the same in both.

    Returns
    -------
    int or None
        A number says that the second graph is not the first one with its nodes in another order, however they
        are ordered. `None` says nothing: refinement does not tell all graphs apart.

    Notes
    -----
    Time as `refine_colours` of both graphs together, for as many rounds as it takes.
    """
    n = len(colours)
    both = np.concatenate([edge_index, other + n], axis=1)
    marks = [
        np.zeros(edges.shape[1], dtype=np.int64) if given is None else given
        for edges, given in ((edge_index, edge_colours), (other, other_edge_colours))
    ]
    now = np.concatenate([colours, colours])
    known, number = len(np.unique(now)), 0
    while True:
        number += 1
        now = refine_colours(both, 2 * n, rounds=1, colours=now, edge_colours=np.concatenate(marks))[1]
        found = int(now.max(initial=-1)) + 1
        if not np.array_equal(np.bincount(now[:n], minlength=found), np.bincount(now[n:], minlength=found)):
            return number
        if found == known:
            return None
        known = found


def graphs_told_apart(
    edge_index: NDArray[np.int64],
    other: NDArray[np.int64],
    graphs: NDArray[np.int64],
    *,
    colours: NDArray[np.int64],
    edge_colours: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """Which graphs of a batch are proved to be others by refinement, bool [graphs].

    Parameters
    ----------
    edge_index, other
        Of the batch and of the changed one, int64 [2, E] each.
    graphs
        The graph of every node in both, int64 [n], from 0.
    colours
        Of the nodes, int64 [n].
    edge_colours
        Of the columns in both, int64 [E].

    Notes
    -----
    As `rounds_to_tell_apart`: true is a proof, false says nothing. Refined until colours stay.
    """
    n = len(colours)
    both = np.concatenate([edge_index, other + n], axis=1)
    marks = np.zeros(edge_index.shape[1], dtype=np.int64) if edge_colours is None else edge_colours
    now, known = np.concatenate([colours, colours]), -1
    while (found := len(np.unique(now))) > known:
        known = found
        now = refine_colours(both, 2 * n, rounds=1, colours=now, edge_colours=np.tile(marks, 2))[1]
    first, second = (part[np.lexsort((part, graphs))] for part in (now[:n], now[n:]))
    return np.asarray(np.bincount(np.sort(graphs), weights=first != second) > 0)
