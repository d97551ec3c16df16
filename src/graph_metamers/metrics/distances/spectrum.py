"""Distance between the spectra of two graphs: exact for small ones, by stochastic Lanczos for large ones.

The matrix is the symmetric normalised Laplacian, I - D^-1/2 A D^-1/2, of the graph without directions, doubled
edges and self-loops. Its eigenvalues lie in [0, 2]; a node without neighbours has 0, as in networkx.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import dia_array

from graph_metamers.metrics.distances.registry import Reading, Seen, StructureDistance, register
from graph_metamers.metrics.structure import joined_pairs
from graph_metamers.metrics.wasserstein import wasserstein_by_column, wasserstein_of_weighted

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
class SampledSpectrum:
    """A spectrum as random probes see it, one distribution for each of them.

    Attributes
    ----------
    values
        Ritz values of each probe, float64 [probes, steps].
    weights
        Their probabilities, float64 [probes, steps]; each row sums to 1.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]

    def distance(self, other: SampledSpectrum, without: int | None = None) -> float:
        """Wasserstein-1 distance of the means over the probes; `without` one of them."""
        kept = [k for k in range(len(self.values)) if k != without]
        parts = [
            part
            for spectrum in (self, other)
            for part in (spectrum.values[kept].ravel(), spectrum.weights[kept].ravel() / len(kept))
        ]
        return wasserstein_of_weighted(*parts)


def sampled_spectrum(matrix: csr_array, *, probes: int, steps: int, seed: int = 0) -> SampledSpectrum:
    """The distribution of a symmetric matrix's eigenvalues, by stochastic Lanczos quadrature.

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
    Source: Lin, Saad and Yang 2016; Chen, Trogdon and Ubaru 2021. O(probes steps (E + steps n)) time, O(steps n)
    memory.
    """
    count = matrix.shape[0]
    steps = min(steps, count)
    generator = np.random.default_rng(seed)
    values, weights = np.zeros((probes, steps)), np.zeros((probes, steps))
    for probe in range(probes):
        start = generator.choice(np.array([-1.0, 1.0]), size=count) / np.sqrt(count)
        diagonal, beside = _lanczos(matrix, start, steps)
        tridiagonal = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        ritz, vectors = np.linalg.eigh(tridiagonal)
        values[probe, : len(ritz)] = ritz
        weights[probe, : len(ritz)] = vectors[0] ** 2
    return SampledSpectrum(values, weights / weights.sum(axis=1, keepdims=True))


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
        Of `sampled_spectrum`, for larger ones.
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
    probes: int = 10
    steps: int = 50

    def raw(self, changed: Seen, reference: Seen, *, seed: int = 0) -> Reading:
        """See `Distance.raw`."""
        both = [normalised_laplacian(seen.edges, seen.num_nodes) for seen in (changed, reference)]
        if reference.num_nodes <= self.most_nodes:
            ours, theirs = (np.linalg.eigvalsh(matrix.toarray()) for matrix in both)
            return Reading(float(wasserstein_by_column(ours, theirs)[0]))
        # The same probes for both, so that what they have in common falls out.
        first, second = (
            sampled_spectrum(matrix, probes=self.probes, steps=self.steps, seed=seed) for matrix in both
        )
        left_out = np.array([first.distance(second, without=probe) for probe in range(self.probes)])
        spread = np.square(left_out - left_out.mean()).sum()
        error = float(np.sqrt((self.probes - 1) / self.probes * spread))  # the jackknife's
        method = (
            f"sampled: stochastic Lanczos, {self.probes} probes of {self.steps} steps; error by jackknife"
        )
        return Reading(first.distance(second), method, error)
