"""What values features may take, and how a search moves among them: one class per kind of feature.

A kind knows how to start, relax, discretise and project a matrix of features. It knows nothing of solvers,
models or graphs: it sees the reference X [n, F] and a point, a float tensor of the same shape in which a
solver moves. Adding a kind is one class and one line in `KINDS`.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graph_metamers.arrays import array_of
from graph_metamers.errors import ParameterError
from graph_metamers.inputs.moments import mutable_moments

if TYPE_CHECKING:
    from graph_metamers.types import FeatureKind

Init = Literal["noise", "permuted", "reference"]
Bounds: TypeAlias = "tuple[float, float] | tuple[Tensor, Tensor]"
"""Smallest and largest value: of all features, or of each one, [F]."""
Ones = Literal["total", "per_node"]

NUDGE = 0.1  # of a feature's standard deviation: how far from the reference `init="reference"` starts


@dataclass(frozen=True, eq=False)
class FeatureValues(ABC):
    """Base of the kinds of features.

    Attributes
    ----------
    reference
        X, float [n, F].
    mutable
        Which entries may vary, bool [n, F]; the others keep the reference's values.
    """

    reference: Tensor
    mutable: Tensor

    kind: ClassVar[FeatureKind]
    is_smooth: ClassVar[bool]
    """Whether the loss is a continuous function of the point, so that line searches make sense."""

    @abstractmethod
    def start(self, init: Init, generator: torch.Generator) -> Tensor:
        """Draw the point, [n, F], at which a search starts."""

    @abstractmethod
    def relax(self, point: Tensor) -> Tensor:
        """Turn a point into the features that the model sees during the search, differentiably, [n, F]."""

    @abstractmethod
    def discretise(self, point: Tensor) -> Tensor:
        """Turn a point into features that a real graph can have, [n, F]."""

    def project(self, point: Tensor) -> Tensor:
        """Bring a point back to where it may be, [n, F]."""
        return point

    @property
    def bounds(self) -> Bounds | None:
        """Smallest and largest value of a coordinate of the point; `None` if there are none."""
        return None

    def within_range(self) -> FeatureValues:
        """The same, with bounds wherever values are continuous; a kind that has its own keeps them."""
        return self

    @functools.cached_property
    def _all_vary(self) -> bool:
        return bool(self.mutable.all())

    def _fix(self, x: Tensor) -> Tensor:
        return x if self._all_vary else torch.where(self.mutable, x, self.reference)

    def _permuted(self, generator: torch.Generator) -> Tensor:
        """Every row replaced by another row of the reference (never by itself if n > 1), [n, F]."""
        order = torch.randperm(self.reference.shape[0], generator=generator).to(self.reference.device)
        permuted = torch.empty_like(self.reference)
        permuted[order] = self.reference[order.roll(1)]
        return permuted

    def _normal(self, generator: torch.Generator) -> Tensor:
        noise = torch.randn(self.reference.shape, generator=generator, dtype=self.reference.dtype)
        return noise.to(self.reference.device)


class ContinuousFeatures(FeatureValues):
    """Any number. The search starts at mu + tau eps, per feature (paper, section 2)."""

    kind: ClassVar[FeatureKind] = "continuous"
    is_smooth: ClassVar[bool] = True

    def start(self, init: Init, generator: torch.Generator) -> Tensor:
        """See `FeatureValues.start`."""
        if init == "permuted":
            return self.project(self._permuted(generator))
        mean, variance = mutable_moments(self.reference, self.mutable)
        centre, spread = (self.reference, NUDGE) if init == "reference" else (mean, 1.0)
        return self.project(centre + spread * variance.sqrt() * self._normal(generator))

    def relax(self, point: Tensor) -> Tensor:
        """See `FeatureValues.relax`: the point itself where it may vary."""
        return self._fix(point)

    def discretise(self, point: Tensor) -> Tensor:
        """See `FeatureValues.discretise`: the point itself where it may vary."""
        return self._fix(point)

    def within_range(self) -> FeatureValues:
        """Each feature bounded by its smallest and largest mutable value in the reference."""
        x, mutable = self.reference, self.mutable
        lowest = torch.where(mutable, x, torch.inf).amin(dim=0)
        highest = torch.where(mutable, x, -torch.inf).amax(dim=0)
        varies = mutable.any(dim=0)
        return RangedFeatures(x, mutable, torch.where(varies, lowest, 0.0), torch.where(varies, highest, 0.0))


@dataclass(frozen=True, eq=False)
class RangedFeatures(ContinuousFeatures):
    """A number in the range that its feature has in the reference; start and steps are clipped to it (ours).

    No kind that a user names: it is what `ContinuousFeatures.within_range` makes.

    Attributes
    ----------
    lowest, highest
        Ends of the range of every feature, [F].
    """

    lowest: Tensor
    highest: Tensor

    @property
    def bounds(self) -> Bounds | None:
        """See `FeatureValues.bounds`."""
        return self.lowest, self.highest

    def project(self, point: Tensor) -> Tensor:
        """See `FeatureValues.project`: clipped to the ranges."""
        return point.clamp(self.lowest, self.highest)

    def within_range(self) -> FeatureValues:
        """See `FeatureValues.within_range`: itself."""
        return self


@dataclass(frozen=True, eq=False)
class BoundedFeatures(ContinuousFeatures):
    """A number between `low` and `high`; the start and every step are clipped to them (paper, section 2)."""

    low: float = 0.0
    high: float = 1.0

    kind: ClassVar[FeatureKind] = "bounded"

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ParameterError("low", f"smaller than high ({self.high})", self.low)
        inside = (self.reference >= self.low) & (self.reference <= self.high)
        if not bool(inside.all()):
            outside = self.reference[~inside][0].item()
            raise ParameterError(
                "low, high",
                "such that every feature of the reference lies between them",
                f"a feature {outside:g} outside of [{self.low:g}, {self.high:g}]",
            )

    @property
    def bounds(self) -> Bounds | None:
        """See `FeatureValues.bounds`."""
        return self.low, self.high

    def within_range(self) -> FeatureValues:
        """See `FeatureValues.within_range`: itself."""
        return self

    def project(self, point: Tensor) -> Tensor:
        """See `FeatureValues.project`: clipped to the bounds."""
        return point.clamp(self.low, self.high)


@dataclass(frozen=True, eq=False)
class BinaryFeatures(FeatureValues):
    """0 or 1, with exactly the reference's number of ones (paper, section 2, straight-through).

    The point is a matrix of logits S. The model sees the hard matrix whose ones are the largest entries of
    S, as many as the reference has; the gradient is that of P = sigmoid(slope * S).

    Attributes
    ----------
    ones
        `total`: the number of ones of the whole matrix is kept (the paper's density); `per_node`: that of
        every row.
    slope
        s in P = sigmoid(s S).
    """

    ones: Ones = "total"
    slope: float = 1.0

    kind: ClassVar[FeatureKind] = "binary"
    is_smooth: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not bool(((self.reference == 0) | (self.reference == 1)).all()):
            raise ParameterError(
                "kind", "'continuous' or 'bounded' where features are not all 0 or 1", "binary"
            )

    def start(self, init: Init, generator: torch.Generator) -> Tensor:
        """See `FeatureValues.start`: random logits, or the signs of real rows with a little noise."""
        noise = self._normal(generator)
        if init == "noise":
            return noise
        rows = self.reference if init == "reference" else self._permuted(generator)
        return 2 * rows - 1 + NUDGE * noise

    def relax(self, point: Tensor) -> Tensor:
        """See `FeatureValues.relax`: hard values, soft gradient."""
        soft = torch.sigmoid(self.slope * point)
        return self._fix(soft + (self._hard(point) - soft).detach())

    def discretise(self, point: Tensor) -> Tensor:
        """See `FeatureValues.discretise`: the hard values."""
        return self._fix(self._hard(point))

    def _hard(self, point: Tensor) -> Tensor:
        logits = point.detach().masked_fill(~self.mutable, -torch.inf)
        ones = self.reference.bool() & self.mutable
        if self.ones == "total":
            return _largest_of_all(logits.flatten(), int(ones.sum())).view_as(logits)
        return _largest_of_rows(logits, ones.sum(dim=1))


def _largest_of_all(logits: Tensor, count: int) -> Tensor:
    """1 at the `count` largest entries, exactly, 0 elsewhere, [p]; among equal ones the first are taken.

    A partition instead of torch.topk, which sorts all of them: 4 ms instead of 58 for Cora's 3.9 million.
    """
    if count == 0:
        return torch.zeros_like(logits)
    threshold = np.partition(array_of(logits), -count)[-count].item()
    hard: Tensor = logits > threshold
    equal = (logits == threshold).nonzero().flatten()
    hard[equal[: count - int(hard.sum())]] = True
    return hard.to(logits.dtype)


def _largest_of_rows(logits: Tensor, counts: Tensor) -> Tensor:
    """1 at the `counts[i]` largest entries of row i, exactly, 0 elsewhere; [rows, columns]."""
    most = int(counts.max()) if counts.numel() else 0
    _, columns = logits.topk(most, dim=1)
    taken = torch.arange(most, device=logits.device) < counts.unsqueeze(1)
    return torch.zeros_like(logits).scatter_(1, columns, taken.to(logits.dtype))


KINDS: dict[FeatureKind, type[FeatureValues]] = {
    kind.kind: kind for kind in (ContinuousFeatures, BoundedFeatures, BinaryFeatures)
}
