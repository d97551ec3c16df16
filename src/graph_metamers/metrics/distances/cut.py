"""Cut distance between two graphs on the same nodes, from below and from above.

For sets S and T of nodes, let e(S, T) be the number of edges from S into T. The *labelled cut distance* is
the largest |e'(S, T) - e(S, T)| over all S and T, here over the mean number of edges of the two graphs (over
n^2 it would vanish for sparse graphs). No graph of more than some twenty nodes can be searched for it (it is
NP-hard), so there are two ends:

- from below, the best pair S, T that a search has found: such a pair exists;
- from above, a bound that no pair exceeds, by the largest singular value of the difference of the matrices.

The labelled distance is itself an upper bound of the cut distance that allows the nodes of one graph to be
put in another order first. Of that one the lower end says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import svds

from graph_metamers.arrays import array_of
from graph_metamers.metrics.distances.registry import Reading, Seen, StructureDistance, register

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array
    from torch import Tensor

DENSE_UP_TO = 300  # nodes whose singular values are all computed
SLACK = 1e-9  # relative: what the computed singular value may lack
MOST_STEPS = 100


def adjacency(edge_index: Tensor, num_nodes: int) -> csr_array:
    """Which edges there are, float64 [n, n] of 0 and 1, from row to column; doubled ones count once."""
    source, target = array_of(edge_index)
    matrix = coo_array((np.ones(len(source)), (source, target)), shape=(num_nodes, num_nodes)).tocsr()
    matrix.data[:] = 1.0
    return matrix


def leading_directions(
    matrix: csr_array, count: int, generator: np.random.Generator
) -> tuple[float, NDArray[np.float64]]:
    """The largest singular value, and the `count` leading left singular vectors, float64 [n, count]."""
    num_nodes = matrix.shape[0]
    if num_nodes <= max(DENSE_UP_TO, count + 1):
        left, sigma, _ = np.linalg.svd(matrix.toarray())
        return float(sigma[0]), left[:, :count]
    start = generator.standard_normal(num_nodes)
    left, sigma, _ = svds(matrix, k=count, v0=start, tol=0)
    return float(sigma.max()), left


def bound_from_above(matrix: csr_array, sigma: float) -> float:
    """What no |sum over S x T| of the entries exceeds, for any sets S of rows and T of columns.

    Parameters
    ----------
    matrix
        D, float64 [n, n].
    sigma
        Its largest singular value.

    Notes
    -----
    The least of three. All positive entries, or all negative ones. sigma sqrt(r c), by Cauchy and Schwarz,
    with r rows and c columns that are not zero. And with 1_S = (1 + s) / 2, s of +-1, and the same for T:
    (|1'D1| + |D1|_1 + |D'1|_1 + sigma sqrt(r c)) / 4, which is a quarter of the second where every node keeps
    its degree, so that D1 = D'1 = 0.
    """
    entries = matrix.data
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    lengths = np.count_nonzero(abs(matrix).sum(axis=1)) * np.count_nonzero(abs(matrix).sum(axis=0))
    spectral = min(sigma * (1 + SLACK), float(np.sqrt((entries**2).sum()))) * float(np.sqrt(lengths))
    halves = (abs(float(entries.sum())) + float(np.abs(rows).sum() + np.abs(columns).sum()) + spectral) / 4
    one_sign = max(float(entries[entries > 0].sum()), -float(entries[entries < 0].sum()))
    return min(one_sign, spectral, halves)


def best_cut(matrix: csr_array, starts: NDArray[np.bool_]) -> float:
    """The largest |sum over S x T| of the entries that is found from some sets S, bool [n, starts].

    For given S the best T holds the columns with a positive sum over S, and the other way round: each step
    takes the better set, until none is. Both signs are tried.
    """
    found = 0.0
    for signed in (matrix, -matrix):
        rows = starts.astype(np.float64)
        before = np.full(starts.shape[1], -1.0)
        for _ in range(MOST_STEPS):
            columns = (signed.T @ rows > 0).astype(np.float64)
            sums = signed @ columns
            rows = (sums > 0).astype(np.float64)
            now = np.maximum(sums, 0.0).sum(axis=0)
            if (now <= before).all():
                break
            before = now
        found = max(found, float(before.max(initial=0.0)))
    return found


@register
@dataclass(frozen=True)
class Cut(StructureDistance):
    """Labelled cut distance over the number of edges, from below and from above; see the head of this module.

    Parameters
    ----------
    starts
        Random sets from which cuts are searched, beside the leading singular directions.
    """

    name = "cut"
    text = (
        "Largest change of the number of edges from one set of nodes into another, over the number of edges "
        "(labelled cut distance): the best cut found, and a bound that no cut exceeds."
    )
    unit = "share of edges"
    limits = (0.0, 2.0)
    is_symmetric = True
    is_aligned = True

    starts: int = 32

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:
        """See `Distance.raw`."""
        ours, theirs = (adjacency(seen.edges, seen.num_nodes) for seen in (changed, reference))
        difference = (ours - theirs).tocsr()
        difference.eliminate_zeros()
        scale = (ours.nnz + theirs.nnz) / 2
        if not difference.nnz:
            return Reading(0.0, "exact", bounds=(0.0, 0.0))
        generator = np.random.default_rng(seed)
        count = min(3, reference.num_nodes)
        sigma, directions = leading_directions(difference, count, generator)
        random = generator.random((reference.num_nodes, self.starts)) < 0.5
        everything = np.ones((reference.num_nodes, 1), dtype=np.bool_)
        sets = np.concatenate([directions > 0, directions < 0, random, everything], axis=1)
        low = best_cut(difference, sets) / scale
        high = max(low, bound_from_above(difference, sigma) / scale)
        method = f"bounds: best cut found from {sets.shape[1]} sets, and a spectral bound that no cut exceeds"
        return Reading(low, method, bounds=(low, high))
