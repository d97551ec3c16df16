"""How many singular values of a large sparse matrix are above a threshold, by random probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from scipy.linalg import eigh_tridiagonal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Apply = Callable[[Floats], Floats]

PROBES, STEPS = 6, 120
COUNTED = 1e-2
"""Of the largest singular value: what `STEPS` can tell from 0; less needs more steps, as 1 / `COUNTED`."""


@dataclass(frozen=True)
class RankEstimate:
    """A count of singular values.

    Attributes
    ----------
    rank
        Estimated number of singular values above the threshold, >= 0.
    error
        Half of its 95% interval (Student's t over the probes): of the random probes alone, not of values so
        near the threshold that `STEPS` do not tell on which side they are.
    largest
        Largest singular value that was seen.
    """

    rank: float
    error: float
    largest: float


def estimate_rank(
    matrix: Any,
    *,
    counted: float = COUNTED,
    probes: int = PROBES,
    steps: int = STEPS,
    generator: np.random.Generator,
) -> RankEstimate:
    """Estimate how many singular values are above a share of the largest.

    Parameters
    ----------
    matrix
        scipy's sparse matrix or array [a, b].
    counted
        Share of the largest singular value, 0 to 1.
    probes, steps
        Random vectors, >= 2, and steps of Lanczos' method for each.
    generator
        Of the random vectors.

    Notes
    -----
    Source: Ubaru, Saad and Seghouane (2017), with the stochastic Lanczos quadrature of Ubaru, Chen and Saad
    (2017). For a random vector v of the shorter side, N v^T f(M M^T) v / ||v||^2 has the mean tr f(M M^T); f
    is 1 above the threshold and 0 below, and v^T f v comes from the eigenvalues and first components of the
    tridiagonal matrix that Lanczos' method gives (all vectors orthogonal to each other). Takes probes * steps
    * 2 products with the matrix, and memory for `steps` vectors.
    """
    rows, columns = matrix.shape
    transposed = matrix.T.tocsr()
    first, second = (transposed, matrix) if rows <= columns else (matrix, transposed)
    size = min(rows, columns)
    if not size or not matrix.nnz:
        return RankEstimate(0.0, 0.0, 0.0)
    spectra = []
    for _ in range(probes):
        start = generator.choice([-1.0, 1.0], size=size)
        spectra.append(_quadrature(lambda vector: second @ (first @ vector), start, min(steps, size)))
    largest = max(float(values.max()) for values, _ in spectra)
    found = [size * float(weights[values > counted**2 * largest].sum()) for values, weights in spectra]
    reach = float(stats.t.ppf(0.975, probes - 1) * stats.sem(found))
    return RankEstimate(float(np.mean(found)), reach, float(np.sqrt(largest)))


def _quadrature(apply: Apply, start: Floats, steps: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the measure that a vector has over the eigenvalues of a symmetric map."""
    basis = np.zeros((steps, len(start)))
    diagonal, beside = np.zeros(steps), np.zeros(steps)
    basis[0] = start / np.linalg.norm(start)
    for step in range(steps):
        vector = apply(basis[step])
        diagonal[step] = basis[step] @ vector
        for _ in range(2):  # once loses orthogonality
            vector = vector - basis[: step + 1].T @ (basis[: step + 1] @ vector)
        beside[step] = np.linalg.norm(vector)
        if step + 1 == steps or beside[step] <= 1e-12 * np.abs(diagonal[: step + 1]).max():
            diagonal, beside = diagonal[: step + 1], beside[:step]
            break
        basis[step + 1] = vector / beside[step]
    values, vectors = eigh_tridiagonal(diagonal, beside)
    return values, vectors[0] ** 2
