"""A constant sparse matrix as a differentiable map of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from graph_metamers.replay.sparse_products import without_beta_warning

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SparseMap:
    """x -> M x and, backwards, g -> M^T g, with both matrices by rows.

    Attributes
    ----------
    matrix, transposed
        M and M^T, CSR.
    """

    matrix: Tensor
    transposed: Tensor

    @classmethod
    def of(
        cls, starts: NDArray[np.int64], columns: NDArray[np.int64], data: NDArray[Any], shape: tuple[int, int]
    ) -> SparseMap:
        """From the parts of a CSR matrix."""
        matrix = csr_array((data, columns, starts), shape=shape)
        return cls(_as_torch(matrix), _as_torch(matrix.T.tocsr()))

    def __call__(self, rows: Tensor) -> Tensor:
        """M x, [m, ...]; differentiable."""
        flat = rows.reshape(len(rows), -1)
        result: Tensor = _Apply.apply(flat, self.matrix, self.transposed)  # type: ignore[no-untyped-call]
        return result.reshape(len(result), *rows.shape[1:])


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ rows

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed @ gradient, None, None


def _as_torch(matrix: Any) -> Tensor:
    with without_beta_warning():
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            matrix.shape,
            check_invariants=False,
        )
