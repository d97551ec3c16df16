"""Distance between the spectra of two graphs: exact for small ones, by stochastic Lanczos for large ones.

The matrix is the symmetric normalised Laplacian, I - D^-1/2 A D^-1/2, of the graph without directions,
doubled edges and self-loops. Its eigenvalues lie in [0, 2]; a node without neighbours has 0, as in networkx.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import dia_array

from graph_metamers.metrics.distances.registry import Reading, Seen, StructureDistance, register
from graph_metamers.metrics.structure import joined_pairs
from graph_metamers.metrics.wasserstein import wasserstein_by_column

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array
    from torch import Tensor


def normalised_laplacian(edge_index: Tensor, num_nodes: int) -> csr_array:
    """I - D^-1/2 A D^-1/2, float64 [n, n]; see the head of this module."""
    joined = joined_pairs(edge_index, num_nodes).astype(np.float64)
    degrees = np.diff(joined.indptr)
    scale = np.divide(1.0, np.sqrt(degrees), out=np.zeros(num_nodes), where=degrees > 0)
    shape = (num_nodes, num_nodes)
    diagonal, scaling = (
        dia_array((row[None], [0]), shape=shape) for row in ((degrees > 0).astype(np.float64), scale)
    )
    return (diagonal - scaling @ joined @ scaling).tocsr()


@dataclass(frozen=True, eq=False)
class Probes:
    """What Lanczos has found from some random vectors: a tridiagonal matrix for each of them.

    Attributes
    ----------
    matrices
        Diagonal and what is beside it of each, float64 [steps] and [steps - 1]; shorter where the vector's
        space ended.
    """

    matrices: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]

    def quadrature(self, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ritz values after so many steps, and their probabilities, float64 [probes, steps] each."""
        values, weights = (np.zeros((len(self.matrices), steps)) for _ in range(2))
        for probe, (diagonal, beside) in enumerate(self.matrices):
            size = min(steps, len(diagonal))
            off = beside[: size - 1]
            ritz, vectors = np.linalg.eigh(np.diag(diagonal[:size]) + np.diag(off, 1) + np.diag(off, -1))
            values[probe, :size], weights[probe, :size] = ritz, vectors[0] ** 2
        return values, weights


def probed(matrix: csr_array, *, probes: int, steps: int, seed: int = 0) -> Probes:
    """Look at the distribution of a symmetric matrix's eigenvalues, by stochastic Lanczos quadrature.

    For a random vector of +-1, Lanczos finds the distribution on `steps` numbers that has the first
    2 steps - 1 moments of the eigenvalues as that vector weighs them; over vectors its mean has those of the
    spectrum.

    Parameters
    ----------
    matrix
        Symmetric, float64 [n, n].
    probes
        How many random vectors.
    steps
        Of Lanczos, with full reorthogonalisation; at most n.
    seed
        Of the vectors: the same for the same n.

    Notes
    -----
    Source: Lin, Saad and Yang 2016; Chen, Trogdon and Ubaru 2021. O(probes steps (E + steps n)) time,
    O(steps n) memory.
    """
    count = matrix.shape[0]
    generator = np.random.default_rng(seed)
    starts = (generator.choice(np.array([-1.0, 1.0]), size=count) / np.sqrt(count) for _ in range(probes))
    return Probes(tuple(_lanczos(matrix, start, min(steps, count)) for start in starts))


