"""The contextual stochastic block model: what draws a graph whose Bayes classifier is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_real

__all__ = ["ContextualBlockModel"]


@dataclass(frozen=True, eq=False, repr=False)
class ContextualBlockModel:
    """Two classes of nodes, y = -1 and +1, that differ in their features and in whom they are joined to.

    Each node is of either class with probability 1/2; x ~ N(y mean, sigma^2 I); each pair of nodes is joined
    on its own, with probability p if both are of one class, else q. Source: Deshpande et al. 2018,
    "Contextual Stochastic Block Models"; as Gosch et al. 2023, "Revisiting Robustness in Graph Machine
    Learning", use it.

    Attributes
    ----------
    mean
        Mean of the features of class +1, float64 [num_features]; that of class -1 is its negative. Not zero.
    sigma
        Standard deviation of each feature around its mean, > 0.
    p, q
        Probability of an edge within a class and between both, in (0, 1).
    """

    mean: Tensor
    sigma: float
    p: float
    q: float

    def __post_init__(self) -> None:
        mean = self.mean
        if not isinstance(mean, Tensor) or mean.dtype != torch.float64 or mean.dim() != 1 or not len(mean):
            raise ParameterError("mean", "a float64 tensor of shape [num_features]", mean)
        if not bool(mean.isfinite().all()) or not bool(mean.any()):
            raise ParameterError("mean", "finite and not zero", mean.tolist())
        check_real("sigma", self.sigma, low=0.0, low_included=False)
        for name in ("p", "q"):
            check_real(name, getattr(self, name), low=0.0, high=1.0, low_included=False)

    @classmethod
    def of(cls, *, K: float, num_features: int, sigma: float, p: float, q: float) -> ContextualBlockModel:
        """Build it from the distance K of the classes' means, in units of sigma; every feature alike.

        Source: Gosch et al. 2023, appendix on CSBM: mean_j = K sigma / (2 sqrt(num_features)).
        """
        entry = K * sigma / (2 * math.sqrt(num_features))
        return cls(torch.full((num_features,), entry, dtype=torch.float64), sigma, p, q)

    @property
    def K(self) -> float:  # noqa: N802 (its name in the paper)
        """Distance of the classes' means in units of sigma: features alone are right with chance Phi(K/2)."""
        return 2 * float(self.mean.norm()) / self.sigma

    @property
    def edge_log_ratio(self) -> float:
        """What an edge to a node of a class says for that class, log(p / q)."""
        return math.log(self.p / self.q)

    @property
    def gap_log_ratio(self) -> float:
        """What a missing edge to a node of a class says for that class, log((1 - p) / (1 - q))."""
        return math.log1p(-self.p) - math.log1p(-self.q)

    def feature_log_odds(self, x: Tensor) -> Tensor:
        """What features say for class +1, 2 mean.x / sigma^2, float64 [...], of rows [..., num_features]."""
        log_odds: Tensor = x.detach().double() @ (2 * self.mean / self.sigma**2)
        return log_odds

    def __repr__(self) -> str:
        return (
            f"ContextualBlockModel(K={self.K:.4g}, {len(self.mean)} features, sigma={self.sigma:g}, "
            f"p={self.p:g}, q={self.q:g})"
        )
