"""Mean and variance of every feature over the entries that may vary."""

from __future__ import annotations

import torch
from torch import Tensor


def mutable_moments(x: Tensor, mutable: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population variance of each column over its mutable entries.

    Parameters
    ----------
    x
        Features, [n, F].
    mutable
        Which entries count, bool [n, F].

    Returns
    -------
    tuple of Tensor
        Mean and variance, [F] each, in the dtype of `x`; 0 for a column without a mutable entry.
    """
    weight = mutable.to(x.dtype)
    count = weight.sum(dim=0).clamp(min=1)
    mean = torch.where(mutable, x, 0.0).sum(dim=0) / count
    squares = torch.where(mutable, (x - mean) ** 2, 0.0).sum(dim=0)
    return mean, squares / count
