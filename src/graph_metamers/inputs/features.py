"""What a user says about which features may vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import torch

from graph_metamers.errors import ParameterError
from graph_metamers.graphs.feature_kind import infer_feature_kind
from graph_metamers.inputs.feature_values import KINDS, FeatureValues, Ones
from graph_metamers.parameters import check_real

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.types import FeatureKind


@dataclass(frozen=True, eq=False)
class Features:
    """Node features may vary; nothing else does.

    Parameters
    ----------
    kind
        `continuous`, `bounded` or `binary`; default: by inspection of the reference (all 0 and 1: binary; all
        within [0, 1]: bounded; else continuous).
    low, high
        Range of bounded features; default 0 and 1. Naming one of them makes the features bounded.
    mutable
        Which features may vary, bool [n], [n, F] or [1, F]; default: all. The others keep their values.
    ones
        For binary features: keep the number of ones in `total` (default, the paper's way) or `per_node`.
    slope
        For binary features that are searched with Adam: s in P = sigmoid(s S), whose gradient is taken for
        that of the ones (straight-through); > 0. Word swaps need none.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> gm.Features(low=0.0, high=16.0).kind is None
    True
    """

    kind: FeatureKind | None = None
    low: float | None = None
    high: float | None = None
    mutable: Tensor | None = None
    ones: Ones = "total"
    slope: float = 1.0

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise ParameterError("kind", f"one of {', '.join(KINDS)}", self.kind)
        if self.ones not in get_args(Ones):
            raise ParameterError("ones", f"one of {', '.join(get_args(Ones))}", self.ones)
        check_real("slope", self.slope, low=0, low_included=False)
        bounded = self.low is not None or self.high is not None
        if bounded and self.kind not in (None, "bounded"):
            raise ParameterError("kind", "'bounded' when low or high is given", self.kind)

    def values(self, reference: Tensor) -> FeatureValues:
        """The values that the features of this reference, [n, F], may take.

        Raises
        ------
        ParameterError
            If the mask has another shape, freezes everything, or the reference is not of this kind.
        """
        bounded = self.low is not None or self.high is not None
        kind = self.kind or ("bounded" if bounded else infer_feature_kind(reference))
        options: dict[str, Any] = {}
        if kind == "bounded":
            options = {
                "low": 0.0 if self.low is None else self.low,
                "high": 1.0 if self.high is None else self.high,
            }
        elif kind == "binary":
            options = {"ones": self.ones, "slope": self.slope}
        return KINDS[kind](reference.detach(), self._mask(reference), **options)

    def _mask(self, reference: Tensor) -> Tensor:
        if self.mutable is None:
            return torch.ones_like(reference, dtype=torch.bool)
        mask = self.mutable
        fits = mask.shape in (reference.shape[:1], reference.shape, (1, reference.shape[1]))
        if mask.dtype != torch.bool or not fits:
            rows, columns = reference.shape
            raise ParameterError(
                "mutable",
                f"a bool tensor of shape [{rows}], [{rows}, {columns}] or [1, {columns}]",
                f"{mask.dtype} {list(mask.shape)}",
            )
        if not bool(mask.any()):
            raise ParameterError(
                "mutable", "true somewhere, or nothing may vary", "a mask without a true entry"
            )
        mask = mask.unsqueeze(1) if mask.ndim == 1 else mask
        return mask.expand_as(reference).to(reference.device)