def differences(first: Probes, second: Probes, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Difference of two distribution functions as each probe sees it, and the length over which it holds.

    Parameters
    ----------
    first, second
        From the same vectors.
    steps
        As many are used.

    Returns
    -------
    tuple of NDArray
        Float64 [probes, pieces] and [pieces].
    """
    (values, weights), (others, other_weights) = (part.quadrature(steps) for part in (first, second))
    probes = len(values)
    places = np.concatenate([values.ravel(), others.ravel()])
    rows = np.tile(np.repeat(np.arange(probes), steps), 2)
    order = np.argsort(places, kind="stable")
    jumps = np.zeros((probes, len(places)))
    jumps[rows[order], np.arange(len(places))] = np.concatenate([weights.ravel(), -other_weights.ravel()])[
        order
    ]
    return jumps.cumsum(axis=1)[:, :-1], np.diff(places[order])


def distance_of(differences: NDArray[np.float64], lengths: NDArray[np.float64]) -> tuple[float, float]:
    """Wasserstein-1 distance of two sampled spectra, and its standard error over the probes.

    The area between the mean distribution functions is too large on average, since noise adds to it whatever
    its sign. With signs from one half of the probes and values from the other it is too small. The value is
    the middle of both; half of what lies between is part of the error, beside the jackknife's.
    """
    probes = len(differences)
    total = differences.sum(axis=0)
    large = float(np.abs(total / probes) @ lengths)
    one, other = differences[::2].mean(axis=0), differences[1::2].mean(axis=0)
    small = float((np.sign(one) * other + np.sign(other) * one) @ lengths) / 2
    without = np.abs((total - differences) / (probes - 1)) @ lengths
    spread = (probes - 1) / probes * float(np.square(without - without.mean()).sum())
    return max(0.0, (large + small) / 2), float(np.hypot(np.sqrt(spread), (large - small) / 2))


def _lanczos(
    matrix: csr_array, start: NDArray[np.float64], steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Diagonal and what is beside it of the tridiagonal matrix; fewer than `steps` where the space ends."""
    basis = np.zeros((steps, len(start)))
    diagonal: list[float] = []
    beside: list[float] = []
    basis[0] = start
    for step in range(steps):
        ahead = matrix @ basis[step]
        diagonal.append(float(basis[step] @ ahead))
        ahead -= diagonal[-1] * basis[step]
        if step:
            ahead -= beside[-1] * basis[step - 1]
        known = basis[: step + 1]
        ahead -= known.T @ (known @ ahead)  # what rounding has brought back
        length = float(np.linalg.norm(ahead))
        if step + 1 == steps or length < 1e-12:
            break
        beside.append(length)
        basis[step + 1] = ahead / length
    return np.array(diagonal), np.array(beside[: len(diagonal) - 1])


@register
@dataclass(frozen=True)
class Spectrum(StructureDistance):
    """How far the eigenvalues of the normalised Laplacian have moved.

    Parameters
    ----------
    most_nodes
        Of a graph whose eigenvalues are all computed; O(n^3).
    probes, steps
        Of `probed`, for larger ones; at least 2 of each.
    """

    name = "spectrum"
    text = (
        "How far the eigenvalues of the normalised Laplacian have moved on average (Wasserstein-1): "
        "communities, bipartite parts, how quickly messages mix."
    )
    unit = "eigenvalues, which lie between 0 and 2"
    limits = (0.0, 2.0)
    is_symmetric = True
    is_aligned = False

    most_nodes: int = 1500
    probes: int = 20
    steps: int = 60

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:
        """See `Distance.raw`."""
        both = [normalised_laplacian(seen.edges, seen.num_nodes) for seen in (changed, reference)]
        if reference.num_nodes <= self.most_nodes:
            ours, theirs = (np.linalg.eigvalsh(matrix.toarray()) for matrix in both)
            return Reading(float(wasserstein_by_column(ours, theirs)[0]))
        # The same vectors for both, so that what the graphs have in common falls out.
        first, second = (probed(matrix, probes=self.probes, steps=self.steps, seed=seed) for matrix in both)
        value, noise = distance_of(*differences(first, second, self.steps))
        coarse, _ = distance_of(*differences(first, second, self.steps // 2))
        method = (
            f"sampled: stochastic Lanczos, {self.probes} probes of {self.steps} steps; error by jackknife "
            "and by what half of the steps would change"
        )
        return Reading(value, method, float(np.hypot(noise, value - coarse)))
