"""Where a solver moves: in the features themselves, or in what a model reads of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graph_metamers.inputs.slots import read_features

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.inputs.compression import Compression
    from graph_metamers.inputs.variables import Variables
    from graph_metamers.types import Graph


PROJECTIONS = 200
"""Alternating projections between the box of the features and what the model does not read."""


WALK, STRIDE = 30, 0.3
"""Steps of a walk through the null space, and the share of the distance that each adds without bounds."""
WALK_PROJECTIONS = 3
"""Alternating projections after each of them."""


class Space(Protocol):
    """What a problem needs to know of the points in which a solver moves."""

    @property
    def is_smooth(self) -> bool:
        """Whether the loss is a continuous function of the point."""

    @property
    def bounds(self) -> tuple[Tensor, Tensor] | None:
        """Smallest and largest value of each coordinate, [p] each; `None` where nothing is bounded."""

    def relaxed(self, point: Tensor) -> Graph:
        """The graph that the model of the problem sees; differentiable in the point."""

    def project(self, point: Tensor) -> Tensor:
        """Bring a point back to where it may be, [p]."""


class CompressedSpace(Space, Protocol):
    """A space in which it is known what the model reads."""

    def matched_point(self, start: Tensor) -> Tensor:
        """The point near `start`, [p], of which the model reads what it reads of the reference."""


@dataclass(frozen=True, eq=False)
class FeaturesThrough:
    """Points are those of the features; the compressed model sees X Q.

    For features with bounds, discrete ones, and where some entries are fixed: these are rules about X, which
    C alone does not know.

    Attributes
    ----------
    variables
        What may vary.
    compression
        The model that is run, and what it takes.
    """

    variables: Variables
    compression: Compression

    @property
    def is_smooth(self) -> bool:
        """See `Variables`."""
        return self.variables.is_smooth

    @property
    def bounds(self) -> tuple[Tensor, Tensor] | None:
        """See `Variables`."""
        return self.variables.bounds

    def relaxed(self, point: Tensor) -> Graph:
        """See `Variables`; with X Q instead of X."""
        x = read_features(self.variables.relaxed(point))[self.compression.slot]
        return self.compression.graph(self.variables.reference, self.compression.coordinates(x))

    def project(self, point: Tensor) -> Tensor:
        """See `Variables`."""
        return self.variables.project(point)

    def matched_point(self, start: Tensor) -> Tensor:
        """See `CompressedSpace`; inside the bounds, so that what the model reads is matched only nearly.

        Projections onto the null space around the reference and onto the box take turns (von Neumann), the
        box last; where entries are fixed, these are part of the box.
        """
        values = self.variables.values[self.compression.slot]
        x, basis = values.reference, self.compression.basis.to(values.reference.dtype)
        point = values.relax(start.view(x.shape))
        for _ in range(PROJECTIONS):
            step = point - x
            point = values.relax(values.project(x + step - (step @ basis) @ basis.T))
        return point.flatten()

    def farther_point(self, point: Tensor) -> Tensor:
        """A point farther from the reference, [p], of which the model reads nearly what it reads of this one.

        Each step goes away from the reference, and projections onto the null space around the given point and
        onto the box take turns, the box last. No evaluation of the model; `WALK * WALK_PROJECTIONS` times two
        products of [n, F] with [F, r].
        """
        values = self.variables.values[self.compression.slot]
        reference, basis = values.reference, self.compression.basis.to(values.reference.dtype)
        first = x = values.relax(point.view(reference.shape))
        for _ in range(WALK):
            x = values.project(x + STRIDE * (x - reference))
            for _ in range(WALK_PROJECTIONS):
                step = x - first
                x = values.relax(values.project(first + step - (step @ basis) @ basis.T))
        return x.flatten()


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Points are C = X Q S of the rows that may vary, [rows * r]; nothing bounds them.

    Attributes
    ----------
    reference
        The graph that is being matched.
    compression
        The model that is run, and what it takes.
    start
        X at the start of the search, [n, F]: what X stays outside the visible space.
    rows
        Rows that vary, int64; `None` for all.
    """

    reference: Graph
    compression: Compression
    start: Tensor
    rows: Tensor | None

    @property
    def is_smooth(self) -> bool:
        """True."""
        return True

    @property
    def bounds(self) -> None:
        """None."""
        return None

    @property
    def first_point(self) -> Tensor:
        """The point of the start, [p]."""
        chosen = self.start if self.rows is None else self.start[self.rows]
        return self.compression.coordinates(chosen).flatten()

    def relaxed(self, point: Tensor) -> Graph:
        """See `Space`."""
        return self.compression.graph(self.reference, self._all_rows(point))

    def project(self, point: Tensor) -> Tensor:
        """The point itself."""
        return point

    def matched_point(self, start: Tensor) -> Tensor:  # noqa: ARG002 (nothing bounds C)
        """See `CompressedSpace`; exact: the coordinates of the reference."""
        x = read_features(self.reference)[self.compression.slot]
        chosen = x if self.rows is None else x[self.rows]
        return self.compression.coordinates(chosen).flatten()

    def lift(self, point: Tensor) -> Tensor:
        """The features at a point, [n * F]: outside the visible space they are those of the start."""
        lifted = self.compression.lift(self._all_rows(point.detach()), self.start)
        if self.rows is None:
            return lifted.flatten()
        return self.start.index_copy(0, self.rows, lifted[self.rows]).flatten()

    def _all_rows(self, point: Tensor) -> Tensor:
        moved = point.view(-1, self.compression.rank)
        if self.rows is None:
            return moved
        return self.compression.coordinates(self.start).index_copy(0, self.rows, moved)
