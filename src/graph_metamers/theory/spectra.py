"""Singular values of many Jacobians, and their ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from graph_metamers.theory.jacobians import ItemJacobians

EPS = torch.finfo(torch.float64).eps
TALL = 1.5  # times as many columns as rows, from which on a triangular factor comes first


def singular_values(jacobians: ItemJacobians) -> Tensor:
    """Singular values of each J_v, descending, with zeros behind; float64 [items, d_k].

    Notes
    -----
    Of J itself, by the triangular factor of J^T where J is wide: an orthogonal reduction, which unlike J J^T
    keeps all digits. Jacobians of one shape are taken together.
    """
    width, _, rank = jacobians.blocks.shape
    counts = np.diff(jacobians.starts)
    found = torch.zeros(len(counts), width, dtype=torch.float64)
    for count in np.unique(counts[counts > 0]):
        places = np.flatnonzero(counts == count)
        columns = torch.from_numpy(jacobians.starts[places, None] + np.arange(count))
        stacked = jacobians.blocks[:, columns.flatten()]
        matrices = stacked.view(width, len(places), int(count) * rank).transpose(0, 1)
        values = _of_matrices(matrices)
        found[torch.from_numpy(places), : values.shape[1]] = values
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
