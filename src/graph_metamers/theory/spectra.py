"""Singular values of many Jacobians, and their ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from graph_metamers.theory.jacobians import ItemJacobians

EPS = torch.finfo(torch.float64).eps
STRIDE = 8  # numbers of rows are rounded up to multiples, so that more Jacobians have one shape
TALL = 1.5  # times as many columns as rows, from which on a triangular factor comes first


def singular_values(jacobians: ItemJacobians) -> Tensor:
    """Singular values of each J_v, descending, with zeros behind; float64 [items, d_k].

    Notes
    -----
    Of J itself, by the triangular factor of J^T where J is wide: an orthogonal reduction, which unlike J J^T
    keeps all digits. Rows of zeros, as of closed rectifiers, are left out. Jacobians of one shape are taken
    together.
    """
    blocks = jacobians.blocks
    width = len(blocks)
    counts = np.diff(jacobians.starts)
    found = torch.zeros(len(counts), width, dtype=torch.float64)
    items = np.flatnonzero(counts)
    if not len(items):
        return found
    live = np.ones((len(items), width), dtype=bool)
    if width > STRIDE:  # else looking costs more than it saves
        sizes = torch.linalg.vector_norm(blocks, ord=torch.inf, dim=2).numpy()
        live = np.logical_or.reduceat(sizes != 0, jacobians.starts[items], axis=1).T
    order = np.argsort(~live, axis=1, kind="stable")  # units with a row that is not 0 come first
    kept = np.minimum(-(-live.sum(axis=1) // STRIDE) * STRIDE, width)
    shapes, members = np.unique(np.stack([counts[items], kept]), axis=1, return_inverse=True)
    for number, (count, rows) in enumerate(shapes.T):
        places = np.flatnonzero(members == number)
        units = torch.from_numpy(order[places, :rows, None])
        columns = torch.from_numpy(jacobians.starts[items[places], None, None] + np.arange(count))
        values = _of_matrices(blocks[units, columns].flatten(start_dim=2))
        found[torch.from_numpy(items[places]), : values.shape[1]] = values
    return found


def _of_matrices(matrices: Tensor) -> Tensor:
    """Singular values of [b, d, m], float64 [b, min(d, m)]."""
    _, rows, columns = matrices.shape
    if columns > TALL * rows:
        matrices = torch.linalg.qr(matrices.mT, mode="r").R
    values: Tensor = torch.linalg.svdvals(matrices)
    return values


def ranks(values: Tensor, columns: Tensor) -> Tensor:
    """Ranks from singular values, int64 [items].

    Parameters
    ----------
    values
        Descending, float64 [items, d_k].
    columns
        Of the Jacobian by the features themselves, not compressed, int64 [items].

    Notes
    -----
    Values above sigma_max * max(d_k, columns) * eps count (method: float64, numpy's rule).
    """
    longest = columns.clamp(min=values.shape[1]).double().unsqueeze(1)
    return (values > values[:, :1] * longest * EPS).sum(dim=1)
