"""What kind of values the node features hold, told from the values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from graph_metamers.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.types import FeatureKind

__all__ = ["infer_feature_kind"]


def infer_feature_kind(x: Tensor) -> FeatureKind:
    """Tell whether features are binary, bounded by 0 and 1, or continuous.

    Parameters
    ----------
    x
        Features of any shape, real: floating point, integer or bool.

    Returns
    -------
    {"binary", "bounded", "continuous"}
        "binary" if every value is 0 or 1, else "bounded" if every value is in [0, 1], else "continuous".

    Raises
    ------
    ParameterError
        If `x` is empty, not real, or holds NaN or infinity.

    Examples
    --------
    >>> infer_feature_kind(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    'binary'
    >>> infer_feature_kind(torch.tensor([[0.0, 0.5]]))
    'bounded'
    """
    if x.is_complex() or x.layout != torch.strided:
        raise ParameterError("x", "a dense, real tensor", f"{x.dtype}, {x.layout}", "Convert it first")
    if x.numel() == 0:
        raise ParameterError("x", "a tensor with at least one value", list(x.shape))
    if not bool(torch.isfinite(x).all()):
        count = int((~torch.isfinite(x)).sum())
        raise ParameterError("x", "finite", f"{count} values that are NaN or infinite", "Replace these first")
    if bool(((x == 0) | (x == 1)).all()):
        return "binary"
    if bool(((x >= 0) & (x <= 1)).all()):
        return "bounded"
    return "continuous"
